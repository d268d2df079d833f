"""The published checkpoint: the names that its tensors have, and the way to our form and back.

Source: the checkpoints of Fan et al., arXiv 2403.10635: a torch pickle, `{"model": state_dict, …}`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from components.core.model.checkpoint import refuse_not_finite
from components.core.model.config import OF_TRAINING, Config
from components.core.model.form import VisionLanguageModel
from components.core.model.medslip import MedSLIP
from components.core.params import Mends, Model, Trunk
from components.core.records.whole import whole_file
from components.core.tensors import read_pickled

SIZES = Model(
    trunk=Trunk(depths=(3, 4, 6), hidden_sizes=(256, 512, 1024), embedding_size=64, layer_type="bottleneck"),
    width=256,
    decoder_layers=4,
    heads=4,
    dropout=0.1,
)
IMAGE_SIZE = 224
NAMED = 20  # tensors in a sentence that refuses a checkpoint
COUNTER = "num_batches_tracked"  # of a batch norm: the only tensors of whole numbers
WHOLE = frozenset({torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64})
PREFIX = "module."  # of a model that was trained in parallel
OTHER_NAMES = {"disease_embedding_layer": "pathology_embedding_layer"}  # some files of the inference code say so

STREAMS = {"p": "pathology", "a": "anatomy"}
LAYER_PARTS = {"self_attention": "self_attn", "cross_attention": "multihead_attn", "expand": "linear1",
               "contract": "linear2"}  # fmt: skip
HEADS = {"contrast": "cl_fc", "existence": "classifier"}
STREAM_PARTS = {"first": "res_l1", "second": "res_l2"}
NORMS = ("convolution", "normalization")


def published_names(name: str) -> tuple[str, ...]:
    """What the published checkpoint calls a tensor of ours; it names the final norm under both decoders."""
    if name.startswith("trunk.backbone."):
        return (_trunk_name(name.removeprefix("trunk.backbone.")),)
    first, _, rest = name.partition(".")
    if first == "norm":
        return tuple(f"decoder_{stream}.norm.{rest}" for stream in ("anatomy", "pathology"))
    if first == "query":
        return (f"pathology_embedding_layer.{rest}",)
    kind, _, stream = first.rpartition("_")
    if kind == "decoder":
        for ours, theirs in LAYER_PARTS.items():
            rest = rest.replace(f".{ours}.", f".{theirs}.")
        return (f"decoder_{STREAMS[stream]}.{rest}",)
    if kind in HEADS:
        return (f"{HEADS[kind]}_{STREAMS[stream]}.{rest}",)
    assert first == "streams", name
    if rest.startswith("mask."):
        return (rest.replace("mask.", "mask_generator."),)
    stream, part, rest = rest.split(".")
    return (f"{STREAM_PARTS[part]}_{stream}.{rest}",)


def _trunk_name(name: str) -> str:
    """A tensor of the transformers library's ResNet as torchvision's children, counted, call it."""
    *place, module, tensor = name.split(".")
    norm = NORMS.index(module)
    if place[0] == "embedder":
        return f"res_features.{norm}.{tensor}"
    _, _, stage, _, block, *part = place
    inner = f"downsample.{norm}" if part[0] == "shortcut" else f"{('conv', 'bn')[norm]}{int(part[1]) + 1}"
    return f"res_features.{4 + int(stage)}.{block}.{inner}.{tensor}"


def read_published(path: Path) -> dict[str, Tensor]:
    """The tensors of a published checkpoint under their published names; nothing in it is executed.

    Raises:
        ValueError: the file is missing, cut short, no checkpoint, or holds more than tensors and plain values.
    """
    if not path.is_file():
        raise ValueError(f"{path} is not a file: give a published checkpoint")
    content = read_pickled(path)
    state = content.get("model", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not state or not all(isinstance(key, str) for key in state):
        raise ValueError(f'{path} holds no state_dict: {{"model": state_dict}} or a bare state_dict is allowed')
    odd = [key for key, value in state.items() if not isinstance(value, Tensor)]
    if odd:
        raise ValueError(f"{path} holds no state_dict: {odd[0]} is {type(state[odd[0]]).__name__}, not a tensor")
    return _under_published_names(state, path)


def _under_published_names(state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Without the prefix of parallel training, and with one name for what has two."""
    named: dict[str, Tensor] = {}
    for key, tensor in state.items():
        module, dot, rest = key.removeprefix(PREFIX).partition(".")
        name = OTHER_NAMES.get(module, module) + dot + rest
        if name in named:
            raise ValueError(f"{path} holds {name} twice, the second time as {key}")
        named[name] = tensor
    return named


