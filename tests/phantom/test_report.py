"""The phantom's reports: every word list fills, and what a report asserts is what was drawn."""

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from components.phantom.report import Context, Report, write_report
from components.phantom.sentences import finish
from components.phantom.study import OCCURRENCES, Finding, Mix, Patient, Study, sample_patient, sample_study
from components.phantom.wording import wording

PATIENT = Patient("F", 61, 0.0)
MIX = Mix(frozenset(OCCURRENCES), 1.6)
LEFT, RIGHT = "left_pleural", "right_pleural"


def report_of(*findings: Finding, seed: int = 0, prior: Study | None = None, unmentioned: float = 0.0) -> Report:
    context = Context(Study(PATIENT, "PA", findings), 61, prior, compared=prior is not None)
    return write_report(context, unmentioned, np.random.default_rng(seed))


def sentences_of(report: Report) -> list[str]:
    body = re.split(r"(?:FINDINGS|REPORT|IMPRESSION|CONCLUSION):", " ".join(report.text.split()), maxsplit=1)[-1]
    return re.split(r"(?<=[.?]) ", body)


@pytest.fixture(scope="module")
def many() -> list[tuple[Study, Report]]:
    made = []
    for seed in range(1200):
        rng = np.random.default_rng(seed)
        patient = sample_patient(rng)
        study, prior = sample_study(rng, patient, MIX), sample_study(rng, patient, MIX) if seed % 3 == 0 else None
        made.append((study, write_report(Context(study, patient.age, prior, seed % 2 == 0), 0.08, rng)))
    return made


def test_every_pathology_drawn_has_words_for_each_of_its_places() -> None:
    assert set(wording().findings) == set(OCCURRENCES)
    for pathology, occurrence in OCCURRENCES.items():
        for anatomy in occurrence.places:
            for severity in (0.1, 0.4, 0.6, 0.9):
                report = report_of(Finding(pathology, anatomy, severity), seed=hash(severity) % 7)
                told = {row[:2] for row in report.asserted if row[2] in ("present", "uncertain")}
                assert (pathology, anatomy) in told, report.text


def test_every_template_fills() -> None:
    fill = {"degree": "small", "noun": "effusion", "of": "left", "at": "at the left base", "side": "left"}
    for name, entry in wording().findings.items():
        templates = [item.text for item in (*entry.present, *entry.several, *entry.uncertain)]
        for template in [*templates, *(entry.resolved or ()), *entry.other_side, *entry.impression]:
            assert not re.search(r"[{}]|a\(n\)|  ", finish(template.format(**fill))), (name, template)
    for statement in (*wording().denials, *wording().remarks, *wording().nothing):
        assert all(not re.search(r"[{}]", text) for text in statement.text), statement


def test_no_report_has_a_leftover_of_its_templates(many: list[tuple[Study, Report]]) -> None:
    for _, report in many:
        body = re.sub(r"(?<=:)  ", " ", report.text.strip())
        assert not re.search(r"[{}]|a\(n\)|\S  \S|\.\.|,,| [.,]|\bNone\.", body), report.text


def test_what_is_asserted_was_drawn_and_what_is_denied_was_not(many: list[tuple[Study, Report]]) -> None:
    for study, report in many:
        drawn = {(finding.pathology, finding.anatomy) for finding in study.findings}
        for pathology, anatomy, presence in report.asserted:
            if presence == "absent":
                assert (pathology, anatomy) not in drawn, report.text
            elif presence == "present" and pathology in OCCURRENCES:
                assert (pathology, anatomy) in drawn, report.text


def test_a_report_does_not_contradict_itself(many: list[tuple[Study, Report]]) -> None:
    for _, report in many:
        assert max(Counter(row[:2] for row in report.asserted).values()) == 1, report.text


def test_every_pathology_is_both_told_and_denied_often_enough_to_learn_from(many: list[tuple[Study, Report]]) -> None:
    for pathology in OCCURRENCES:
        with_it = [report for study, report in many if pathology in {item.pathology for item in study.findings}]
        without = [report for study, report in many if pathology not in {item.pathology for item in study.findings}]
        told = sum(any(row[0] == pathology and row[2] == "present" for row in report.asserted) for report in with_it)
        denied = sum(any(row[0] == pathology and row[2] == "absent" for row in report.asserted) for report in without)
        assert told / len(with_it) > 0.6, pathology
        assert denied / len(without) > 0.2, pathology


