import pickle

import pytest
import torch
from safetensors.torch import save_file

from components.core.model.trunk import Trunk
from components.core.params import Trunk as TrunkSizes
from components.finetune.imagenet import backbone_name, load_imagenet

SIZES = TrunkSizes(depths=(2, 1, 1), hidden_sizes=(32, 64, 128), embedding_size=16, layer_type="bottleneck")


def torchvision_names(trunk: Trunk) -> dict[str, torch.Tensor]:
    """The trunk's weights under torchvision's names, with what a whole ResNet has more."""
    weights = {}
    for name, tensor in trunk.backbone.state_dict().items():
        stem = {"embedder.embedder.convolution": "conv1", "embedder.embedder.normalization": "bn1"}
        for ours, theirs in stem.items():
            if name.startswith(ours):
                weights[name.replace(ours, theirs)] = tensor
        if name.startswith("encoder.stages."):
            _, _, stage, _, block, part, *rest = name.split(".")
            if part == "shortcut":
                middle = {"convolution": "downsample.0", "normalization": "downsample.1"}[rest[0]]
            else:
                middle = {"convolution": "conv", "normalization": "bn"}[rest[1]] + str(int(rest[0]) + 1)
            weights[f"layer{int(stage) + 1}.{block}.{middle}.{rest[-1]}"] = tensor
    assert len(weights) == len(trunk.backbone.state_dict())
    return {**weights, "layer4.0.conv1.weight": torch.zeros(1), "fc.weight": torch.zeros(1)}


def trunk_of(seed: int) -> Trunk:
    torch.manual_seed(seed)
    return Trunk(SIZES)


@pytest.mark.parametrize("form", ["torchvision", "transformers", "pickle"])
def test_published_names_find_their_places(tmp_path, form: str) -> None:
    source, target, path = trunk_of(1), trunk_of(2), tmp_path / "resnet"
    if form == "transformers":
        state = {f"resnet.{name}": tensor for name, tensor in source.backbone.state_dict().items()}
        save_file({**state, "classifier.1.bias": torch.zeros(1)}, path)
    elif form == "torchvision":
        save_file(torchvision_names(source), path)
    else:
        torch.save({"state_dict": torchvision_names(source)}, path)
    load_imagenet(target, path)
    assert all(torch.equal(tensor, target.state_dict()[name]) for name, tensor in source.state_dict().items())


def test_the_names_of_resnet_50() -> None:
    names = {
        "layer3.5.conv3.weight": "encoder.stages.2.layers.5.layer.2.convolution.weight",
        "layer1.0.downsample.1.running_var": "encoder.stages.0.layers.0.shortcut.normalization.running_var",
        "module.bn1.bias": "embedder.embedder.normalization.bias",
        "layer4.2.bn1.weight": None,
        "resnet.encoder.stages.3.layers.0.shortcut.convolution.weight": None,
    }
    assert {name: backbone_name(name) for name in names} == names


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"hidden_sizes": (64, 64, 128)}, "has shape"),
        ({"depths": (2, 2, 1)}, "has encoder.stages.1.layers.1"),
        ({"depths": (1, 1, 1)}, "lacks encoder.stages.0.layers.1"),
    ],
)
def test_another_size_is_refused(tmp_path, change: dict, sentence: str) -> None:
    path = tmp_path / "resnet"
    save_file(torchvision_names(Trunk(SIZES.model_copy(update=change))), path)
    with pytest.raises(ValueError, match=rf"{sentence}.*: only a ResNet of the sizes of pretrain\.model\.trunk"):
        load_imagenet(trunk_of(1), path)


def test_a_file_that_is_none_is_refused(tmp_path) -> None:
    path = tmp_path / "resnet"
    with pytest.raises(ValueError, match=r"finetune\.imagenet: .* is not a file"):
        load_imagenet(trunk_of(1), path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="neither safetensors nor a pickle of tensors alone"):
        load_imagenet(trunk_of(1), path)

    class Malice:
        def __reduce__(self) -> tuple:
            return print, ("run",)

    save_file(torchvision_names(trunk_of(1)), path)
    path.write_bytes(path.read_bytes()[:-100])  # cut short
    with pytest.raises(ValueError, match="neither safetensors nor a pickle of tensors alone"):
        load_imagenet(trunk_of(1), path)
    torch.save(torchvision_names(trunk_of(1)), path)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1  # of a weight: torch itself would read it
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match="neither safetensors nor a pickle of tensors alone"):
        load_imagenet(trunk_of(1), path)
    for content, sentence in (
        ({1: torch.zeros(1)}, "no names of tensors"),
        ({"conv1.weight": 3}, "dense tensors"),
        ({"conv1.weight": torch.zeros(2, 2).to_sparse()}, "dense tensors"),
        ({"conv1.weight": torch.zeros(2, device="meta")}, "dense tensors"),
        ({"conv1.weight": torch.tensor([torch.nan])}, "conv1.weight holds values that are not finite"),
    ):
        torch.save(content, path)
        with pytest.raises(ValueError, match=rf"finetune\.imagenet: .*{sentence}"):
            load_imagenet(trunk_of(1), path)

    path.write_bytes(pickle.dumps(Malice()))
    with pytest.raises(ValueError, match="neither safetensors nor a pickle of tensors alone"):
        load_imagenet(trunk_of(1), path)
