"""The figures that one looks at first, one small file an evaluation: the table of `dvc metrics show`."""

from components.core import paths
from components.core.records.whole import whole_folder, write_json
from components.model_card.diagnosis import Diagnosis
from components.model_card.tuning import Tuning

FOLDER = paths.METRICS / "summary"


def summary_of(diagnoses: list[Diagnosis], tunings: list[Tuning]) -> dict[str, dict[str, float | None]]:
    """The rows of the table by their names."""
    rows: dict[str, dict[str, float | None]] = {}
    for diagnosis in diagnoses:
        rows[f"zero_shot_{diagnosis.dataset}"] = {
            "auroc": diagnosis.headline.auroc.value,
            "low": diagnosis.headline.auroc.low,
            "high": diagnosis.headline.auroc.high,
            "places": diagnosis.grounding.places,
            "pointing_game": diagnosis.grounding.pointing.value,
            "mean_position": diagnosis.grounding.baseline.value,
            "commonest_place": diagnosis.grounding.commonest.value,
            "dice": diagnosis.grounding.dice.estimate.value,
        }
    for tuning in tunings:
        for share in tuning.shares:
            pretrained, scratch = share.figures[tuning.headline][:2]
            rows[f"finetune_{tuning.task}_{share.key}"] = {
                tuning.headline.lower(): pretrained.value,
                "low": pretrained.low,
                "high": pretrained.high,
                "from_scratch": scratch.value,
            }
    return rows


def write_summary(diagnoses: list[Diagnosis], tunings: list[Tuning]) -> None:
    """Write a file a row."""
    with whole_folder(FOLDER) as folder:
        for name, row in summary_of(diagnoses, tunings).items():
            write_json(folder / f"{name}.json", row)
