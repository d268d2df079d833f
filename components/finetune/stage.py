"""The stage: train from both starts at every share of the labelled patients, then look at the test split."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file

from components.core import paths
from components.core.metrics.classification import Cases, decision_figures, declared, ranking_figures
from components.core.metrics.estimate import Estimate, PatientBootstrap, rounded
from components.core.metrics.ranking import auroc_estimate
from components.core.model import VisionLanguageModel, load
from components.core.params import Finetune, Params
from components.core.records.predictions import prediction_rows
from components.core.records.shards import ImageShards
from components.core.records.tables import write_table
from components.core.records.whole import whole_folder, write_json
from components.finetune.examples import Labelled, read_labelled, subset
from components.finetune.plot import draw_shares
from components.finetune.task import new_classifier
from components.finetune.training import Fit, fit, scores

STARTS = ("pretrained", "scratch")
PRETRAINED, SCRATCH = STARTS


@dataclass(frozen=True)
class Result:
    """One share: its training images, and the fit from each start."""

    train: Labelled
    fits: dict[str, Fit]


def share_name(share: float) -> str:
    """The share as a key of a metrics file, such as 10_percent."""
    return f"{share * 100:g}".replace(".", "_") + "_percent"


def fit_shares(
    labelled: Labelled, shards: ImageShards, model: VisionLanguageModel, settings: Finetune
) -> dict[float, Result]:
    """Train from both starts at every share; every fit has equal steps, those of a pass over all training images."""
    train, validation = labelled.split("train"), labelled.split("validate")
    steps_a_look = max(1, -(-len(train) // settings.batch))
    subsets = {share: subset(train, share, settings.seed) for share in sorted(settings.shares)}
    results = {}
    for share, chosen in subsets.items():
        fits = {}
        for start in STARTS:
            trunk = model.trunk if start == PRETRAINED else None
            classifier = new_classifier(model.config.model.trunk, len(labelled.classes), trunk, settings.seed)
            side = model.config.image_size
            fits[start] = fit(classifier, chosen, validation, shards, side, steps_a_look, settings)
        results[share] = Result(chosen, fits)
    return results


def cases_of(labelled: Labelled, score_NC: npt.NDArray[np.float64], split: str) -> Cases:
    """Truth and scores of one split."""
    inside_N = (labelled.images["split"] == split).to_numpy()
    patients = tuple(labelled.images["patient_id"][inside_N])
    return Cases(labelled.classes, patients, labelled.truth_NC[inside_N], score_NC[inside_N])


def _macro_auroc(cases: Cases, names: tuple[str, ...], bootstrap: PatientBootstrap) -> Estimate:
    return Estimate.mean([auroc_estimate(*cases.column(name), bootstrap) for name in names])


def share_figures(
    labelled: Labelled, result: Result, score_NC: dict[str, npt.NDArray[np.float64]], settings: Finetune
) -> dict[str, Any]:
    """The figures of both starts at one share, and their paired difference over the same resampled patients."""
    tests = {start: cases_of(labelled, score_NC[start], "test") for start in STARTS}
    names = declared(tests[PRETRAINED], settings.min_positives)
    bootstrap = PatientBootstrap(tests[PRETRAINED].patients, settings.bootstrap, settings.seed)
    figures: dict[str, Any] = {
        "images": len(result.train),
        "patients": int(result.train.images["patient_id"].nunique()),
    }
    for start in STARTS:
        done = result.fits[start]
        figures[start] = {
            **ranking_figures(tests[start], names, bootstrap),
            **decision_figures(tests[start], cases_of(labelled, score_NC[start], "validate"), names, bootstrap),
            "steps": done.steps,
            "best_step": done.best_step,
            "validation_losses": [rounded(loss) for loss in done.validation_losses],
        }
    macro = {start: _macro_auroc(tests[start], names, bootstrap) for start in STARTS} if names else None
    gain = macro[PRETRAINED] - macro[SCRATCH] if macro else Estimate(float("nan"), np.array([]))
    return {**figures, "difference": gain.figure()}


def counts_of(labelled: Labelled) -> dict[str, Any]:
    """How many images, patients and positives each split has."""
    counts = {}
    for split in ("train", "validate", "test"):
        part = labelled.split(split)
        positives = {name: int((part.truth_NC[:, column] == 1).sum()) for column, name in enumerate(part.classes)}
        counts[split] = {
            "images": len(part), "patients": int(part.images["patient_id"].nunique()), "positives": positives
        }  # fmt: skip
    return counts


def write_models(folder: Path, labelled: Labelled, results: dict[float, Result], model: VisionLanguageModel) -> None:
    """The weights of every fit, what they are built from, and the patients of every subset."""
    for share, result in results.items():
        for start, done in result.fits.items():
            weights = {name: tensor.cpu().contiguous() for name, tensor in done.classifier.state_dict().items()}
            save_file(weights, folder / f"{start}_{share_name(share)}.safetensors")
    config = {
        "version": 1,
        "classes": list(labelled.classes),
        "image_size": model.config.image_size,
        "trunk": model.config.model.trunk.model_dump(mode="json"),
    }
    write_json(folder / "config.json", config)
    subsets = {share_name(share): sorted(set(result.train.images["patient_id"])) for share, result in results.items()}
    write_json(folder / "subsets.json", subsets)


def run(params: Params, task: str) -> dict[str, Any]:
    """Fine-tune on a dataset's own labels; returns the figures.

    Raises:
        ValueError: the task is not one of finetune.tasks, an input is missing, or labels are too few.
    """
    settings = params.finetune
    if task not in settings.tasks:
        raise ValueError(f"{task!r} is not one of finetune.tasks ({', '.join(settings.tasks)})")
    torch.set_num_threads(settings.threads)
    labelled, shards = read_labelled(paths.IMAGES / task), ImageShards(paths.IMAGES / task)
    model = load(paths.PRETRAINED)
    results = fit_shares(labelled, shards, model, settings)
    judged = labelled.where(labelled.images["split"].isin(["validate", "test"]).to_numpy())
    figures: dict[str, Any] = {"classes": list(labelled.classes), "images": counts_of(labelled), "shares": {}}
    with whole_folder(paths.PREDICTIONS / "finetune" / task) as folder:
        for share, result in results.items():
            score_NC = {
                start: scores(done.classifier, judged, shards, model.config.image_size, settings)
                for start, done in result.fits.items()
            }
            figures["shares"][share_name(share)] = share_figures(judged, result, score_NC, settings)
            for start, values_NC in score_NC.items():
                table = prediction_rows(judged.images, judged.classes, "label", judged.truth_NC, values_NC)
                write_table(folder / f"{start}_{share_name(share)}.parquet", table, "predictions")
    with whole_folder(paths.FINETUNED / task) as folder:
        write_models(folder, labelled, results, model)
    with whole_folder(paths.PLOTS / "finetune" / task) as folder:
        draw_shares({share: figures["shares"][share_name(share)] for share in results}, folder / "auroc.png")
    return figures
