"""The pretrained model on images: how likely each pathology is, and where it looks for it.

Axes: N images, B batch, Q asked pathologies, L decoder layers, h and w rows and columns of patches, S side in pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from components.core.model import VisionLanguageModel
from components.core.records.resize import resized
from components.core.records.shards import ImageShards
from components.core.vocabulary import PATHOLOGY_INDEX


@dataclass(frozen=True)
class Answers:
    """What the model says of every image.

    Attributes:
        image_ids: the images, length N.
        pathologies: what was asked for, length Q.
        score_NQ: probability of each pathology.
        maps_NQhw: cross-attention of its query to the patches, averaged over layers and heads.
    """

    image_ids: tuple[str, ...]
    pathologies: tuple[str, ...]
    score_NQ: npt.NDArray[np.float64]
    maps_NQhw: npt.NDArray[np.float32]


def batches(images: pd.DataFrame, shards: ImageShards, side: int, batch: int) -> Iterator[torch.Tensor]:
    """The images of a manifest, in its order, uint8 [B, 1, side, side] at a time."""
    places = list(zip(images["shard"].tolist(), images["row"].tolist(), strict=True))
    for start in range(0, len(places), batch):
        batch_BHW = np.stack([resized(shards[place], side) for place in places[start : start + batch]])
        yield torch.from_numpy(batch_BHW)[:, None]


def ask(
    model: VisionLanguageModel,
    images: Iterator[torch.Tensor],
    image_ids: Sequence[str],
    pathologies: Sequence[str],
    device: torch.device,
) -> Answers:
    """Ask the model for pathologies of its vocabulary in every image."""
    model = model.eval().to(device)
    asked = torch.tensor([PATHOLOGY_INDEX[name] for name in pathologies], dtype=torch.long, device=device)
    scores, maps = [], []
    with torch.inference_mode():
        for images_B1SS in images:
            outputs = model(images_B1SS.to(device), attention=True)
            assert outputs.attention_p_BLPN is not None
            attention_BQN = outputs.attention_p_BLPN.mean(1)[:, asked]
            scores.append(outputs.presence_BP[:, asked].double().cpu().numpy())
            maps.append(attention_BQN.unflatten(-1, outputs.grid).float().cpu().numpy())
    return Answers(tuple(image_ids), tuple(pathologies), np.concatenate(scores), np.concatenate(maps))


@dataclass(frozen=True)
class ClassAnswers:
    """The answers in the classes of a truth: each class stands for one or several pathologies.

    Attributes:
        names: the classes, length C.
        score_NC: the probability of the likeliest of a class's pathologies.
        speaker_NC: which of the asked pathologies that is; its map is the map of the class.
    """

    names: tuple[str, ...]
    score_NC: npt.NDArray[np.float64]
    speaker_NC: npt.NDArray[np.intp]


def by_class(answers: Answers, classes: dict[str, tuple[str, ...]]) -> ClassAnswers:
    """Answers for classes: the likeliest pathology of a class speaks for it.

    The largest probability is right where any of the pathologies makes the class true, and it names the one map that
    shows why.
    """
    place = {name: index for index, name in enumerate(answers.pathologies)}
    scores, speakers = [], []
    for pathologies in classes.values():
        members = np.array([place[name] for name in pathologies])
        best_N = answers.score_NQ[:, members].argmax(1)
        speakers.append(members[best_N])
        scores.append(np.take_along_axis(answers.score_NQ[:, members], best_N[:, None], 1)[:, 0])
    shape = (len(answers.image_ids), 0)
    return ClassAnswers(
        tuple(classes),
        np.stack(scores, 1) if scores else np.empty(shape),
        np.stack(speakers, 1) if speakers else np.empty(shape, np.intp),
    )
