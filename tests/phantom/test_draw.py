"""What a drawing must be: reproducible, true to its masks, graded, and on the right side."""

from dataclasses import replace

import numpy as np
import pytest

from components.core.vocabulary import PATHOLOGY_INDEX
from components.phantom.draw import Drawing, draw, tight_box
from components.phantom.findings import PAINT, RESHAPE
from components.phantom.study import OCCURRENCES, UNSEEN, Finding, Mix, Patient, Study, sample_patient, sample_study

PIXELS = 200
WOMAN = Patient("F", 60, 0.0)
MAN = Patient("M", 60, 0.0)
CHAMBERS = ("right_atrium", "right_ventricle")
PAIRS = [(pathology, anatomy) for pathology, occurrence in OCCURRENCES.items() for anatomy in occurrence.places]
# Chambers of the heart are right by name, not by the side of the chest.
SIDED = [pair for pair in PAIRS if {"left", "right"} & {*pair[1].split("_")} and pair[1] not in CHAMBERS]


def drawn(patient: Patient = MAN, view: str = "PA", seed: int = 1, **severities: float) -> Drawing:
    """A drawing with findings given as pathology__anatomy=severity."""
    findings = tuple(Finding(*name.split("__"), severity) for name, severity in severities.items())
    return draw(Study(patient, view, findings), PIXELS, PIXELS, np.random.default_rng(seed))


def change(pathology: str, anatomy: str, severity: float, seed: int = 1) -> tuple[np.ndarray, Drawing]:
    """How a finding changes the image of the same patient, and the drawing with it."""
    with_finding = drawn(seed=seed, **{f"{pathology}__{anatomy}": severity})
    return np.abs(with_finding.image_HW - drawn(seed=seed).image_HW), with_finding


def test_the_image_is_a_radiograph_in_its_range():
    image = draw(Study(WOMAN, "PA", ()), 240, 200, np.random.default_rng(3)).image_HW
    assert image.shape == (240, 200)
    assert image.dtype == np.float32
    assert image.min() >= 0
    assert image.max() <= 1
    right_lung, mediastinum, left_lung = image[100:120, 55], image[100:120, 100], image[100:120, 145]
    assert max(right_lung.mean(), left_lung.mean()) + 0.2 < mediastinum.mean()


def test_equal_generators_give_equal_bytes():
    def one(seed: int) -> bytes:
        rng = np.random.default_rng([7, seed])
        study = sample_study(rng, sample_patient(rng), Mix(frozenset(OCCURRENCES), 4.0))
        drawing = draw(study, 160, 170, rng)
        return drawing.image_HW.tobytes() + b"".join(finding.mask_HW.tobytes() for finding in drawing.findings)

    assert one(1) == one(1)
    assert one(1) != one(2)


@pytest.mark.parametrize(("pathology", "anatomy"), PAIRS)
def test_a_finding_changes_the_image_inside_its_mask_and_mostly_only_there(pathology, anatomy):
    difference, drawing = change(pathology, anatomy, 0.9)
    (finding,) = drawing.findings
    x, y, width, height = finding.box
    boxed = np.zeros_like(finding.mask_HW)
    boxed[y : y + height, x : x + width] = True
    assert finding.mask_HW.any()
    assert not (finding.mask_HW & ~boxed).any()
    assert tight_box(finding.mask_HW) == finding.box
    inside, outside = difference[finding.mask_HW].mean(), difference[~boxed].mean()
    assert inside > 0.02
    assert inside > 4 * outside


@pytest.mark.parametrize(("pathology", "anatomy"), [(name, next(iter(o.places))) for name, o in OCCURRENCES.items()])
def test_a_finding_grows_with_its_severity(pathology, anatomy):
    sizes = [
        np.mean([change(pathology, anatomy, severity, seed)[0].sum() for seed in range(3)])
        for severity in (0.1, 0.5, 0.95)
    ]
    assert sizes[0] > 0
    assert sizes[0] < 0.8 * sizes[1]
    assert sizes[1] < 0.9 * sizes[2]


@pytest.mark.parametrize(("pathology", "anatomy"), SIDED)
def test_the_patients_right_is_on_the_images_left(pathology, anatomy):
    _, drawing = change(pathology, anatomy, 0.8)
    middle = np.flatnonzero(drawing.findings[0].mask_HW.any(axis=0)).mean()
    assert (middle < PIXELS / 2) == ("right" in anatomy.split("_"))


def test_lower_zones_lie_below_upper_zones():
    def height(anatomy: str) -> float:
        return np.mean(
            [
                np.flatnonzero(change("nodule", anatomy, 0.8, seed)[1].findings[0].mask_HW.any(axis=1)).mean()
                for seed in range(4)
            ]
        )

    assert height("left_upper_lung") < height("left_mid_lung") < height("left_lower_lung")


def test_a_finding_looks_the_same_beside_another_one():
    alone = drawn(nodule__left_upper_lung=0.7).findings[0]
    beside = drawn(effusion__right_pleural=0.7, nodule__left_upper_lung=0.7).findings[1]
    assert np.array_equal(alone.mask_HW, beside.mask_HW)


def test_an_enlarged_heart_is_wider_than_half_the_chest():
    def ratio(severity: float) -> float:
        heart = drawn(cardiomegaly__heart_size=severity).findings[0].box[2]
        chest = drawn(hyperinflate__lung_volumes=0.05).findings[0].box[2]
        return heart / chest

    assert ratio(0.0) < 0.52
    assert ratio(0.9) > 0.60


def test_an_effusion_is_higher_at_the_side_than_in_the_middle():
    mask = drawn(effusion__right_pleural=0.6).findings[0].mask_HW
    columns = np.flatnonzero(mask.any(axis=0))
    tops = mask.argmax(axis=0)
    assert tops[columns[4]] < tops[columns[len(columns) // 2]]


def test_views_and_sexes_differ():
    def mean(patient: Patient, view: str) -> np.ndarray:
        return np.mean([drawn(patient, view, seed).image_HW for seed in range(6)], axis=0)

    man, woman, portable = mean(MAN, "PA"), mean(WOMAN, "PA"), mean(MAN, "AP")
    breast = (slice(115, 135), slice(40, 65))
    assert woman[breast].mean() > man[breast].mean() + 0.02
    assert np.abs(portable - man).mean() > 0.02


def test_stout_patients_are_wider():
    slender, stout = (drawn(replace(MAN, habitus=habitus), seed=5).image_HW for habitus in (-2.0, 2.0))
    side = (slice(110, 190), [*range(3, 16), *range(184, 197)])
    assert stout[side].mean() > slender[side].mean() + 0.05


def test_every_pathology_that_occurs_can_be_drawn():
    assert {*OCCURRENCES, *UNSEEN} == set(PAINT)
    assert set(RESHAPE) <= set(PAINT)
    anatomies = {anatomy for occurrence in OCCURRENCES.values() for anatomy in occurrence.places}
    assert not set(UNSEEN) & {*OCCURRENCES, *PATHOLOGY_INDEX}
    assert len(OCCURRENCES) >= 20
    assert len(anatomies) >= 25


@pytest.mark.parametrize("size", [(128, 128), (150, 260), (700, 560)])
def test_every_size_holds_the_whole_chest(size):
    study = Study(WOMAN, "PA", (Finding("hyperinflate", "lung_volumes", 0.5),))
    drawing = draw(study, *size, np.random.default_rng(2))
    x, _, width, height = drawing.findings[0].box
    assert drawing.image_HW.shape == size
    assert x > 0
    assert x + width < size[1]
    assert 0.6 < width / min(size) < 1
    assert 0.6 < height / min(size) < 1
