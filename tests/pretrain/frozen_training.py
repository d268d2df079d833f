"""Trains in the current workspace with what depends on the share of a batch held still; writes the weights.

As a command: python -m tests.pretrain.frozen_training OUT; MEDSLIP_PROCESSES says how many train together.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from components.core import paths
from components.core.params import load
from components.pretrain.examples import read_examples
from components.pretrain.stage import build_model, train


def train_frozen(out: Path) -> None:
    """Train with BatchNorm in evaluation."""
    torch.set_num_threads(1)
    section = load().pretrain
    examples = read_examples(paths.IMAGES / "mimic_cxr", paths.FINDINGS / "labels.npz", section.uncertain)
    model = build_model(section)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
            module.train = lambda mode=True, module=module: module  # type: ignore[method-assign,assignment,misc]
    training = train(model, section, examples, out.with_suffix(".state"))
    if training.fabric.global_rank == 0:
        weights = {name: weight.contiguous() for name, weight in model.state_dict().items()}
        save_file(weights, out, metadata={"auroc": repr(training.auroc)})


if __name__ == "__main__":
    train_frozen(Path(sys.argv[1]))