def test_denying_reads_otherwise_than_telling() -> None:
    def naming(*findings: Finding) -> set[str]:
        reports = [report_of(*findings, seed=seed) for seed in range(60)]
        return {sentence for report in reports for sentence in sentences_of(report) if "effusion" in sentence.lower()}

    told = {sentence for sentence in naming(Finding("effusion", LEFT, 0.6)) if "left" in sentence.lower()}
    denied = naming()
    assert len(told) > 15
    assert len(denied) > 15
    assert not told & denied
    negation = re.compile(r"\b(no|not|without|absent|neither|negative|free)\b", re.IGNORECASE)
    assert all(negation.search(sentence) for sentence in denied), denied
    assert not [sentence for sentence in told if negation.search(sentence)]


def test_both_sides_to_the_same_degree_are_one_mention() -> None:
    for seed in range(30):
        report = report_of(Finding("effusion", LEFT, 0.6), Finding("effusion", RIGHT, 0.65), seed=seed)
        told = {row for row in report.asserted if row[0] == "effusion"}
        assert {row[1] for row in told} == {LEFT, RIGHT}
        assert len({row[2] for row in told}) == 1
        assert re.search(r"bilateral|bilat\.|right and left|both sides|left and right", report.text.lower()), (
            report.text
        )


def test_the_degree_follows_the_severity() -> None:
    def words(severity: float) -> str:
        reports = [report_of(Finding("effusion", LEFT, severity), seed=seed) for seed in range(40)]
        return " ".join(
            sentence for report in reports for sentence in sentences_of(report) if "left" in sentence
        ).lower()

    faint, gross = words(0.1), words(0.9)
    assert re.search(r"\b(trace|tiny|minimal)\b", faint)
    assert re.search(r"\b(massive|large)\b", gross)
    assert not re.search(r"\b(massive|large|moderate)\b", faint)
    assert not re.search(r"\b(tiny|small|moderate)\b", gross)


def test_what_is_subtle_is_hedged_more_often_than_what_is_severe() -> None:
    def hedged(severity: float) -> int:
        made = [report_of(Finding("opacity", "left_mid_lung", severity), seed=seed) for seed in range(150)]
        return sum(("opacity", "left_mid_lung", "uncertain") in report.asserted for report in made)

    assert hedged(0.1) > 10 * max(1, hedged(0.9))


def test_findings_left_out_are_neither_told_nor_denied() -> None:
    findings = (Finding("effusion", LEFT, 0.8), Finding("nodule", "left_mid_lung", 0.5))
    for seed in range(60):
        rows = report_of(*findings, seed=seed, unmentioned=1.0).asserted
        assert not [row for row in rows if row[:2] in {("effusion", LEFT), ("nodule", "left_mid_lung")}]
        assert not [
            row for row in rows if row[0] in {"effusion", "nodule"} and row[1] in {"pleural_unspec", "unspecified"}
        ]


def test_the_study_before_is_what_is_compared_with() -> None:
    now = Finding("effusion", LEFT, 0.5)
    grown = Study(PATIENT, "PA", (replace(now, severity=0.2),))
    other = Study(PATIENT, "PA", (Finding("cardiomegaly", "heart_size", 0.6),))
    worse = re.compile(r"increas|worse|more (conspicuous|pronounced)|progressed")
    better = re.compile(r"decreas|improve|less (conspicuous|pronounced)")
    after_growth = " ".join(report_of(now, seed=seed, prior=grown).text for seed in range(60))
    assert worse.search(after_growth)
    assert not better.search(after_growth)
    after_other = [report_of(now, seed=seed, prior=other) for seed in range(60)]
    assert any(re.search(r"\bnew\b", report.text) for report in after_other)
    gone = [report for report in after_other if re.search(r"[Cc]ardiomegaly|heart|[Cc]ardiac", report.text)]
    assert gone
    assert all(("cardiomegaly", "heart_size", "present") not in report.asserted for report in after_other)


@pytest.mark.parametrize(
    ("raw", "settled"),
    [
        ("there is a(n) ETT  in place", "There is an ETT in place."),
        ("a(n) large , left effusion.", "A large, left effusion."),
        ("a(n) ill-defined mass", "An ill-defined mass."),
        ("a(n) PICC", "A PICC."),
    ],
)
def test_articles_spaces_and_stops_are_settled(raw: str, settled: str) -> None:
    assert finish(raw) == settled
