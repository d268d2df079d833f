"""What stands in the model card, as plain values: the template only lays it out."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

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

COMPARISONS = Path("comparisons")
CODE = Path(__file__).parents[1]
CODE_KINDS = {".py", ".yaml", ".html", ".css"}


def figures_below(folder: Path) -> dict[str, Any]:
    """The figures of every item of a mapped stage."""
    return {path.stem: read_json(path) for path in sorted(folder.glob("*.json"))}


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
    zero_shot = figures_below(paths.METRICS / "zero_shot")
    finetune = figures_below(paths.METRICS / "finetune")
    parameters = params.model_dump(mode="json", by_alias=True)
    verdicts: list[Verdict] = judge_all(params.register_.gates)
    diagnoses = [diagnosis(name, zero_shot[name]) for name in params.datasets if name in zero_shot]
    tunings = [tuning(name, finetune[name]) for name in params.finetune.tasks if name in finetune]
    archives = [archive(name, params) for name in params.datasets]
    synthetic = [one.name for one in archives if one.synthetic]
    missing = [*(name for name in params.datasets if name not in zero_shot),
               *(name for name in params.finetune.tasks if name not in finetune)]  # fmt: skip
    training_known = terms_of_training(paths.PRETRAINED) is not None
    return {
        "name": params.register_.name,
        "alias": params.register_.alias,
        "synthetic_data": synthetic_data(synthetic) if synthetic else None,
        "intended_use": intended_use(training_known),
        "limits": [
            *limits(params.pretrain.init is not None, len(synthetic) == len(archives)),
            *([f"Not evaluated on {', '.join(missing)}: there are no figures of it."] if missing else []),
        ],
        "diagnoses": diagnoses,
        "fewest_places": params.zero_shot.min_positives,
        "tunings": tunings,
        "archives": archives,
        "weaknesses": list(weaknesses(diagnoses, tunings, archives)),
        "comparisons_are": OTHER_MODELS,
        "comparisons": comparisons(COMPARISONS),
        "pretraining_dataset": params.pretrain.dataset,
        "pretraining": read_json(paths.metrics_file("pretrain")),
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
