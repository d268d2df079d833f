"""What stands in the model card, as plain values: the template only lays it out."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.core import paths
from components.core.gates import Verdict, judge_all
from components.core.model.terms import served_pathologies
from components.core.params import Params
from components.core.records.digests import folder_digest
from components.core.records.whole import read_json

CODE = Path(__file__).parents[1]
CODE_KINDS = {".py", ".yaml", ".html", ".css"}


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; `value` is None where there were too few cases."""

    value: float | None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, figure: Mapping[str, Any] | None) -> "Estimate":
        """From a metrics file's `{"value", "low", "high"}`."""
        figure = figure or {}
        return cls(figure.get("value"), figure.get("low"), figure.get("high"))

    def __str__(self) -> str:
        if self.value is None:
            return "too few cases"
        if self.low is None or self.high is None:
            return f"{self.value:.2f}"
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True)
class Picture:
    """A picture inside the page: its title, what it shows in words, its bytes as an address, whether it needs width."""

    title: str
    alternative: str
    address: str
    wide: bool


@dataclass(frozen=True)
class ClassRow:
    """One class of a zero-shot evaluation."""

    name: str
    auroc: Estimate
    f1: Estimate
    pointing: Estimate
    baseline: Estimate
    positives: int
    negatives: int


@dataclass(frozen=True)
class Diagnosis:
    """Zero-shot figures of one dataset."""

    dataset: str
    truth: str
    auroc: Estimate
    pointing: Estimate
    baseline: Estimate
    difference: Estimate
    iou: Estimate
    dice: Estimate
    other_truths: list[tuple[str, Estimate]]
    severities: list[tuple[str, Estimate]]
    images: int
    patients: int
    classes: list[ClassRow]
    left_out: list[str]
    pictures: list[Picture]


@dataclass(frozen=True)
class Share:
    """Fine-tuning at one share of the labels; the key is that of the metrics file, such as `10_percent`."""

    key: str
    patients: int
    pretrained: Estimate
    scratch: Estimate
    difference: Estimate

    @property
    def name(self) -> str:
        """The share in words."""
        return self.key.replace("_", " ").replace("percent", "%")


@dataclass(frozen=True)
class Tuning:
    """Fine-tuning on one task; the figure is AUROC or Dice."""

    task: str
    figure: str
    shares: list[Share]
    pictures: list[Picture]


@dataclass(frozen=True)
class Archive:
    """One dataset: what was listed, taken and refused."""

    name: str
    layout: str
    synthetic: bool
    listed: int
    patients: int
    taken: int
    refused: int
    reasons: dict[str, int]
    quality: list[tuple[str, str]]
    digest: str


TRUTHS = {
    "drawn": "what the phantom drew, moderate or worse",
    "label": "the archive's own labels",
    "report": "what the reports say",
}
HEADLINES = {"auroc": "AUROC", "dice": "Dice"}  # of a fine-tuning task
PICTURES = {
    "roc.png": ("ROC curves", "ROC curves of every declared class on test patients of {of}; the table has the areas"),
    "reliability.png": ("Reliability", "Share of positives against predicted probability on test patients of {of}"),
    "overlay.png": (
        "Where the model looks",
        "Test radiographs of {of}, each with the attention of one finding in colour and the true place as a box",
    ),
    "loss.png": ("Losses", "Losses of the pretraining against the step"),
    "auroc.png": ("Gain of pretraining", "AUROC by share of the labels on {of}, pretrained and from scratch"),
    "contact_sheet.png": ("Synthetic radiographs", "Contact sheet of synthetic chest radiographs with their findings"),
}
WIDE = {"overlay.png", "contact_sheet.png", "loss.png"}


def pictures_of(folder: Path, of: str = "") -> list[Picture]:
    """Every PNG of a folder, known ones first and with their titles."""
    order = list(PICTURES)
    files = sorted(folder.glob("*.png"), key=lambda file: (order.index(file.name) if file.name in order else 99, file))
    found = []
    for file in files:
        title, alternative = PICTURES.get(
            file.name, (file.stem.replace("_", " ").capitalize(), f"{file.stem} of {{of}}")
        )
        content = base64.b64encode(file.read_bytes()).decode("ascii")
        address = f"data:image/png;base64,{content}"
        found.append(Picture(title, alternative.format(of=of), address, file.name in WIDE))
    return found


def figures_below(folder: Path) -> dict[str, Any]:
    """The figures of every item of a mapped stage."""
    return {path.stem: read_json(path) for path in sorted(folder.glob("*.json"))}


