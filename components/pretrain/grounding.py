"""Where the model looks while it is trained: the same few validation images every time, as a picture in MLflow."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from components.core.model import VisionLanguageModel
from components.core.params import Pretrain
from components.core.records.labels import PRESENT
from components.core.records.resize import resized
from components.core.tracking import StageRun
from components.core.vocabulary import PATHOLOGIES, VISIBLE
from components.pretrain.examples import Examples

IMAGES = 6


def shown(examples: Examples) -> list[tuple[int, int]]:
    """Pairs of a validation image and a pathology that its report states: a new pathology each, first come."""
    pairs: dict[int, int] = {}
    for index, study in enumerate(examples.validate.studies):
        present = np.flatnonzero((examples.labels[study] == PRESENT).any(0))
        new = [p for p in present.tolist() if PATHOLOGIES[p] in VISIBLE and p not in pairs]
        if new:
            pairs[new[0]] = index
        if len(pairs) == IMAGES:
            break
    return [(index, pathology) for pathology, index in pairs.items()]


@torch.no_grad()
def log_overlay(
    model: VisionLanguageModel, examples: Examples, settings: Pretrain, tracked: StageRun, step: int
) -> None:
    """Draw the mean attention of each pathology's query over its image.

    Args:
        model: in evaluation.
        examples: whose validation images are shown.
        settings: the side of the images.
        tracked: gets the picture; where it logs nothing, none is drawn.
        step: which names the picture.
    """
    pairs = shown(examples)
    if tracked.run_id is None or not pairs:
        return
    places = [examples.validate.places[index] for index, _ in pairs]
    images = np.stack([resized(examples.shards[place], settings.image_size) for place in places])
    device = next(model.parameters()).device
    outputs = model(torch.from_numpy(images).unsqueeze(1).to(device), attention=True)
    assert outputs.attention_p_BLPN is not None
    chosen = torch.tensor([pathology for _, pathology in pairs])
    maps_BHW = outputs.attention_p_BLPN.float().mean(1)[torch.arange(len(pairs)), chosen].unflatten(-1, outputs.grid)
    probabilities = outputs.presence_BP[torch.arange(len(pairs)), chosen].tolist()
    figure = Figure(figsize=(2.4 * len(pairs), 2.8), layout="constrained")
    panels = figure.subplots(1, len(pairs), squeeze=False)[0]
    for axes, image, attention_HW, probability, pathology in zip(
        panels, images, maps_BHW.cpu().numpy(), probabilities, chosen.tolist(), strict=True
    ):
        side = settings.image_size
        axes.imshow(image, cmap="gray", vmin=0, vmax=255, extent=(0, side, side, 0))
        axes.imshow(attention_HW, cmap="jet", alpha=0.35, extent=(0, side, side, 0), interpolation="bilinear")
        axes.set_title(f"{PATHOLOGIES[pathology].replace('_', ' ')}\n{probability:.2f}", fontsize=9)
        axes.set_axis_off()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"grounding-{step:07d}.png"
        figure.savefig(path, format="png", dpi=80)
        tracked.log_artifact(path)
