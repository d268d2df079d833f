"""The stage: from its inputs to models/pretrained, its figures and its plots."""

import logging
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from lightning import Trainer
from safetensors import SafetensorError
from safetensors.torch import load_file

from components.core import model as model_room
from components.core import paths, tracking
from components.core.checkpoints import StateFile, digest_of
from components.core.devices import device
from components.core.model import Config, VisionLanguageModel, build, mends_of, save
from components.core.params import Params, Pretrain
from components.core.records.whole import whole_file, whole_folder, write_json
from components.core.state import state_folder
from components.core.vocabulary import ANATOMIES, PATHOLOGIES
from components.pretrain.callbacks import History, Lines, SaveState
from components.pretrain.examples import Examples, Split, read_examples, term_counts
from components.pretrain.loading import loaders
from components.pretrain.plot import plot_losses, terms_in
from components.pretrain.task import Pretraining

BOOKS = paths.KNOWLEDGE / "books.safetensors"
LABELS = paths.FINDINGS / "labels.npz"
PLOTS = paths.PLOTS / "pretrain"
MODEL_CODE = Path(model_room.__file__).parent


def read_books(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """The books of pathologies [P, T] and anatomies [A, T].

    Raises:
        ValueError: the file is missing or corrupt, or does not fit the vocabulary.
    """
    if not path.is_file():
        raise ValueError(f"{path} does not exist: run knowledge first")
    try:
        books = load_file(path)
        pathologies_PT, anatomies_AT = books["pathologies"], books["anatomies"]
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"{path} is corrupt or lacks a book: {error}") from None
    if (len(pathologies_PT), len(anatomies_AT)) != (len(PATHOLOGIES), len(ANATOMIES)):
        raise ValueError(f"{path} was made with another vocabulary: run knowledge again")
    return pathologies_PT.float(), anatomies_AT.float()


def build_model(settings: Pretrain) -> VisionLanguageModel:
    """An untrained model; its weights are a function of the seed."""
    pathologies_PT, anatomies_AT = read_books(BOOKS)
    config = Config(
        image_size=settings.image_size,
        text_width=pathologies_PT.shape[1],
        form=settings.objective.form,
        model=settings.model,
        mends=mends_of(settings.objective),
    )
    torch.manual_seed(settings.seed)
    model = build(config, pathologies_PT, anatomies_AT)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def state_file(settings: Pretrain, images: Path, examples: Examples) -> Path:
    """Where an unfinished training with these inputs, parameters and code keeps its state."""
    code = [path for folder in (MODEL_CODE, Path(__file__).parent) for path in sorted(folder.rglob("*.py"))]
    inputs = [images / "manifest.parquet", LABELS, BOOKS, *code]
    return state_folder("pretrain") / digest_of(settings.model_dump(mode="json"), inputs, examples.shards) / "state"


def _quiet() -> None:
    """Leave out what Lightning says about itself: its progress is what a user looks for."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=r".*LeafSpec.* is deprecated")
    warnings.filterwarnings("ignore", message=r".*does not have many workers")


def train(
    model: VisionLanguageModel, settings: Pretrain, examples: Examples, state: Path
) -> tuple[Pretraining, History]:
    """Train to the end, from the state file if there is one.

    The weights of the last step are the result. The learning rate has come down to its end by then, and a best epoch by
    validation would make the result hang on the few positives that a validation split has.
    """
    _quiet()
    place = device()
    training, validation = loaders(examples, settings, place)
    task = Pretraining(model, settings, steps=len(training) * settings.epochs)
    history = History(tracking.active())
    bar = sys.stderr.isatty()
    trainer = Trainer(
        accelerator="gpu" if place.type == "cuda" else "cpu",
        devices=1,
        precision=settings.precision,
        max_epochs=settings.epochs,
        gradient_clip_val=settings.clip or None,
        check_val_every_n_epoch=settings.validate_every,
        num_sanity_val_steps=0,
        plugins=[StateFile()],
        callbacks=[history, SaveState(state), *([] if bar else [Lines(history)])],
        enable_progress_bar=bar,
        enable_model_summary=False,
        enable_checkpointing=True,
        logger=False,
        default_root_dir=state.parent,
    )
    trainer.fit(task, training, validation, ckpt_path=state if state.is_file() else None)
    if settings.epochs % settings.validate_every:
        trainer.validate(task, validation, verbose=False)
    return task, history


def _sizes(split: Split) -> dict[str, int]:
    return {"images": len(split), "studies": len(set(split.studies))}


def _last_losses(rows: list[dict[str, float]]) -> dict[str, float]:
    """The mean of every term over the steps of the last epoch."""
    losses = pd.DataFrame([row for row in rows if "loss" in row])
    losses["steps"] = losses["step"].diff().fillna(losses["step"])
    last = losses[losses["epoch"] == losses["epoch"].max()]
    return {
        name: float((last[column] * last["steps"]).sum() / last["steps"].sum())
        for name, column in {"total": "loss", **{term: term for term in terms_in(last)}}.items()
    }


def figures_of(task: Pretraining, history: History, examples: Examples) -> dict[str, Any]:
    """The figures of a finished training."""
    return {
        "loss": _last_losses(history.rows),
        "validation": {"auroc": {"macro": task.macro_auroc, "per_class": task.auroc}},
        "train": _sizes(examples.train),
        "validate": _sizes(examples.validate),
        "left_out": examples.left_out,
        "steps": task.steps,
        "parameters": sum(parameter.numel() for parameter in task.model.parameters()),
    }


def run(params: Params, item: str) -> dict[str, Any]:
    """Pretrain in the current workspace; returns the figures of `metrics/pretrain.json`.

    Raises:
        ValueError: an input is missing or does not fit the others, or the loss is no longer finite.
    """
    settings = params.pretrain
    torch.set_num_threads(settings.threads)
    images = paths.IMAGES / settings.dataset
    examples = read_examples(images, LABELS, settings.uncertain)
    model = build_model(settings)
    state = state_file(settings, images, examples)
    if state.is_file():
        print(f"going on from {state}", file=sys.stderr)
    task, history = train(model, settings, examples, state)
    figures = figures_of(task, history, examples)
    with whole_folder(paths.PRETRAINED) as folder:
        save(task.model, folder)
        write_json(folder / "metrics.json", {**figures, "terms": term_counts(examples.labels, examples.train)})
    with whole_file(PLOTS / "history.csv") as temporary:
        pd.DataFrame(history.rows).to_csv(temporary, index=False, float_format="%.6g")
    plot_losses(history.rows, PLOTS / "loss.png")
    shutil.rmtree(state.parent)
    return figures
