"""Where the trunk's weights come from before a task is learnt."""

from pathlib import Path

import torch
from torch import nn

from components.core.model import VisionLanguageModel
from components.core.model.trunk import Trunk
from components.core.params import Finetune
from components.finetune.classification import Classifier
from components.finetune.imagenet import load_imagenet
from components.finetune.segmentation import Segmenter

PRETRAINED, IMAGENET, SCRATCH = "pretrained", "imagenet", "scratch"


def starts(settings: Finetune) -> tuple[str, ...]:
    """The names of the starts: ImageNet is one where a file is given."""
    return (PRETRAINED, *([IMAGENET] if settings.imagenet else []), SCRATCH)


def new_network(start: str, kind: str, model: VisionLanguageModel, classes: int, settings: Finetune) -> nn.Module:
    """A network before its training; it is a function of the seed and, but for `scratch`, of the given weights.

    Networks of different starts differ in nothing but the weights of the trunk.

    Raises:
        ValueError: the file of ImageNet weights does not fit.
    """
    torch.manual_seed(settings.seed)
    sizes = model.config.model.trunk
    trunk = Trunk(sizes)
    network = Classifier(trunk, classes) if kind == "classification" else Segmenter(trunk, sizes)
    if start == PRETRAINED:
        trunk.load_state_dict(model.trunk.state_dict())
    elif start == IMAGENET:
        assert settings.imagenet is not None
        load_imagenet(trunk, Path(settings.imagenet))
    return network
