"""A ResNet that was trained on ImageNet, as one more start of the trunk.

Files of torchvision (`layer1.0.conv1.weight`) and of transformers (`resnet.encoder.stages.0.layers.0…`) are read, as
safetensors or as a pickle of tensors alone. The fourth stage and the classifier have no place in the trunk.
"""

import re
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from components.core.model.checkpoint import refuse_not_finite
from components.core.model.trunk import Trunk
from components.core.tensors import read_pickled

UNUSED = re.compile(r"(layer4|fc|encoder\.stages\.3|classifier)\.")
OUTER = re.compile(r"^(module\.|resnet\.|backbone\.|model\.)+")
# torchvision's names on the left, those of the trunk's backbone on the right.
RENAMED = (
    (re.compile(r"^conv1\."), "embedder.embedder.convolution."),
    (re.compile(r"^bn1\."), "embedder.embedder.normalization."),
    (re.compile(r"^layer(\d)\.(\d+)\.downsample\.0\."), r"encoder.stages.\1.layers.\2.shortcut.convolution."),
    (re.compile(r"^layer(\d)\.(\d+)\.downsample\.1\."), r"encoder.stages.\1.layers.\2.shortcut.normalization."),
    (re.compile(r"^layer(\d)\.(\d+)\.conv(\d)\."), r"encoder.stages.\1.layers.\2.layer.\3.convolution."),
    (re.compile(r"^layer(\d)\.(\d+)\.bn(\d)\."), r"encoder.stages.\1.layers.\2.layer.\3.normalization."),
)
COUNTED_FROM_ONE = re.compile(r"(?<=encoder\.stages\.)\d|(?<=\.layer\.)\d")


def _tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file.

    Raises:
        ValueError: it is missing, corrupt, holds more than tensors, or a value that is not finite.
    """
    if not path.is_file():
        raise ValueError(f"finetune.imagenet: {path} is not a file")
    try:
        content = load_file(path)
    except SafetensorError:
        try:
            content = read_pickled(path)
        except ValueError:
            raise ValueError(
                f"finetune.imagenet: {path} is neither safetensors nor a pickle of tensors alone"
            ) from None
    content = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(content, dict) or not all(isinstance(one, str) for one in content):
        raise ValueError(f"finetune.imagenet: {path} holds no names of tensors")
    if not all(isinstance(one, Tensor) and one.layout == torch.strided and not one.is_meta for one in content.values()):
        raise ValueError(f"finetune.imagenet: {path} holds something else than dense tensors")
    refuse_not_finite(content, f"finetune.imagenet: {path}")
    return content


def backbone_name(name: str) -> str | None:
    """The name in the trunk's backbone; None for what has no place there."""
    name = OUTER.sub("", name)
    if UNUSED.match(name):
        return None
    for pattern, replacement in RENAMED:
        if pattern.match(name):
            return COUNTED_FROM_ONE.sub(lambda found: str(int(found[0]) - 1), pattern.sub(replacement, name))
    return name


def load_imagenet(trunk: Trunk, path: Path) -> None:
    """Put the weights of a file into a trunk.

    Raises:
        ValueError: the file cannot be read, or is of a ResNet of other sizes.
    """
    found = {name: tensor for key, tensor in _tensors(path).items() if (name := backbone_name(key)) is not None}
    expected = trunk.backbone.state_dict()
    counters = {name for name in expected if name.endswith("num_batches_tracked")}  # older files have none
    for name, tensor in expected.items():
        if name not in found and name not in counters:
            raise ValueError(f"finetune.imagenet: {path} lacks {name}: {_sizes_differ()}")
        if name in found and found[name].shape != tensor.shape:
            raise ValueError(
                f"finetune.imagenet: {path}: {name} has shape {tuple(found[name].shape)}, the trunk has "
                f"{tuple(tensor.shape)}: {_sizes_differ()}"
            )
    unknown = found.keys() - expected.keys()
    if unknown:
        raise ValueError(f"finetune.imagenet: {path} has {min(unknown)}, the trunk has not: {_sizes_differ()}")
    trunk.backbone.load_state_dict({**{name: expected[name] for name in counters}, **found})


def _sizes_differ() -> str:
    return "only a ResNet of the sizes of pretrain.model.trunk is allowed (ResNet-50: depths 3, 4, 6, bottleneck)"
