"""The stage: read, ask the model, judge, write."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch.nn import functional

from components.core import paths
from components.core.devices import device
from components.core.metrics.classification import undefined
from components.core.metrics.estimate import rounded
from components.core.model import VisionLanguageModel, load
from components.core.model.terms import served_pathologies
from components.core.params import Params
from components.core.records.datasets import left_out_of, read_annotations, read_manifest
from components.core.records.labels import StudyLabels
from components.core.records.letterbox import Letterbox
from components.core.records.predictions import prediction_rows
from components.core.records.shards import ImageShards
from components.core.records.tables import write_table
from components.core.records.views import FRONTAL
from components.core.records.whole import whole_folder
from components.core.text.books import read_books
from components.core.text.encoder import load_encoder
from components.core.vocabulary import PATHOLOGIES, VISIBLE, class_map
from components.zero_shot.classification import Judged, by_severity, figures_of
from components.zero_shot.grounding import MapOf, grounding_figures, judged_places, map_reader, paired_difference
from components.zero_shot.places import Place, annotated_places, drawn_places
from components.zero_shot.plots import chosen_places, draw_overlays, draw_reliability, draw_roc, extreme_places
from components.zero_shot.predict import Answers, ask, batches, by_class
from components.zero_shot.truth import Drawn, Truth, drawn_truth, label_truth, read_drawn, report_truth

SPLITS = ("train", "validate", "test")
NEAREST_SHOWN = 3  # terms beside a new definition
BOOK_TOLERANCE = 1e-3  # what another machine may make of the same text
NO_PLACE = {**undefined("no class that is evaluated has a place"), "n": 0}


@dataclass(frozen=True)
class Dataset:
    """What is known of the frontal images of a dataset.

    Attributes:
        images: the manifest's rows of frontal images, every split.
        asked: the rows of validation and test images: the only ones that the model sees here.
        annotations: labels, boxes and masks of the dataset itself.
        drawn: what the phantom drew; None where the archive is no phantom.
        labels: what the reports say; None where the dataset has none.
        classes: the dataset's own classes and the served pathologies of each; empty where it has none.
        classes_not_served: the dataset's own classes none of whose pathologies is served.
        described: the dataset's own classes that the vocabulary lacks, each with its definition (open vocabulary).
        served: the pathologies that the model was trained for.
        size: side of the shards' images in pixels.
        left_out: how many images the figures are not of, and how many that only the annotations know, by the reason.
    """

    images: pd.DataFrame
    asked: pd.DataFrame
    annotations: pd.DataFrame
    drawn: Drawn | None
    labels: StudyLabels | None
    classes: dict[str, tuple[str, ...]]
    classes_not_served: tuple[str, ...]
    described: dict[str, str]
    served: tuple[str, ...]
    size: int
    left_out: dict[str, int]


def understands(model: VisionLanguageModel) -> bool:
    """Whether definitions can be put to the model: the run's text encoder must be the one that made its books.

    Raises:
        ValueError: the run's books cannot be read.
    """
    ours_AT, theirs_AT = read_books(paths.BOOKS).anatomies, model.book_a_AT
    same = ours_AT.shape == theirs_AT.shape and torch.allclose(ours_AT, theirs_AT, atol=BOOK_TOLERANCE)
    return model.knows_text and same


def read_dataset(params: Params, name: str, shards: ImageShards, model: VisionLanguageModel) -> Dataset:
    """Read the tables of a dataset, for a model that can be asked for definitions or not.

    Raises:
        ValueError: a table is missing, or no frontal image is in the test split.
    """
    folder = paths.IMAGES / name
    manifest = read_manifest(folder)
    images = manifest[manifest["view"].isin(FRONTAL)].reset_index(drop=True)
    asked = images[images["split"].isin(["validate", "test"])].reset_index(drop=True)
    if not (asked["split"] == "test").any():
        raise ValueError(f"{name} has no frontal image in its test split: there is nothing to evaluate")
    annotations = read_annotations(folder)
    served = served_pathologies(paths.PRETRAINED)
    has_reports = name == params.pretrain.dataset
    labelled = set(annotations["name"][annotations["kind"] == "label"])
    new = {key: text for key, text in params.zero_shot.open_vocabulary.items() if key in labelled}
    described = new if new and understands(model) else {}
    own = class_map(params.datasets[name].layout) if labelled else {}
    own = {**{key: terms for key, terms in own.items() if key not in new}, **dict.fromkeys(new.keys() - described, ())}
    classes = {key: tuple(term for term in terms if term in served) for key, terms in own.items()}
    return Dataset(
        images=images,
        asked=asked,
        annotations=annotations,
        drawn=read_drawn(paths.PHANTOM_TRUTH, images),
        labels=StudyLabels.read(paths.FINDINGS / "labels.npz") if has_reports else None,
        classes={key: terms for key, terms in classes.items() if terms} | {key: (key,) for key in described},
        classes_not_served=tuple(key for key, terms in classes.items() if not terms),
        described=described,
        served=served,
        size=len(shards[int(asked["shard"].iloc[0]), int(asked["row"].iloc[0])]),
        left_out=left_out_of(manifest, annotations),
    )


def encoded_definitions(dataset: Dataset) -> dict[str, torch.Tensor]:
    """The text encoder's state [T] of each definition of the open vocabulary that the dataset has a class for.

    Raises:
        ValueError: something is described, and the text encoder is missing.
    """
    if not dataset.described:
        return {}
    encoded = load_encoder(str(paths.TEXT_ENCODER)).encode(list(dataset.described.values()))
    return dict(zip(dataset.described, encoded, strict=True))


def nearest_terms(book_PT: torch.Tensor, described: Mapping[str, torch.Tensor]) -> dict[str, dict[str, float | None]]:
    """The pathologies whose definitions are nearest to each new one, by cosine about the book's mean.

    They tell whether the text encoder takes a sentence as it was meant: its query looks for what they look like.
    """
    mean_T = book_PT.mean(0)
    unit_PT = functional.normalize(book_PT - mean_T, dim=-1)
    cosines = {name: unit_PT @ functional.normalize(state_T - mean_T, dim=-1) for name, state_T in described.items()}
    return {
        name: {PATHOLOGIES[place]: rounded(float(cosine_P[place])) for place in cosine_P.topk(NEAREST_SHOWN).indices}
        for name, cosine_P in cosines.items()
    }


def answers_of(
    dataset: Dataset,
    shards: ImageShards,
    model: VisionLanguageModel,
    batch: int,
    described: Mapping[str, torch.Tensor],
) -> Answers:
    """The model's answers for its vocabulary, and for what the open vocabulary describes."""
    image_ids = dataset.asked["image_id"].tolist()

    def images() -> Iterator[torch.Tensor]:
        return batches(dataset.asked, shards, model.config.image_size, batch)

    answers = ask(model, images(), image_ids, dataset.served, device())
    if not described:
        return answers
    return answers + ask(model, images(), image_ids, list(described), device(), described)


