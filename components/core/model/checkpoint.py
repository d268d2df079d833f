"""A trained model as a folder: weights, configuration, vocabulary. Equal models give equal bytes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file

from components.core.explain import explain
from components.core.model.config import Config
from components.core.model.form import VisionLanguageModel
from components.core.model.forms import build
from components.core.records.digests import file_digest
from components.core.records.whole import read_json, write_json
from components.core.tensors import write_tensors
from components.core.vocabulary import ANATOMIES, PATHOLOGIES

WEIGHTS, CONFIG, VOCABULARY = "weights.safetensors", "config.json", "vocabulary.json"
VERSION = 2


def _vocabulary() -> dict[str, Any]:
    return {"anatomies": list(ANATOMIES), "pathologies": list(PATHOLOGIES)}


def save(model: VisionLanguageModel, folder: Path) -> None:
    """Write the model into an existing folder (see `components.core.records.whole.whole_folder`)."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    write_tensors(weights, folder / WEIGHTS)
    content = {
        "version": VERSION,
        "weights_sha256": file_digest(folder / WEIGHTS),
        **model.config.model_dump(mode="json"),
    }
    write_json(folder / CONFIG, content)
    write_json(folder / VOCABULARY, _vocabulary())


def load(folder: Path) -> VisionLanguageModel:
    """Read a model that `save` wrote, on the CPU and in evaluation mode.

    Raises:
        ValueError: a file is missing or corrupt, or was written with another vocabulary, other sizes or another
            version.
    """
    if not folder.exists():
        raise ValueError(f"{folder} does not exist: run the stage that makes it first")
    if not folder.is_dir():
        raise ValueError(f"{folder} is no model, which is a folder with {CONFIG}, {VOCABULARY} and {WEIGHTS}")
    lacking = [name for name in (CONFIG, VOCABULARY, WEIGHTS) if not (folder / name).is_file()]
    if lacking:
        raise ValueError(f"{folder} is no model: {', '.join(lacking)} does not exist")
    if read_json(folder / VOCABULARY) != _vocabulary():
        raise ValueError(f"{folder / VOCABULARY} is not this code's vocabulary: run pretrain again")
    config, digest = _read_config(folder / CONFIG)
    weights = _read_weights(folder / WEIGHTS)
    # A flipped bit is mostly a value like any other.
    if file_digest(folder / WEIGHTS) != digest:
        raise ValueError(f"{folder / WEIGHTS} is not what was written: its SHA-256 is not that of {CONFIG}")
    books = {name: weights.get(name, torch.empty(0, 0)) for name in ("book_p_PT", "book_a_AT")}
    for (name, book), terms in zip(books.items(), (PATHOLOGIES, ANATOMIES), strict=True):
        if book.shape != (len(terms), config.text_width):
            raise ValueError(
                f"{folder / WEIGHTS}: {name} has shape {tuple(book.shape)}, expected {(len(terms), config.text_width)}"
            )
    model = build(config, books["book_p_PT"], books["book_a_AT"])
    _fill(model, weights, folder / WEIGHTS)
    return model.eval()


def _read_config(path: Path) -> tuple[Config, str]:
    """The configuration, and the SHA-256 of the weights that it belongs to."""
    content = read_json(path)
    if not isinstance(content, dict) or content.pop("version", None) != VERSION:
        raise ValueError(f"{path} was written by another version of the model: version {VERSION} is expected")
    digest = str(content.pop("weights_sha256", ""))
    try:
        return Config.model_validate(content, strict=False), digest
    except ValidationError as error:
        raise ValueError(explain(Config, error, str(path))) from None


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is corrupt or cut short: {error}") from None


def _fill(model: VisionLanguageModel, weights: dict[str, torch.Tensor], path: Path) -> None:
    """Load the weights, every one of them into its place."""
    expected = model.state_dict()
    for fault, names in (
        ("lacks", expected.keys() - weights.keys()),
        ("has unknown", weights.keys() - expected.keys()),
    ):
        if names:
            raise ValueError(
                f"{path} {fault} {len(names)} tensors, the first is {min(names)}: config.json does not fit"
            )
    for name, tensor in weights.items():
        if tensor.shape != expected[name].shape:
            raise ValueError(
                f"{path}: {name} has shape {tuple(tensor.shape)}, config.json says {tuple(expected[name].shape)}"
            )
    refuse_not_finite(weights, str(path))
    model.load_state_dict(weights)


def refuse_not_finite(weights: Mapping[str, torch.Tensor], source: str) -> None:
    """Refuse weights that no model can be used with.

    Raises:
        ValueError: a value is infinite or not a number.
    """
    for name, tensor in weights.items():
        if not tensor.isfinite().all():
            raise ValueError(f"{source}: {name} holds values that are not finite")