def readable(figures: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every single value of nested figures as a line: its path in words, and itself; lists of mappings left out."""
    if isinstance(figures, Mapping):
        for key, value in figures.items():
            yield from readable(value, f"{prefix}, {key}" if prefix else str(key))
    elif isinstance(figures, bool):
        yield prefix.replace("_", " "), "yes" if figures else "no"
    elif isinstance(figures, int):
        yield prefix.replace("_", " "), f"{figures:,}"
    elif isinstance(figures, float):
        yield prefix.replace("_", " "), f"{figures:.4g}"
    elif isinstance(figures, str):
        yield prefix.replace("_", " "), figures
    elif isinstance(figures, list) and all(isinstance(value, str | int | float) for value in figures):
        yield prefix.replace("_", " "), ", ".join(str(value) for value in figures)


def diagnosis(dataset: str, figures: Mapping[str, Any]) -> Diagnosis:
    """The zero-shot figures of a dataset."""
    pointing = figures.get("pointing_game") or {}
    f1, pointed = (figures.get("f1") or {}).get("per_class", {}), pointing.get("per_class", {})
    classes = [
        ClassRow(name, Estimate.of(row), Estimate.of(f1.get(name)), Estimate.of(pointed.get(name)),
                 Estimate((pointed.get(name) or {}).get("baseline")), row["positives"], row["negatives"])
        for name, row in figures["auroc"]["per_class"].items()
    ]  # fmt: skip
    test = figures["images"]["test"]
    return Diagnosis(
        dataset=dataset,
        truth=TRUTHS[figures["truth"]],
        auroc=Estimate.of(figures["auroc"]["macro"]),
        pointing=Estimate.of(pointing),
        baseline=Estimate.of(pointing.get("baseline_mean_position")),
        difference=Estimate.of(pointing.get("difference")),
        iou=Estimate.of(figures.get("iou")),
        dice=Estimate.of(figures.get("dice")),
        other_truths=[
            (words, Estimate.of(figures[f"{kind}_truth"]["auroc"]["macro"]))
            for kind, words in TRUTHS.items()
            if f"{kind}_truth" in figures
        ],
        severities=[
            (grade, Estimate.of(row["auroc"]["macro"])) for grade, row in figures.get("by_severity", {}).items()
        ],
        images=test["images"],
        patients=test["patients"],
        classes=sorted(classes, key=lambda row: -(row.auroc.value or 0)),
        left_out=sorted(figures["too_few"]),
        pictures=pictures_of(paths.PLOTS / "zero_shot" / dataset, dataset),
    )


def tuning(task: str, figures: Mapping[str, Any]) -> Tuning:
    """The fine-tuning figures of a task."""
    headline = figures["headline"]

    def of(start: Mapping[str, Any]) -> Estimate:
        return Estimate.of(start[headline].get("macro", start[headline]))

    shares = [
        Share(key, row["patients"], of(row["pretrained"]), of(row["scratch"]), Estimate.of(row["difference"]))
        for key, row in figures["shares"].items()
    ]
    return Tuning(task, HEADLINES[headline], shares, pictures_of(paths.PLOTS / "finetune" / task, task))


def archive(name: str, params: Params) -> Archive:
    """What became of a dataset's images."""
    listed = read_json(paths.metrics_file("inventory", name))
    taken = read_json(paths.metrics_file("ingest", name))
    quality = paths.metrics_file("quality", name)
    dataset = params.datasets[name]
    return Archive(
        name=name,
        layout=dataset.layout,
        synthetic=paths.PHANTOM_ARCHIVES in Path(dataset.root).parents,
        listed=listed["images"],
        patients=listed["patients"],
        taken=taken["manifest"],
        refused=taken["rejected"] + taken["rejected_studies"],
        reasons=taken["rejected_by_reason"],
        quality=list(readable(read_json(quality))),
        digest=listed["digest"],
    )


def content_of(params: Params) -> dict[str, Any]:
    """Everything the template needs, from the files of the current workspace.

    Raises:
        ValueError: a file is missing.
    """
    zero_shot = figures_below(paths.METRICS / "zero_shot")
    finetune = figures_below(paths.METRICS / "finetune")
    parameters = params.model_dump(mode="json", by_alias=True)
    verdicts: list[Verdict] = judge_all(params.register_.gates)
    return {
        "name": params.register_.name,
        "alias": params.register_.alias,
        "diagnoses": [diagnosis(name, zero_shot[name]) for name in params.datasets if name in zero_shot],
        "tunings": [tuning(name, finetune[name]) for name in params.finetune.tasks if name in finetune],
        "archives": [archive(name, params) for name in params.datasets],
        "pretraining_dataset": params.pretrain.dataset,
        "pretraining": read_json(paths.metrics_file("pretrain")),
        "pretraining_pictures": pictures_of(paths.PLOTS / "pretrain"),
        "phantom_pictures": pictures_of(paths.PLOTS / "phantom"),
        "reports": list(readable(without_tables(read_json(paths.metrics_file("reports"))))),
        "knowledge": list(readable(read_json(paths.metrics_file("knowledge")))),
        "seen": served_pathologies(paths.PRETRAINED),
        "verdicts": verdicts,
        "weights_digest": folder_digest(paths.PRETRAINED),
        "code_digest": folder_digest(CODE, CODE_KINDS),
        "parameters": {
            name: list(readable(parameters[name]))
            for name in ("datasets", "knowledge", "pretrain", "zero_shot", "finetune", "register")
        },
    }


def without_tables(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Figures without the counts of every single pathology, which would fill pages."""
    return {key: value for key, value in figures.items() if key != "studies"}
