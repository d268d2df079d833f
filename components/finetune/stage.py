"""The stage: learn a task from every start at every share of the labelled patients, then look at the test split."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from components.core import augmentation, metrics, paths, records, vocabulary
from components.core import model as model_room
from components.core.checkpoints import code_in, digest_of
from components.core.devices import device, precision_of
from components.core.metrics.classification import undefined
from components.core.metrics.estimate import rounded
from components.core.model import VisionLanguageModel, load
from components.core.params import Finetune, Params
from components.core.records.shards import ImageShards
from components.core.records.tables import write_table
from components.core.records.whole import whole_folder, write_json
from components.core.state import remove_when_done, state_folder
from components.core.stopping import told_to_stop
from components.core.tensors import write_tensors
from components.finetune import classification, segmentation
from components.finetune.examples import SPLITS, Labelled, missing_classes, read_labelled, subset
from components.finetune.overlays import draw_overlays
from components.finetune.plot import draw_shares
from components.finetune.starts import IMAGENET, PRETRAINED, SCRATCH, new_network, starts
from components.finetune.training import Fit, Schooling

ROOMS = (augmentation, metrics, model_room, records, vocabulary)
CODE = (*(Path(room.__path__[0]) for room in ROOMS), Path(__file__).parent)
KINDS = {"classification": classification, "segmentation": segmentation}
Judged = classification.Judged | segmentation.Judged


def share_name(share: float) -> str:
    """The share as a key of a metrics file, such as 10_percent."""
    return f"{share * 100:g}".replace(".", "_") + "_percent"


def state_of(task: str, settings: Finetune, images: Path, shards: ImageShards) -> Path:
    """Where the unfinished work of a task with these inputs, parameters and code is kept."""
    models = [path for path in sorted(paths.PRETRAINED.iterdir()) if path.is_file()]
    given = [Path(settings.imagenet)] if settings.imagenet and Path(settings.imagenet).is_file() else []
    tables = [images / "manifest.parquet", images / "annotations.parquet"]
    content = {**settings.model_dump(mode="json"), "tasks": settings.tasks[task].model_dump(mode="json")}
    return state_folder("finetune") / digest_of(content, [*tables, *models, *given, *code_in(CODE)], shards)


class Task:
    """One task of finetune.tasks: its images, and what every share of it is trained and judged with.

    Raises:
        ValueError: an input is missing or damaged, the file of ImageNet weights among them.
    """

    def __init__(self, name: str, settings: Finetune, told: list[int]) -> None:
        self.name, self.settings, self.kind = name, settings, settings.tasks[name].kind
        images = paths.IMAGES / settings.tasks[name].dataset
        self.model: VisionLanguageModel = load(paths.PRETRAINED)
        self.shards = ImageShards(images)
        self.labelled = read_labelled(images, self.kind)
        for shard in sorted(set(self.labelled.images["shard"])):
            self.shards.open(shard)
        self.train, self.test = self.labelled.split("train"), self.labelled.split("test")
        self.judged = self.labelled.split("validate", "test")
        self.state = state_of(name, settings, images, self.shards)
        self.schooling = Schooling(
            validation=self.labelled.split("validate"),
            shards=self.shards,
            side=self.model.config.image_size,
            loss=segmentation.MaskLoss() if self.kind == "segmentation" else classification.masked_loss,
            steps_a_look=max(1, -(-len(self.train) // settings.batch)),
            settings=settings,
            state=self.state,
            told=told,
        )
        if IMAGENET in starts(settings):
            self.new_network(IMAGENET)  # a file that does not fit is refused before hours of training

    def new_network(self, start: str) -> nn.Module:
        """The network of a start, before its training."""
        return new_network(start, self.kind, self.model, len(self.labelled.classes), self.settings)

    def missing(self, chosen: Labelled) -> dict[str, str]:
        """The classes without a figure at a share, each with the reason."""
        kinds = ("positive", "negative") if self.kind == "classification" else ("positive",)
        return missing_classes(chosen, self.test, self.settings.min_positives, kinds)

    def judge(self, fit: Fit, missing: dict[str, str]) -> Judged:
        """What a trained network says of the validation and test images."""
        return KINDS[self.kind].Judged(
            fit.network, self.judged, self.shards, self.schooling.side, self.settings, missing
        )


class Share:
    """The fits of a task at one share of its labelled patients, and what they are worth."""

    def __init__(self, task: Task, share: float) -> None:
        self.task, self.key = task, share_name(share)
        self.chosen = subset(task.train, share, task.settings.seed)
        self.missing = task.missing(self.chosen)
        self.fits: dict[str, Fit] = {}
        self.judged: dict[str, Judged] = {}

    @property
    def learns_something(self) -> bool:
        """Whether a class has a positive, and for a classification a negative, too."""
        truth_NC = self.chosen.truth_NC
        learnt_C = (truth_NC == 1).any(0)
        if self.task.kind == "classification":
            learnt_C &= (truth_NC == 0).any(0)
        return bool(learnt_C.any())

    def fit(self) -> None:
        """Train from every start."""
        for start in starts(self.task.settings):
            network = self.task.new_network(start)
            fit = self.task.schooling.fit(f"{start}_{self.key}", network, self.chosen)
            self.fits[start], self.judged[start] = fit, self.task.judge(fit, self.missing)

    def figures(self) -> dict[str, Any]:
        """Figures from every start, and their paired differences over the same resampled patients."""
        own: dict[str, Any] = {**self.chosen.counts(), "missing": self.missing}
        for start in starts(self.task.settings):
            own[start] = self._figures_of(start)
        own["difference"] = self._difference(SCRATCH)
        if IMAGENET in starts(self.task.settings):
            own["difference_from_imagenet"] = self._difference(IMAGENET)
        return own

    def _figures_of(self, start: str) -> dict[str, Any]:
        if start not in self.fits:
            return KINDS[self.task.kind].NOTHING_LEARNT
        fit = self.fits[start]
        return {
            **self.judged[start].figures,
            "steps": fit.steps,
            "best_step": fit.best_step,
            "validation_losses": [rounded(loss) for loss in fit.validation_losses],
        }

    def _difference(self, other: str) -> dict[str, Any]:
        pair = [self.judged[start].headline if start in self.judged else None for start in (PRETRAINED, other)]
        if pair[0] is None or pair[1] is None:
            return undefined("no figure of both starts")
        return (pair[0] - pair[1]).figure()


def write_models(folder: Path, task: Task, shares: list[Share]) -> None:
    """The weights of every fit, what they are built from, and the patients and images of every subset."""
    for share in shares:
        for start, fit in share.fits.items():
            weights = {name: tensor.cpu().contiguous() for name, tensor in fit.network.state_dict().items()}
            write_tensors(weights, folder / f"{start}_{share.key}.safetensors")
    config = task.model.config
    write_json(
        folder / "config.json",
        {
            "version": 1,
            "kind": task.kind,
            "classes": list(task.labelled.classes),
            "image_size": config.image_size,
            "trunk": config.model.trunk.model_dump(mode="json"),
        },
    )
    patients = {share.key: sorted(set(share.chosen.images["patient_id"])) for share in shares}
    write_json(folder / "subsets.json", patients)


def run(params: Params, name: str) -> dict[str, Any]:
    """Learn a task from few labels; returns the figures.

    Raises:
        ValueError: the task is not one of finetune.tasks, an input is missing, or a split has no labels.
        TryAgain: TERM came; what has been done is kept.
    """
    precision = precision_of(params.finetune.precision, device())
    settings = params.finetune.model_copy(update={"precision": precision})
    if name not in settings.tasks:
        raise ValueError(f"{name!r} is not one of finetune.tasks ({', '.join(settings.tasks)})")
    torch.set_num_threads(settings.threads)
    with told_to_stop() as told:
        task = Task(name, settings, told)
        shares = [Share(task, share) for share in sorted(settings.shares)]
        for share in shares:
            if share.learns_something:
                share.fit()
    figures = {
        "kind": task.kind,
        "dataset": settings.tasks[name].dataset,
        "precision": settings.precision,
        "headline": KINDS[task.kind].HEADLINE,
        "classes": list(task.labelled.classes),
        "images": {split: task.labelled.split(split).counts() for split in SPLITS},
        "left_out": dict(task.labelled.left_out),
        "outlines": dict(task.labelled.oddities),
        "shares": {share.key: share.figures() for share in shares},
    }
    with whole_folder(paths.PREDICTIONS / "finetune" / name) as folder:
        for share in shares:
            for start, one in share.judged.items():
                write_table(folder / f"{start}_{share.key}.parquet", one.table, KINDS[task.kind].TABLE)
    with whole_folder(paths.FINETUNED / name) as folder:
        write_models(folder, task, shares)
    with whole_folder(paths.PLOTS / "finetune" / name) as folder:
        draw_shares(figures, folder / f"{figures['headline']}.png")
        judged = shares[-1].judged.get(PRETRAINED)
        if task.kind == "segmentation" and judged is not None:
            draw_overlays(judged.table, task.test, task.shards, folder / "overlays.png")
    remove_when_done(task.state)
    return figures
