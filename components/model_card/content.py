"""What stands in the model card, as plain values: the template only lays it out."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from components.core import paths
from components.core.comparison import Comparison, read_comparison
from components.core.gates import Verdict, judge_all
from components.core.model.terms import served_pathologies, terms_of_training
from components.core.params import Params
from components.core.records.digests import folder_digest
from components.core.records.whole import read_json
from components.model_card.data import archive
from components.model_card.diagnosis import diagnosis
from components.model_card.environment import environment
from components.model_card.estimates import readable
from components.model_card.pictures import Picture, pictures_of
from components.model_card.tuning import tuning
from components.model_card.weaknesses import weaknesses
from components.model_card.words import OTHER_MODELS, intended_use, limits, synthetic_data
from components.model_card.written import written

T = TypeVar("T")
COMPARISONS = Path("comparisons")
CODE = Path(__file__).parents[1]
CODE_KINDS = {".py", ".yaml", ".html", ".css"}


def evaluated(stage: str, names: Iterable[str], of: Callable[[str, Any], T]) -> Iterator[T]:
    """What is made of the figures of a mapped stage, for the items that have some, in the order of their names."""
    for name in names:
        path = paths.metrics_file(stage, name)
        if path.is_file():
            with written(path) as figures:
                yield of(name, figures)


def pretraining() -> dict[str, Any]:
    """The few figures of pretraining that the page's head tells."""
    with written(paths.metrics_file("pretrain")) as figures:
        return {**figures, "train": {**figures["train"], "images": int(figures["train"]["images"])},
                "parameters": int(figures["parameters"]), "steps": int(figures["steps"])}  # fmt: skip


def comparisons(folder: Path) -> list[Comparison]:
    """Every comparison that was made, `compare` first: it holds the model against simpler ways of pretraining."""
    found = [read_comparison(path) for path in sorted(folder.glob("*.json"))]
    return sorted(found, key=lambda comparison: (comparison.name != "compare", comparison.name))


def plain(content: Any) -> Any:
    """The content as JSON can hold it; a picture is what it shows in words."""
    if isinstance(content, Picture):
        return {"title": content.title, "shows": content.alternative}
    if isinstance(content, BaseModel):
        return content.model_dump(mode="json")
    if is_dataclass(content) and not isinstance(content, type):
        return {field.name: plain(getattr(content, field.name)) for field in fields(content)}
    if isinstance(content, Mapping):
        return {str(key): plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [plain(value) for value in content]
    return content


def content_of(params: Params) -> dict[str, Any]:
    """Everything the template needs, from the files of the current workspace.

    Raises:
        ValueError: a file is missing.
    """
    parameters = params.model_dump(mode="json", by_alias=True)
    verdicts: list[Verdict] = judge_all(params.register_.gates)
    diagnoses = list(evaluated("zero_shot", params.datasets, diagnosis))
    tunings = list(evaluated("finetune", params.finetune.tasks, tuning))
    archives = [archive(name, params) for name in params.datasets]
    synthetic = [one.name for one in archives if one.synthetic]
    known = {*(one.dataset for one in diagnoses), *(one.task for one in tunings)}
    missing = [name for name in (*params.datasets, *params.finetune.tasks) if name not in known]
    asked = {name for one in diagnoses for name in one.described}
    unasked = [name for name in params.zero_shot.open_vocabulary if name not in asked]
    training_known = terms_of_training(paths.PRETRAINED) is not None
    return {
        "name": params.register_.name,
        "alias": params.register_.alias,
        "synthetic_data": synthetic_data(synthetic) if synthetic else None,
        "intended_use": intended_use(training_known),
        "limits": [
            *limits(params.pretrain.init is not None, len(synthetic) == len(archives)),
            *([f"Not evaluated on {', '.join(missing)}: there are no figures of it."] if missing else []),
            *([f"Described, but asked of no dataset: {', '.join(unasked)}."] if unasked else []),
        ],
        "diagnoses": diagnoses,
        "fewest_places": params.zero_shot.min_positives,
        "tunings": tunings,
        "archives": archives,
        "weaknesses": list(weaknesses(diagnoses, tunings, archives)),
        "comparisons_are": OTHER_MODELS,
        "comparisons": comparisons(COMPARISONS),
        "pretraining_dataset": params.pretrain.dataset,
        "pretraining": pretraining(),
        "pretraining_pictures": pictures_of(paths.PLOTS / "pretrain"),
        "phantom_pictures": pictures_of(paths.PLOTS / "phantom"),
        "reports": list(readable(without_tables(read_json(paths.metrics_file("reports"))))),
        "knowledge": list(readable(read_json(paths.metrics_file("knowledge")))),
        "given": params.pretrain.init,
        "trained": params.pretrain.train,
        "seen": served_pathologies(paths.PRETRAINED),
        "verdicts": verdicts,
        "weights_digest": folder_digest(paths.PRETRAINED),
        "code_digest": folder_digest(CODE, CODE_KINDS),
        "environment": environment(),
        "parameters": {
            name: list(readable(parameters[name]))
            for name in ("datasets", "knowledge", "pretrain", "zero_shot", "finetune", "register")
        },
    }


def without_tables(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Figures without the counts of every single pathology, which would fill pages."""
    return {key: value for key, value in figures.items() if key != "studies"}
