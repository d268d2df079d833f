"""What is drawn, how often, and that nothing but the image gives it away."""

from collections import Counter

import numpy as np
import pytest

from components.core.params import read_yaml, validate
from components.phantom.study import (
    AP_SHARE,
    DEVICES,
    LOWEST_SEVERITY,
    OCCURRENCES,
    Mix,
    Patient,
    Study,
    grade,
    sample_patient,
    sample_study,
)

STUDIES = 6000


def sampled(
    finding_rate: float, count: int = STUDIES, pathologies: tuple[str, ...] = tuple(OCCURRENCES)
) -> list[Study]:
    mix = Mix(frozenset(pathologies), finding_rate)
    rng = np.random.default_rng(11)
    return [sample_study(rng, sample_patient(rng), mix) for _ in range(count)]


@pytest.fixture(scope="module")
def studies() -> list[Study]:
    return sampled(1.6)


def share(studies: list[Study], pathology: str) -> float:
    return float(np.mean([any(f.pathology == pathology for f in study.findings) for study in studies]))


@pytest.mark.parametrize(
    ("severity", "word"),
    [(0.0, "subtle"), (0.24, "subtle"), (0.25, "mild"), (0.5, "moderate"), (0.75, "severe"), (1.0, "severe")],
)
def test_grades(severity, word):
    assert grade(severity) == word


def test_the_rate_is_the_mean_number_of_findings(studies):
    assert np.mean([len(study.findings) for study in studies]) == pytest.approx(1.6, rel=0.06)
    assert not any(study.findings for study in sampled(0.0, 50))


def test_only_the_pathologies_of_the_mix_are_drawn_at_its_rate():
    few = sampled(2.0, pathologies=("edema", "effusion", "mass"))
    assert {f.pathology for study in few for f in study.findings} == {"edema", "effusion", "mass"}
    assert np.mean([len(study.findings) for study in few]) == pytest.approx(2.0, rel=0.1)


def test_a_pathology_that_cannot_be_drawn_is_refused_by_name(repository):
    content = read_yaml(repository / "params.yaml")
    content["phantom"]["pathologies"] = ["effusion", "tuberculosis"]
    with pytest.raises(ValueError, match=r"phantom\.pathologies\[1\]: tuberculosis cannot be drawn; allowed: atelect"):
        Mix.of(validate(content).phantom)


def test_every_pathology_is_frequent_enough_to_be_tested(studies):
    moderate = Counter(f.pathology for study in studies for f in study.findings if f.severity >= 0.5)
    assert set(moderate) == set(OCCURRENCES)
    # Of 900 test studies, well over the 10 positives that a macro figure asks for.
    assert min(moderate.values()) * 900 / STUDIES > 15


def test_severities_are_spread_from_barely_visible_to_gross(studies):
    severities = np.array([f.severity for study in studies for f in study.findings])
    counts, _ = np.histogram(severities, bins=5, range=(LOWEST_SEVERITY, 1))
    assert counts.sum() == len(severities)
    assert counts.min() > 0.85 * counts.max()


def test_no_two_findings_hide_each_other(studies):
    for study in studies:
        places = [f.anatomy for f in study.findings if f.pathology in ("effusion", "elevation", "thicken")]
        sides = [place.split("_")[0] for place in places]
        assert len(sides) == len(set(sides))


def test_view_sex_and_habitus_tell_nothing_but_the_declared_device_rate(studies):
    portable = [study for study in studies if study.view == "AP"]
    erect = [study for study in studies if study.view == "PA"]
    assert len(portable) / STUDIES == pytest.approx(AP_SHARE, abs=0.02)

    def difference(first: list[Study], second: list[Study], names: set[str]) -> float:
        return float(np.mean([share(first, name) - share(second, name) for name in names]))

    others = set(OCCURRENCES) - DEVICES
    assert abs(difference(portable, erect, others)) < 0.006
    assert 0.01 < difference(portable, erect, set(DEVICES)) < 0.035
    women, men = ([s for s in studies if s.patient.sex == sex] for sex in "FM")
    stout, slender = ([s for s in studies if (s.patient.habitus > 0) == over] for over in (True, False))
    for first, second in ((women, men), (stout, slender)):
        assert abs(difference(first, second, set(OCCURRENCES))) < 0.006


def test_findings_come_together_as_in_life(studies):
    wet = [study for study in studies if any(f.pathology == "edema" for f in study.findings)]
    assert share(wet, "effusion") > 2 * share(studies, "effusion")
    assert share(wet, "cardiomegaly") > 2 * share(studies, "cardiomegaly")


def test_equal_generators_give_equal_studies():
    patient = Patient("F", 50, 0.0)
    first, second = (
        sample_study(np.random.default_rng(4), patient, Mix(frozenset(OCCURRENCES), 3.0)) for _ in range(2)
    )
    assert first == second
