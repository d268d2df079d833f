"""MeDSLIP: trunk, streams, decoders, losses, checkpoint; a library without a trainer in it.

Tensor names end in their axes:

    B batch · P pathologies · A anatomies · Q queries of one stream (P or A) · N image patches · H, W height, width
    C channels of the trunk · D width of the model · T width of the text encoder · L decoder layers

Source: Fan et al., MeDSLIP: Medical Dual-Stream Language-Image Pre-training, arXiv 2403.10635.
"""

from components.core.model.checkpoint import load, save
from components.core.model.config import OF_TRAINING, Config, mends_of
from components.core.model.form import VisionLanguageModel
from components.core.model.forms import build
from components.core.model.medslip import MedSLIP, Outputs
from components.core.params import Mends

__all__ = [
    "OF_TRAINING",
    "Config",
    "MedSLIP",
    "Mends",
    "Outputs",
    "VisionLanguageModel",
    "build",
    "load",
    "mends_of",
    "save",
]
