"""Phantom reports, whose truth is exact: a floor for the parser, not a proof, since both sides are written here."""

from collections import defaultdict

import numpy as np

from components.core.vocabulary import wider_places
from components.phantom.report import Context, write_report
from components.phantom.study import OCCURRENCES, Mix, sample_patient, sample_study
from components.reports.lexicon import lexicon
from components.reports.reading import read
from components.reports.verdicts import VERDICTS, strength, verdicts

MIX = Mix(frozenset(OCCURRENCES), 1.6)
REPORTS = 400
ANYWHERE = "unspecified"  # a phantom denies most findings without a place

Triplet = tuple[str, str, str]


def agrees(one: Triplet, other: Triplet) -> bool:
    """The same pathology and presence, at places of which one holds the other."""
    (pathology, place, presence), (other_pathology, other_place, other_presence) = one, other
    same_place = (
        place == other_place
        or ANYWHERE in (place, other_place)
        or place in wider_places(other_place)
        or other_place in wider_places(place)
    )
    return (pathology, presence) == (other_pathology, other_presence) and same_place


def triplets(seed: int) -> tuple[set[Triplet], set[Triplet]]:
    """The abnormal that a phantom report asserts, and what is parsed of it; contradictions by the parser's own rule."""
    rng = np.random.default_rng(seed)
    patient = sample_patient(rng)
    study, prior = sample_study(rng, patient, MIX), sample_study(rng, patient, MIX) if seed % 3 == 0 else None
    report = write_report(Context(study, patient.age, prior, seed % 2 == 0), 0.08, rng)
    asserted: dict[tuple[str, str], int] = defaultdict(int)
    # words of health are not all listed by the phantom
    for pathology, anatomy, presence in report.asserted:
        asserted[pathology, anatomy] = max(asserted[pathology, anatomy], strength(presence, "findings"))
    spoken = {pathology for pathology, _ in asserted} - lexicon().healthy
    parsed = {(*pair, presence) for pair, presence in verdicts(read(report.text).findings).items() if pair[0] in spoken}
    return {(*pair, VERDICTS[rank]) for pair, rank in asserted.items() if pair[0] in spoken}, parsed


def test_the_triplets_of_phantom_reports_are_found() -> None:
    found = missed = false = 0
    for seed in range(REPORTS):
        truth, parsed = triplets(seed)
        hits = sum(any(agrees(true, said) for said in parsed) for true in truth)
        found, missed = found + hits, missed + len(truth) - hits
        false += sum(not any(agrees(true, said) for true in truth) for said in parsed)
    assert found > 12 * REPORTS
    assert 2 * found / (2 * found + missed + false) >= 0.99