def judged_truths(dataset: Dataset, answers: Answers, min_severity: float) -> Iterator[Judged]:
    """Every kind of truth that the dataset has: drawn, then labels, then reports."""
    image_ids = dataset.asked["image_id"].tolist()
    visible: dict[str, tuple[str, ...]] = {name: (name,) for name in VISIBLE if name in dataset.served}

    def judge(truth: Truth, classes: dict[str, tuple[str, ...]]) -> Judged:
        return Judged(dataset.asked, truth, by_class(answers, classes))

    if dataset.drawn is not None:
        new = [name for name in dataset.described if (dataset.drawn.findings["pathology"] == name).any()]
        shown = visible | {name: (name,) for name in new}
        yield judge(drawn_truth(dataset.drawn, image_ids, tuple(shown), min_severity), shown)
    if dataset.classes:
        truth = label_truth(dataset.annotations, image_ids, tuple(dataset.classes))
        yield judge(truth, dataset.classes)
    if dataset.labels is not None:
        yield judge(report_truth(dataset.labels, dataset.asked["study_id"].tolist(), tuple(visible)), visible)


def headline_first(dataset: Dataset, truths: Iterable[Judged]) -> list[Judged]:
    """The truths, the headline's first: the labels where they ask for what the vocabulary lacks, else as they come.

    Such a dataset was made for that one question, whatever else may be drawn in its images.
    """
    return sorted(truths, key=lambda judged: bool(dataset.described) and judged.truth.kind != "label")


