"""Figures of places: does the attention of a finding's query point to where the finding is?

Axes: N places (a finding in an image), T thresholds, S side in pixels.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from components.core.metrics.classification import undefined
from components.core.metrics.estimate import PatientBootstrap, mean_estimate, rounded
from components.core.metrics.grounding import normalised, overlap, peak, points_into
from components.zero_shot.places import Place
from components.zero_shot.predict import Answers, ClassAnswers

# Attention is peaked: scaled by its largest value, a whole finding may lie below a twentieth of it.
THRESHOLDS = np.concatenate([[0.005, 0.01, 0.02, 0.03], np.round(np.arange(0.05, 1.0, 0.05), 2)])
MapOf = Callable[[Place], npt.NDArray[np.float32]]


def map_reader(answers: Answers, classes: ClassAnswers, both: bool = False) -> MapOf:
    """A function that gives the map of a place's finding in its image, [S, S], from 0 to 1 within the radiograph.

    The map is that of the finding's query alone, or of both streams together. On the bars beside the radiograph, which
    no one would look at, it is 0.
    """
    maps_NQhw = answers.both_NQhw if both else answers.maps_NQhw
    row_of = {name: row for row, name in enumerate(answers.image_ids)}
    column_of = {name: column for column, name in enumerate(classes.names)}

    def map_of(place: Place) -> npt.NDArray[np.float32]:
        row = row_of[place.image_id]
        map_hw = maps_NQhw[row, classes.speaker_NC[row, column_of[place.name]]]
        map_SS = cv2.resize(map_hw, place.mask_SS.shape, interpolation=cv2.INTER_LINEAR)
        shown_SS = np.zeros_like(map_SS)
        place.radiograph.inside(shown_SS)[:] = normalised(place.radiograph.inside(map_SS))
        return shown_SS

    return map_of


def mean_positions(train: Sequence[Place]) -> dict[str, tuple[float, float]]:
    """The mean position (x, y) of each finding over the images of the training split, in shard pixels."""
    centres: dict[str, list[tuple[float, float]]] = {}
    for place in train:
        centres.setdefault(place.name, []).append(place.centre)
    means = {name: np.mean(points, axis=0) for name, points in sorted(centres.items())}
    return {name: (float(x), float(y)) for name, (x, y) in means.items()}


def mean_masks(train: Sequence[Place]) -> dict[str, npt.NDArray[np.float32]]:
    """The mean of the masks [S, S] of each finding over the images of the training split."""
    masks: dict[str, list[npt.NDArray[np.float32]]] = {}
    for place in train:
        masks.setdefault(place.name, []).append(place.mask_SS.astype(np.float32))
    return {name: np.mean(own, axis=0, dtype=np.float32) for name, own in sorted(masks.items())}


def overlaps(places: Sequence[Place], map_of: MapOf, thresholds_T: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Intersection over union and Dice of every place at every threshold, [N, 2, T]."""
    rows = [overlap(map_of(place)[None] >= thresholds_T[:, None, None], place.mask_SS) for place in places]
    return np.array(rows, np.float64).reshape(len(places), 2, len(thresholds_T))


def best_threshold(validation: Sequence[Place], map_of: MapOf) -> float | None:
    """The threshold with the largest mean Dice on validation places; None where there are none."""
    if not validation:
        return None
    dice_T = overlaps(validation, map_of, THRESHOLDS)[:, 1].mean(0)
    return float(THRESHOLDS[int(dice_T.argmax())])


def _hits_of_points(points: Mapping[str, tuple[float, float]], test: Sequence[Place]) -> npt.NDArray[np.float64]:
    """Whether the point (x, y) of each place's finding lies in it, [N]; nan where the finding has no point."""
    return np.array(
        [points_into(points[place.name], place.mask_SS) if place.name in points else np.nan for place in test],
        np.float64,
    )


def _pointing(
    test: Sequence[Place], train: Sequence[Place], map_of: MapOf, bootstrap: PatientBootstrap
) -> dict[str, Any]:
    """The pointing game, and the same game played without a look at the image.

    That is with the mean position of each finding, which of a finding of both sides lies between them; with the pixel
    that most training images show the finding at; and with any pixel, which hits as often as its finding is large. A
    finding that no training image shows stays out of the first two comparisons.
    """
    hit_N = np.array([points_into(peak(map_of(place)), place.mask_SS) for place in test], np.float64)
    mean_N = _hits_of_points(mean_positions(train), test)
    commonest_N = _hits_of_points({name: peak(mask_SS) for name, mask_SS in mean_masks(train).items()}, test)
    share_N = shares(test)
    name_N = np.array([place.name for place in test])
    per_class = {
        name: {
            **mean_estimate(np.where(name_N == name, hit_N, np.nan), bootstrap).figure(),
            "baseline": rounded(mean_N[name_N == name].mean()),
            "chance": rounded(share_N[name_N == name].mean()),
            "n": int((name_N == name).sum()),
        }
        for name in sorted(set(name_N.tolist()))
    }
    return {
        **mean_estimate(hit_N, bootstrap).figure(),
        "n": len(test),
        "tolerance_pixels": 0,
        "chance": mean_estimate(share_N, bootstrap).figure(),
        "baseline_mean_position": _where_known(mean_N, bootstrap),
        "difference": {**_where_known(hit_N - mean_N, bootstrap), "n": int(np.isfinite(mean_N).sum())},
        "baseline_commonest_place": _where_known(commonest_N, bootstrap),
        "difference_to_commonest_place": _where_known(hit_N - commonest_N, bootstrap),
        "per_class": per_class,
    }


