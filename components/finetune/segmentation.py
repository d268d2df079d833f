"""Segmentation: a U-Net's decoder on the trunk, its loss, its figures and its table.

Axes: B batch, N images, H and W rows and columns, S shard pixels of a side, T thresholds.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from monai.losses import DiceCELoss
from monai.metrics import compute_dice, compute_iou
from monai.networks.nets.flexible_unet import SegmentationHead, UNetDecoder
from torch import Tensor, nn
from torch.nn import functional

from components.core.devices import device
from components.core.metrics.classification import undefined
from components.core.metrics.estimate import Estimate, PatientBootstrap, mean_estimate, rounded
from components.core.model.trunk import Trunk
from components.core.params import Finetune
from components.core.params import Trunk as TrunkSizes
from components.core.records.masks import runs_of
from components.core.records.predictions import SHARED
from components.core.records.shards import ImageShards
from components.finetune.examples import Labelled
from components.finetune.loading import LabelledImages, ReadingOrder, loader

TABLE = "segmentations"
HEADLINE = "dice"
THRESHOLDS = tuple(step / 20 for step in range(1, 20))
STEM_SKIPS = 2  # the trunk has maps at strides 8 and 4 for the decoder; at stride 2 it has none
NO_THRESHOLD = "no validation image with a finding to choose the threshold by"
NOTHING_LEARNT = {"dice": undefined("no image with a finding among the patients of the share")}


class Segmenter(nn.Module):
    """The image trunk and MONAI's U-Net decoder on its three stages (Ronneberger et al., 2015).

    The decoder goes up to stride 2, and the last step to pixels is linear.

    Args:
        trunk: it becomes part of the segmenter.
        sizes: what the trunk was built from.
    """

    def __init__(self, trunk: Trunk, sizes: TrunkSizes) -> None:
        super().__init__()
        self.trunk = trunk
        first, second, third = sizes.hidden_sizes
        widths = (second // 2, first // 2, max(first // 4, 8))
        self.decoder = UNetDecoder(
            spatial_dims=2,
            encoder_channels=(0, first, second, third),
            decoder_channels=widths,
            act=("relu", {"inplace": True}),
            norm="batch",
            dropout=0.0,
            bias=False,
            upsample="nontrainable",
            pre_conv="default",
            interp_mode="nearest",
            align_corners=None,
            is_pad=True,
        )
        self.head = SegmentationHead(spatial_dims=2, in_channels=widths[-1], out_channels=1, scale_factor=2)

    def forward(self, images_B1HW: Tensor) -> Tensor:
        """Logits [B, 1, H, W] of images with grey levels 0 to 255."""
        stages = self.trunk.stages(images_B1HW)
        logits_B1HW: Tensor = self.head(self.decoder([images_B1HW, *stages], skip_connect=STEM_SKIPS))
        return logits_B1HW


class MaskLoss(nn.Module):
    """Dice over the pixels of the whole batch plus binary cross-entropy, as published, by MONAI.

    Over the batch, since the Dice of an empty mask alone says nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dice_and_entropy = DiceCELoss(sigmoid=True, batch=True)

    def forward(self, logits_B1HW: Tensor, truth_B1HW: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of a batch, and the number of its images."""
        loss: Tensor = self.dice_and_entropy(logits_B1HW.float(), truth_B1HW.float())
        return loss, torch.tensor(float(len(logits_B1HW)), device=loss.device)


def probabilities(
    network: nn.Module, labelled: Labelled, shards: ImageShards, side: int, settings: Finetune
) -> Iterator[tuple[Tensor, Tensor]]:
    """Probabilities and masks [B, 1, S, S] in shard pixels, batch by batch, on the CPU."""
    place = device()
    network = network.eval().to(place)
    images = LabelledImages(labelled, shards, side, settings)
    order = ReadingOrder(len(labelled), settings.batch)
    for keys, (images_B1HW, _) in zip(order, loader(images, order), strict=True):
        masks_BSS = np.stack([labelled.outlines[index].mask() for _, index in keys])
        with torch.inference_mode():
            logits_B1HW = network(images_B1HW.to(place)).float()
            size = masks_BSS.shape[1:]
            logits_B1SS = functional.interpolate(logits_B1HW, size=size, mode="bilinear", align_corners=False)
            yield logits_B1SS.sigmoid().cpu(), torch.from_numpy(masks_BSS)[:, None]


def _dice(predicted_B1SS: Tensor, truth_B1SS: Tensor) -> npt.NDArray[np.float64]:
    """Dice of each image, nan where the truth is empty."""
    return np.asarray(compute_dice(predicted_B1SS, truth_B1SS).double()[:, 0])


def best_threshold(batches: Iterator[tuple[Tensor, Tensor]]) -> float | None:
    """The probability from which on a pixel counts: that with the largest mean Dice over images with a finding.

    Of equally good ones the smallest; None where no image has a finding.
    """
    dice_TN = np.concatenate(
        [
            np.stack([_dice(likely_B1SS >= threshold, truth_B1SS) for threshold in THRESHOLDS])
            for likely_B1SS, truth_B1SS in batches
        ],
        axis=1,
    )
    shown_TN = dice_TN[:, ~np.isnan(dice_TN[0])]
    return THRESHOLDS[int(shown_TN.mean(1).argmax())] if shown_TN.shape[1] else None


def mask_rows(labelled: Labelled, batches: Iterator[tuple[Tensor, Tensor]], threshold: float) -> pd.DataFrame:
    """The rows that the schema of segmentations wants."""
    rows = []
    for likely_B1SS, truth_B1SS in batches:
        predicted_B1SS = likely_B1SS >= threshold
        iou_B = compute_iou(predicted_B1SS, truth_B1SS).double()[:, 0]
        dice_B = _dice(predicted_B1SS, truth_B1SS)
        for predicted_SS, truth_SS, dice, iou in zip(
            predicted_B1SS[:, 0].numpy(), truth_B1SS[:, 0].numpy(), dice_B, iou_B.numpy(), strict=True
        ):
            rows.append(
                {
                    "truth_pixels": int(truth_SS.sum()),
                    "predicted_pixels": int(predicted_SS.sum()),
                    "dice": dice,
                    "iou": iou,
                    "runs": runs_of(predicted_SS),
                }
            )
    return pd.concat([labelled.images[SHARED].reset_index(drop=True), pd.DataFrame(rows)], axis=1)


def mask_figures(rows: pd.DataFrame, bootstrap: PatientBootstrap) -> tuple[dict[str, Any], Estimate]:
    """Dice and IoU over the images with a finding; of those without one, the share that is correctly left empty."""
    empty_N = (rows["truth_pixels"] == 0).to_numpy()
    left_empty_N = np.where(empty_N, (rows["predicted_pixels"] == 0).to_numpy().astype(np.float64), np.nan)
    estimates = {
        "dice": mean_estimate(rows["dice"].to_numpy(np.float64), bootstrap),
        "iou": mean_estimate(rows["iou"].to_numpy(np.float64), bootstrap),
        "left_empty": mean_estimate(left_empty_N, bootstrap),
    }
    counts = {"dice": ~empty_N, "iou": ~empty_N, "left_empty": empty_N}
    figures = {name: {**each.figure(), "images": int(counts[name].sum())} for name, each in estimates.items()}
    return figures, estimates["dice"]


class Judged:
    """What a trained segmenter says of the validation and test images.

    Attributes:
        figures: Dice and IoU with their intervals on test patients, empty masks apart, and the threshold.
        headline: the mean Dice with its resamples; None where there is none.
        table: one row an image, with its mask.
    """

    def __init__(
        self,
        network: nn.Module,
        labelled: Labelled,
        shards: ImageShards,
        side: int,
        settings: Finetune,
        missing: Mapping[str, str],
    ) -> None:
        threshold = best_threshold(probabilities(network, labelled.split("validate"), shards, side, settings))
        cut = 0.5 if threshold is None else threshold
        self.table = mask_rows(labelled, probabilities(network, labelled, shards, side, settings), cut)
        test = self.table[self.table["split"] == "test"]
        bootstrap = PatientBootstrap(tuple(test["patient_id"]), settings.bootstrap, settings.seed)
        figures, dice = mask_figures(test, bootstrap)
        lacks = [*sorted(set(missing.values())), *([] if threshold is not None else [NO_THRESHOLD])]
        self.headline = None if lacks else dice
        source = "largest mean Dice on validation images with a finding"
        self.figures: dict[str, Any] = {
            **{
                name: {**undefined("; ".join(lacks)), "images": figure["images"]} if lacks else figure
                for name, figure in figures.items()
            },
            "threshold": {
                "value": rounded(cut),
                "source": source if threshold is not None else "0.5, since no validation image has a finding",
            },
        }