def places_of(dataset: Dataset, judged: Judged, names: tuple[str, ...], min_severity: float) -> list[Place]:
    """The places of one kind of truth: the dataset's own boxes and masks for labels, what was drawn for drawn truth."""
    images = dataset.images
    shapes = zip(images["image_id"], images["rows"], images["columns"], strict=True)
    radiographs = {image: Letterbox.of(rows, columns, dataset.size) for image, rows, columns in shapes}
    if judged.truth.kind == "label":
        return annotated_places(dataset.annotations, names, radiographs)
    if judged.truth.kind == "drawn" and dataset.drawn is not None:
        return drawn_places(dataset.drawn, names, min_severity, radiographs)
    return []


@dataclass(frozen=True)
class Grounding:
    """The places of a dataset by split, and the maps to hold against them.

    Attributes:
        judged: the kind of truth whose places they are.
        places: places with at least one pixel, by split.
        outside: how many places lie outside their image.
        map_of: gives the map of a place: of the pathology's query.
        both_of: the same of both streams together.
        test_rows: how well `map_of` shows each test place (see `judged_places`).
    """

    judged: Judged
    places: dict[str, list[Place]]
    outside: int
    map_of: MapOf
    both_of: MapOf
    test_rows: pd.DataFrame


def grounding_of(dataset: Dataset, answers: Answers, truths: list[Judged], params: Params) -> Grounding | None:
    """The places that grounding is judged by: the dataset's own where it has some, else those that were drawn.

    Of the drawn ones, those of the described classes alone where there are any: they are the dataset's own question.
    """
    split_of = dict(zip(dataset.images["image_id"], dataset.images["split"], strict=True))
    for judged in sorted(truths, key=lambda judged: judged.truth.kind != "label"):
        declared = judged.declared(params.zero_shot)
        names = tuple(name for name in declared if name in dataset.described) or declared
        places = places_of(dataset, judged, names, params.zero_shot.min_severity)
        if places:
            inside = [place for place in places if place.mask_SS.any()]
            by_split = {split: [place for place in inside if split_of[place.image_id] == split] for split in SPLITS}
            map_of, both_of = (map_reader(answers, judged.answers, both) for both in (False, True))
            patient_of = dict(zip(dataset.images["image_id"], dataset.images["patient_id"], strict=True))
            rows = judged_places(by_split, map_of, patient_of)
            return Grounding(judged, by_split, len(places) - len(inside), map_of, both_of, rows)
    return None


def predictions_of(judged: Judged) -> pd.DataFrame:
    """The predictions of one kind of truth."""
    truth = judged.truth
    return prediction_rows(
        judged.images, truth.names, truth.kind, truth.truth_NC, judged.answers.score_NC, truth.severity_NC
    )


def counts_of(dataset: Dataset) -> dict[str, Any]:
    """How many images and patients the figures rest on."""
    return {
        str(split): {"images": len(rows), "patients": int(rows["patient_id"].nunique())}
        for split, rows in dataset.images.groupby("split", sort=True)
    }