def _where_known(values_N: npt.NDArray[np.float64], bootstrap: PatientBootstrap) -> dict[str, Any]:
    """The mean over the places whose finding has a mean position."""
    if not np.isfinite(values_N).any():
        return undefined("no training image shows where these findings are")
    return mean_estimate(values_N, bootstrap).figure()


def shares(places: Sequence[Place]) -> npt.NDArray[np.float64]:
    """The share of its radiograph that each place covers, [N]."""
    return np.array([place.share for place in places])


def _overlaps_of_mean_masks(places: Mapping[str, Sequence[Place]]) -> npt.NDArray[np.float64]:
    """The overlaps [N, 2] of test places with the mean mask of their finding, cut where validation places say.

    Nan where no training image, or no validation image, shows the finding.
    """
    means = mean_masks(places["train"])

    def map_of(place: Place) -> npt.NDArray[np.float32]:
        return normalised(means[place.name])

    known_N = np.array([place.name in means for place in places["test"]])
    threshold = best_threshold([place for place in places["validate"] if place.name in means], map_of)
    values_N2 = np.full((len(known_N), 2), np.nan)
    if threshold is not None:
        known = [place for place in places["test"] if place.name in means]
        values_N2[known_N] = overlaps(known, map_of, np.array([threshold]))[:, :, 0]
    return values_N2


def _overlap_figures(
    places: Mapping[str, Sequence[Place]], map_of: MapOf, threshold: float, bootstrap: PatientBootstrap
) -> dict[str, Any]:
    """IoU and Dice at the chosen threshold; beside each that of the whole radiograph, and of the mean mask."""
    share_N = shares(places["test"])
    values_N2 = overlaps(places["test"], map_of, np.array([threshold]))[:, :, 0]
    mean_N2 = _overlaps_of_mean_masks(places)
    return {
        name: {
            **mean_estimate(values_N2[:, axis], bootstrap).figure(),
            "chance": mean_estimate(chance_N, bootstrap).figure(),
            "baseline_mean_mask": _where_known(mean_N2[:, axis], bootstrap),
            "difference": _where_known(values_N2[:, axis] - mean_N2[:, axis], bootstrap),
            "n": len(share_N),
            "threshold": threshold,
            "source": "largest mean Dice on validation patients",
        }
        for axis, (name, chance_N) in enumerate((("iou", share_N), ("dice", 2 * share_N / (1 + share_N))))
    }


def judged_places(places: dict[str, list[Place]], map_of: MapOf, patient_of: dict[str, str]) -> pd.DataFrame:
    """How well the map of every test place shows it; the rows that the schema of places wants."""
    test, threshold = places["test"], best_threshold(places["validate"], map_of)
    values_N2 = np.full((len(test), 2), np.nan)
    if threshold is not None:
        values_N2 = overlaps(test, map_of, np.array([threshold]))[:, :, 0]
    return pd.DataFrame(
        {
            "image_id": [place.image_id for place in test],
            "patient_id": [patient_of[place.image_id] for place in test],
            "name": [place.name for place in test],
            "hit": [points_into(peak(map_of(place)), place.mask_SS) for place in test],
            "iou": values_N2[:, 0],
            "dice": values_N2[:, 1],
        }
    )


def grounding_figures(
    places: dict[str, list[Place]], map_of: MapOf, patient_of: dict[str, str], samples: int, seed: int
) -> dict[str, Any]:
    """Pointing game, IoU and Dice on test places, with 95 % intervals over patients.

    Beside each stands its `chance`, the pointing game of any pixel and the overlap of the whole radiograph, and what
    the mean place of the finding in training images gets, which needs no look at the image. Where there is
    no test place, or none to choose a threshold by, the figures are null and say so.

    Args:
        places: the places of each split; their masks are not empty.
        map_of: gives the map of a place (see `map_reader`).
        patient_of: the patient of each image.
        samples: bootstrap samples.
        seed: seed of the bootstrap.
    """
    test = places["test"]
    if not test:
        missing = {**undefined("no place in the test split"), "n": 0}
        return {"pointing_game": {**missing, "per_class": {}}, "iou": missing, "dice": missing}
    bootstrap = PatientBootstrap([patient_of[place.image_id] for place in test], samples, seed)
    result = {"pointing_game": _pointing(test, places["train"], map_of, bootstrap)}
    threshold = best_threshold(places["validate"], map_of)
    if threshold is not None:
        result |= _overlap_figures(places, map_of, threshold, bootstrap)
    else:
        missing = {**undefined("no place in the validation split to choose the threshold by"), "n": len(test)}
        result |= {"iou": missing, "dice": missing}
    return result


def paired_difference(
    first: MapOf, second: MapOf, test: list[Place], patient_of: dict[str, str], samples: int, seed: int
) -> dict[str, Any]:
    """The pointing game of the first maps less that of the second, on the same places and resamples of patients."""
    if not test:
        return undefined("no place in the test split")
    gain_N = np.array(
        [
            float(points_into(peak(first(place)), place.mask_SS)) - points_into(peak(second(place)), place.mask_SS)
            for place in test
        ]
    )
    return mean_estimate(
        gain_N, PatientBootstrap([patient_of[place.image_id] for place in test], samples, seed)
    ).figure()
