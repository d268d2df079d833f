"""The stage: from its inputs to models/pretrained, its figures and its plots."""

import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from lightning.fabric import Fabric

from components.core import augmentation, metrics, paths, records, text, tracking, vocabulary
from components.core import model as model_room
from components.core.checkpoints import Checkpoints, code_in, digest_of
from components.core.devices import device, node_count, precision_of, process_count
from components.core.model import OF_TRAINING, Config, VisionLanguageModel, build, load, mends_of, save
from components.core.model.terms import terms_of_training
from components.core.params import Params, Pretrain
from components.core.records.whole import whole_file, whole_folder, write_json
from components.core.state import remove_when_done, state_folder
from components.core.text.books import Books, read_books
from components.pretrain.examples import Examples, Split, read_examples, term_counts
from components.pretrain.history import History
from components.pretrain.loading import Order, TrainingImages, loaders
from components.pretrain.plot import plot_losses, terms_in
from components.pretrain.task import Pretraining
from components.pretrain.training import Training

INITIAL_MODEL, INITIAL_RECEIPT = paths.INITIAL / "model", paths.INITIAL / "receipt.json"
LABELS = paths.FINDINGS / "labels.npz"
PLOTS = paths.PLOTS / "pretrain"
ROOMS = (augmentation, metrics, model_room, records, text, vocabulary)
CODE = (*(Path(room.__path__[0]) for room in ROOMS), Path(__file__).parent)


def refuse_other_model(given: Config, wanted: Config) -> None:
    """Weights of one model are no start for another.

    Raises:
        ValueError: form, sizes or mends of the forward pass differ.
    """
    shaping = {"form", "model", "mends"}
    theirs, ours = (tracking.flatten(one.model_dump(mode="json", include=shaping)) for one in (given, wanted))
    free = {"model.dropout", *(f"mends.{name}" for name in OF_TRAINING)}
    for name in sorted((theirs.keys() | ours.keys()) - free):
        if theirs.get(name) != ours.get(name):
            raise ValueError(
                f"pretrain.init is a model with {name} {theirs.get(name)}, the parameters say {ours.get(name)}"
            )


def build_model(settings: Pretrain) -> VisionLanguageModel:
    """The model at its start: the given one, with its books, or one whose weights are a function of the seed.

    Raises:
        ValueError: books or given model are missing, or the given model is trained on and is not the parameters' one.
    """
    given = None if settings.init is None else load(INITIAL_MODEL)
    if given is not None and not settings.train:
        model = given
    else:
        books = read_books(paths.BOOKS) if given is None else Books(given.book_p_PT, given.book_a_AT)
        config = Config(
            image_size=settings.image_size,
            text_width=books.pathologies.shape[1],
            form=settings.objective.form,
            model=settings.model,
            mends=mends_of(settings.objective),
        )
        torch.manual_seed(settings.seed)
        model = build(config, books.pathologies, books.anatomies)
        if given is not None:
            refuse_other_model(given.config, config)
            model.load_state_dict(given.state_dict())
    layout = torch.channels_last if settings.channels_last else torch.contiguous_format
    return model.to(memory_format=layout)  # type: ignore[call-overload]


def state_of(settings: Pretrain, images: Path, examples: Examples) -> Path:
    """The folder where an unfinished training with these inputs, parameters and code keeps its checkpoints."""
    inputs = [
        images / "manifest.parquet",
        LABELS,
        paths.BOOKS,
        *([INITIAL_RECEIPT] if settings.init else []),
        *code_in(CODE),
    ]
    return state_folder("pretrain") / digest_of(settings.model_dump(mode="json"), inputs, examples.shards)