def all_figures(dataset: Dataset, truths: list[Judged], grounding: Grounding | None, params: Params) -> dict[str, Any]:
    """The content of the metrics file: the headline's figures, then the other truths under their names."""
    section = params.zero_shot
    result = figures_of(truths[0], section)
    result["images"] = counts_of(dataset)
    result["left_out"] = dataset.left_out
    result["served"] = list(dataset.served)
    result["classes"] = {key: list(terms) for key, terms in dataset.classes.items()}
    result["classes_not_served"] = list(dataset.classes_not_served)
    result["open_vocabulary"] = dict(dataset.described)
    for judged in truths[1:]:
        result[f"{judged.truth.kind}_truth"] = figures_of(judged, section)
    for judged in truths:
        if judged.truth.kind == "drawn":
            result["min_severity"] = section.min_severity
            result["by_severity"] = by_severity(judged, section)
    if grounding is None:
        result |= {"pointing_game": {**NO_PLACE, "per_class": {}}, "iou": NO_PLACE, "dice": NO_PLACE}
    else:
        patient_of = dict(zip(dataset.images["image_id"], dataset.images["patient_id"], strict=True))
        result["grounding_truth"] = grounding.judged.truth.kind
        result["places_outside_image"] = grounding.outside
        drawn = section.bootstrap, section.seed
        result |= grounding_figures(grounding.places, grounding.map_of, patient_of, *drawn)
        result["both_streams"] = {
            **grounding_figures(grounding.places, grounding.both_of, patient_of, *drawn),
            "gain_in_pointing": paired_difference(
                grounding.both_of, grounding.map_of, grounding.places["test"], patient_of, *drawn
            ),
        }
    return result


def draw(
    folder: Path,
    dataset: Dataset,
    shards: ImageShards,
    truths: list[Judged],
    grounding: Grounding | None,
    params: Params,
) -> None:
    """The pictures of the stage."""
    for judged in truths:
        which = "" if judged is truths[0] else f"_{judged.truth.kind}"
        cases = judged.cases("test").selected(judged.declared(params.zero_shot))
        if not cases.names:
            continue
        draw_roc(cases, folder / f"roc{which}.png")
        draw_reliability(cases, folder / f"reliability{which}.png")
    if grounding is not None and params.zero_shot.overlays:
        row_of = {name: row for row, name in enumerate(dataset.asked["image_id"])}
        image_places = dataset.asked[["shard", "row"]].to_numpy().tolist()
        answers = grounding.judged.answers

        def image_of(place: Place) -> Any:
            shard, row = image_places[row_of[place.image_id]]
            return shards[shard, row]

        def score_of(place: Place) -> float:
            return float(answers.score_NC[row_of[place.image_id], answers.names.index(place.name)])

        test, dice_N = grounding.places["test"], grounding.test_rows["dice"].tolist()
        turns = [(place, f"score {score_of(place):.2f}") for place in chosen_places(test, params.zero_shot.overlays)]
        for file, chosen in (("overlay.png", turns), ("extremes.png", extreme_places(test, dice_N))):
            draw_overlays(chosen, image_of, grounding.map_of, folder / file)


def run(params: Params, name: str) -> dict[str, Any]:
    """Evaluate the pretrained model on a dataset; returns its figures.

    Raises:
        ValueError: the dataset is not one of params.yaml's, an input is missing, or nothing says what is true.
    """
    if name not in params.datasets:
        raise ValueError(f"{name!r} is not one of the datasets ({', '.join(params.datasets)})")
    torch.set_num_threads(params.zero_shot.threads)
    shards = ImageShards(paths.IMAGES / name)
    model = load(paths.PRETRAINED)
    dataset = read_dataset(params, name, shards, model)
    described = encoded_definitions(dataset)
    answers = answers_of(dataset, shards, model, params.zero_shot.batch, described)
    truths = headline_first(dataset, judged_truths(dataset, answers, params.zero_shot.min_severity))
    if not truths:
        raise ValueError(f"{name} has no reports, no labels and no drawn truth: nothing says what is true")
    grounding = grounding_of(dataset, answers, truths, params)
    figures = all_figures(dataset, truths, grounding, params)
    figures["nearest_terms"] = nearest_terms(model.book_p_PT.cpu(), described)
    with whole_folder(paths.PREDICTIONS / "zero_shot" / name) as folder:
        table = pd.concat([predictions_of(judged) for judged in truths], ignore_index=True)
        write_table(folder / "predictions.parquet", table, "predictions")
        if grounding is not None:
            write_table(folder / "places.parquet", grounding.test_rows, "places")
    with whole_folder(paths.PLOTS / "zero_shot" / name) as folder:
        draw(folder, dataset, shards, truths, grounding, params)
    return figures
