import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from components.core.metrics.estimate import PatientBootstrap
from components.finetune.segmentation import MaskLoss, Segmenter, best_threshold, mask_figures
from tests import evaluation_workspace as workspace


def test_the_decoder_reads_three_stages_and_gives_a_logit_a_pixel() -> None:
    trunk = workspace.untrained(seed=5).trunk
    images_B1HW = torch.randint(0, 255, (2, 1, 64, 32), dtype=torch.uint8)
    stages = trunk.stages(images_B1HW)
    assert [tuple(stage.shape[2:]) for stage in stages] == [(16, 8), (8, 4), (4, 2)]
    assert torch.equal(stages[-1], trunk(images_B1HW))
    network = Segmenter(trunk, workspace.sizes().model.trunk).train()
    logits_B1HW = network(images_B1HW)
    assert logits_B1HW.shape == (2, 1, 64, 32)
    logits_B1HW.mean().backward()
    unused = {name for name, weight in network.named_parameters() if weight.grad is None}
    assert not unused


def test_the_loss_is_dice_over_the_batch_plus_cross_entropy() -> None:
    torch.manual_seed(0)
    logits, truth = torch.randn(3, 1, 8, 8), (torch.rand(3, 1, 8, 8) < 0.3).to(torch.int8)
    likely = logits.sigmoid()
    dice = 1 - (2 * (likely * truth).sum() + 1e-5) / (likely.sum() + truth.sum() + 1e-5)
    entropy = functional.binary_cross_entropy_with_logits(logits, truth.float())
    loss, images = MaskLoss()(logits, truth)
    assert loss.item() == pytest.approx((dice + entropy).item(), rel=1e-5)
    assert images == 3
    assert torch.isfinite(MaskLoss()(logits, torch.zeros_like(truth))[0])  # of empty masks alone, too


def test_the_threshold_is_the_best_on_images_with_a_finding() -> None:
    truth = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    truth[0, 0, :2] = 1
    likely = torch.full((2, 1, 4, 4), 0.12)  # the empty image would want a higher one
    likely[0, 0, :2] = 0.33
    assert best_threshold(iter([(likely, truth)])) == pytest.approx(0.15)
    assert best_threshold(iter([(likely, torch.zeros_like(truth))])) is None


def test_empty_masks_are_reported_apart() -> None:
    rows = pd.DataFrame({
        "truth_pixels": [4, 2, 0, 0, 0], "predicted_pixels": [4, 0, 0, 7, 0],
        "dice": [1.0, 0.0, np.nan, np.nan, np.nan], "iou": [1.0, 0.0, np.nan, np.nan, np.nan],
    })  # fmt: skip
    figures, dice = mask_figures(rows, PatientBootstrap(list("abcde"), 100, 0))
    assert (figures["dice"]["value"], figures["dice"]["images"]) == (0.5, 2)
    assert (figures["left_empty"]["value"], figures["left_empty"]["images"]) == (pytest.approx(2 / 3, abs=1e-6), 3)
    assert dice.value == 0.5