def launched(settings: Pretrain) -> Fabric:
    """The processes that train together: one a GPU, or as many as MEDSLIP_PROCESSES says, on MEDSLIP_NODES machines."""
    for name in ("lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=r".*LeafSpec.* is deprecated")
    place = device()
    processes, nodes = process_count(torch.cuda.device_count() if place.type == "cuda" else 1), node_count()
    fabric = Fabric(
        accelerator="gpu" if place.type == "cuda" else "cpu",
        devices=processes,
        num_nodes=nodes,
        strategy="ddp" if processes * nodes > 1 else "auto",
        precision=settings.precision,
    )
    fabric.launch()
    return fabric


def train(model: VisionLanguageModel, settings: Pretrain, examples: Examples, state: Path) -> Training:
    """Train to the end, from the newest checkpoint that the folder `state` has; without training only look.

    The weights of the last step are the result. The learning rate has come down to its end by then, and a best epoch by
    validation would make the result hang on the few positives that a validation split has.

    Raises:
        ValueError: the loss is not finite, a step cannot be divided among the processes, or memory does not suffice.
        TryAgain: TERM came; the state has been saved.
    """
    fabric = launched(settings)
    epochs = settings.epochs if settings.train else 0
    order = Order(
        len(examples.train), settings.batch, settings.seed, epochs, settings.accumulate,
        fabric.global_rank, fabric.world_size,
    )  # fmt: skip
    loading, validation = loaders(examples, settings, fabric.device, order)
    tracked = tracking.active() if fabric.global_rank == 0 else tracking.StageRun()
    history = History(tracked, order, TrainingImages(examples, settings), fabric.device)
    training = Training(fabric, Pretraining(model, settings), order, history, Checkpoints(state))
    if fabric.global_rank == 0 and any(examples.left_out.values()):
        counts = (f"{count} {reason.replace('_', ' ')}" for reason, count in examples.left_out.items() if count)
        print(f"images left out: {', '.join(counts)}", file=sys.stderr)
    if order.first and fabric.global_rank == 0:
        print(f"going on after step {order.first} of {order.steps}", file=sys.stderr)
    try:
        training.run(loading, validation)
    except torch.OutOfMemoryError as error:
        raise ValueError(
            f"the GPU's memory does not hold {order.batch // order.parts // order.ranks} images at a time: raise "
            f"pretrain.accumulate (the result differs by little), use more GPUs, set pretrain.precision to bf16-mixed, "
            f"or lower pretrain.batch or pretrain.image_size ({str(error).splitlines()[0]})"
        ) from None
    return training


def _sizes(split: Split) -> dict[str, int]:
    return {"images": len(split), "studies": len(set(split.studies))}


def _last_losses(rows: list[dict[str, float]]) -> dict[str, float]:
    """The mean of every term over the steps of the last epoch; empty without training."""
    losses = pd.DataFrame([row for row in rows if "loss" in row])
    if losses.empty:
        return {}
    losses["steps"] = losses["step"].diff().fillna(losses["step"])
    last = losses[losses["epoch"] == losses["epoch"].max()]
    return {
        name: float((last[column] * last["steps"]).sum() / last["steps"].sum())
        for name, column in {"total": "loss", **{term: term for term in terms_in(last)}}.items()
    }


def figures_of(training: Training, examples: Examples) -> dict[str, Any]:
    """The figures of a finished training."""
    return {
        "loss": _last_losses(training.history.rows),
        "validation": {"auroc": {"macro": training.macro_auroc, "per_class": training.auroc}},
        "train": _sizes(examples.train),
        "validate": _sizes(examples.validate),
        "left_out": examples.left_out,
        "steps": training.order.steps,
        "precision": training.settings.precision,
        "parameters": sum(parameter.numel() for parameter in training.task.model.parameters()),
    }


def trained(settings: Pretrain) -> tuple[Training, Examples, Path]:
    """Train on the inputs of the current workspace; also what was trained on, and where the state lies."""
    torch.set_num_threads(settings.threads)
    images = paths.IMAGES / settings.dataset
    examples = read_examples(images, LABELS, settings.uncertain)
    model = build_model(settings)
    precision = precision_of(settings.precision, device())
    settings = settings.model_copy(update={"image_size": model.config.image_size, "precision": precision})
    state = state_of(settings, images, examples)
    return train(model, settings, examples, state), examples, state


def terms_seen(settings: Pretrain, examples: Examples) -> Any:
    """How often the training saw each term, or null where that is unknown (see `core.model.terms`).

    What is served is what the last training saw: a model that is trained on may have forgotten what only an earlier one
    saw, and one that is taken as it is brings its own counts.

    Raises:
        ValueError: the model that is taken as it is says nothing about them.
    """
    return term_counts(examples.labels, examples.train) if settings.train else terms_of_training(INITIAL_MODEL)


def run(params: Params, item: str) -> dict[str, Any]:
    """Pretrain in the current workspace; returns the figures of `metrics/pretrain.json`.

    Raises:
        ValueError: an input is missing or does not fit the others, the loss is no longer finite, or memory does not
            suffice.
        TryAgain: TERM came; the same command goes on.
    """
    training, examples, state = trained(params.pretrain)
    figures = figures_of(training, examples)
    with whole_folder(paths.PRETRAINED) as folder:
        with training.averaged():
            save(training.task.model, folder)
        write_json(folder / "metrics.json", {**figures, "terms": terms_seen(params.pretrain, examples)})
    rows = training.history.rows
    history = pd.DataFrame(rows)
    history = history.reindex(columns=history.columns.union(["step", "loss"], sort=False))  # what DVC plots
    with whole_file(PLOTS / "history.csv") as temporary:
        history.to_csv(temporary, index=False, float_format="%.6g")
    plot_losses(rows, PLOTS / "loss.png")
    remove_when_done(state)
    return figures