def from_published(
    state: Mapping[str, Tensor],
    pathologies_PT: Tensor,
    anatomies_AT: Tensor,
    *,
    sizes: Model = SIZES,
    left_out: Sequence[str] = (),
) -> MedSLIP:
    """A model of ours with the weights of a published checkpoint, every one of them in its place.

    Args:
        state: see `read_published`.
        pathologies_PT: the book of pathologies, which the checkpoint does not hold.
        anatomies_AT: the book of anatomies.
        sizes: of the checkpoint's model.
        left_out: names of tensors that have no place in the model and shall not be read.

    Raises:
        ValueError: a tensor has no place and is not left out, a place stays empty, kinds or shapes differ, the two
            decoders have norms of their own, or a value is not finite.
    """
    config = Config(image_size=IMAGE_SIZE, text_width=pathologies_PT.shape[1], model=sizes, mends=Mends())
    model = MedSLIP(config, pathologies_PT, anatomies_AT)
    places = _places(model)
    _refuse(places.keys() - state.keys(), "lacks {}: it is of another model or trunk")
    unplaced = state.keys() - places.keys()
    _refuse(set(left_out) - unplaced, "has no {} that could be left out")
    _refuse(unplaced - set(left_out), "has {} without a place in the model (--leave-out NAME leaves one out)")
    ours: dict[str, Tensor] = {}
    expected = model.state_dict()
    for published, name in places.items():
        tensor = state[published]
        if not _is_plain(tensor, published.endswith(COUNTER)):
            raise ValueError(
                f"the checkpoint's {published} is {tensor.layout} {tensor.dtype} on {tensor.device}: dense floats are "
                f"allowed, and whole numbers for {COUNTER}"
            )
        if tensor.shape != expected[name].shape:
            raise ValueError(
                f"the checkpoint's {published} has shape {list(tensor.shape)} where {list(expected[name].shape)} "
                "is expected: it is of another trunk, width or text encoder"
            )
        if name in ours and not torch.equal(ours[name], tensor):
            raise ValueError(f"the checkpoint's {' and '.join(published_names(name))} differ: the two are one norm")
        ours[name] = tensor
    # As the model will have them: what a float64 can hold may be infinite there.
    given = {published: state[published].to(expected[name].dtype) for published, name in places.items()}
    refuse_not_finite(given, "the checkpoint")
    model.load_state_dict(ours, strict=False)  # the books are in their places
    return model.eval()


def _is_plain(tensor: Tensor, counts: bool) -> bool:
    """Whether a tensor holds values as ours do: dense floats, or whole numbers where it counts."""
    dense = tensor.layout == torch.strided and not tensor.is_nested and not tensor.is_meta
    return dense and (tensor.is_floating_point() or (counts and tensor.dtype in WHOLE))


def _places(model: MedSLIP) -> dict[str, str]:
    """Our name of every published tensor; the books have none."""
    return {
        published: name
        for name in model.state_dict()
        if not name.startswith("book_")
        for published in published_names(name)
    }


def _refuse(names: set[str], fault: str) -> None:
    if names:
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        raise ValueError("the checkpoint " + fault.format(", ".join(sorted(names)[:NAMED]) + more))


def to_published(model: VisionLanguageModel) -> dict[str, Tensor]:
    """The weights of a model in the published form, under the published names.

    Raises:
        ValueError: the model is a baseline, or has mends that the published form cannot express.
    """
    if not isinstance(model, MedSLIP):
        raise ValueError(f"the published form is MeDSLIP's: {model.config.form} cannot be exported")
    mends = model.config.mends.model_dump()
    published = Mends().model_dump()
    odd = [name for name in mends if mends[name] != published[name] and name not in OF_TRAINING]
    if odd:
        raise ValueError(f"the published form cannot express this model's mends: {', '.join(odd)}")
    ours = model.state_dict()
    return {theirs: ours[name].detach().cpu().contiguous() for theirs, name in _places(model).items()}


def write_published(model: VisionLanguageModel, path: Path) -> None:
    """Write a model as a published checkpoint (see `to_published`)."""
    content: dict[str, Any] = {"model": to_published(model)}
    with whole_file(path) as temporary:
        torch.save(content, temporary)
