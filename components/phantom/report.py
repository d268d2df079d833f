"""Reports of drawn findings, as radiologists write them, and what each report asserts.

The words stand in `wording/`. A report is built by systems (devices, lungs, pleura, …): for each, the findings that are
mentioned, then what is normal or denied. A denial is only made of what was not drawn.
"""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from components.core.vocabulary import ANATOMIES, ANATOMY_INDEX, PARTNERS
from components.phantom.sentences import finish, join, one
from components.phantom.study import OCCURRENCES, Finding, Study, grade
from components.phantom.wording import Change, FindingWording, Presence, Row, Statement, Wording, wording

Rng = np.random.Generator
SHAPES = ("both",) * 16 + ("findings", "impression", "impression", "none")  # which headings carry the report
HEDGED = {"subtle": 0.35, "mild": 0.12, "moderate": 0.04, "severe": 0.01}
COMPARED = 0.45  # how often a finding is compared, in a report that knows a study before
RESOLVED = 0.5  # how often it is told that a finding of the study before has gone
OTHER_SIDE = 0.25  # how often what is there on one side is denied on the other
READY_SENTENCE = 0.5  # how often a denial is a ready sentence where it could be plain
FALSE_DOUBT = 0.05  # how often a report doubts about what is not there
CHANGE = 0.12  # difference of severity from which a finding is called better or worse
COLUMNS = 78


@dataclass(frozen=True)
class Report:
    """The text of a report and the (pathology, anatomy, presence) rows that it asserts."""

    text: str
    asserted: tuple[Row, ...]


@dataclass(frozen=True)
class Context:
    """What a report is written about, beside the findings drawn."""

    study: Study
    age: int
    prior: Study | None  # the patient's study before, where the archive has it
    compared: bool  # whether the radiologist had a study before to compare with


@dataclass
class _Draft:
    """Sentences by system, short ones for the impression, and the rows asserted so far."""

    sentences: dict[str, list[str]] = field(default_factory=dict)
    impression: list[tuple[float, str]] = field(default_factory=list)
    rows: dict[Row, None] = field(default_factory=dict)

    def say(self, system: str, sentence: str, rows: Sequence[Row]) -> None:
        self.sentences.setdefault(system, []).append(sentence)
        self.rows.update(dict.fromkeys(rows))


def partner(anatomy: str) -> str:
    """The same place on the other side."""
    return ANATOMIES[PARTNERS[ANATOMY_INDEX[anatomy]]]


def _place(words: Wording, entry: FindingWording, anatomies: Sequence[str], rng: Rng) -> dict[str, str]:
    """The phrases {of}, {at} and {side} of one place, of a pair of places, or of several."""
    if len(anatomies) == 2 and partner(anatomies[0]) == anatomies[1]:
        places = [words.places.both[next(name for name in anatomies if "left" in name)]]
        side = "left and right"
    else:
        places = [entry.places.get(name) or words.places.single[name] for name in anatomies]
        side = next((side for side in ("left", "right") if side in anatomies[0]), "")
    of, at = ([one(rng, getattr(place, kind)) for place in places] for kind in ("of", "at"))
    return {"of": join(of), "at": join(at), "side": side}


def _groups(findings: Sequence[Finding]) -> list[list[Finding]]:
    """Findings that one sentence tells: the same pathology, to the same degree."""
    grouped: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        grouped.setdefault((finding.pathology, grade(finding.severity)), []).append(finding)
    return list(grouped.values())


def _step(context: Context, group: Sequence[Finding], rng: Rng) -> Change | None:
    """How the findings compare with the study before; anything where the archive does not have that study."""
    if context.prior is None:
        return ("same", "same", "new", "worse", "better")[int(rng.integers(5))]
    before = {(finding.pathology, finding.anatomy): finding.severity for finding in context.prior.findings}
    steps = [
        finding.severity - before[finding.pathology, finding.anatomy]
        for finding in group
        if (finding.pathology, finding.anatomy) in before
    ]
    if len(steps) < len(group):
        return None if steps else "new"
    step = float(np.mean(steps))
    return "same" if abs(step) < CHANGE else ("worse" if step > 0 else "better")


def _comparison(context: Context, entry: FindingWording, group: Sequence[Finding], rng: Rng) -> str:
    """What is said of the findings against the study before, or nothing."""
    if not context.compared or rng.random() >= COMPARED:
        return ""
    change = _step(context, group, rng)
    return one(rng, wording().comparison[change]) if change in entry.changes else ""


def _mention(draft: _Draft, context: Context, group: Sequence[Finding], hedged: bool, rng: Rng) -> None:
    """Tell one group of findings, for certain or hedged."""
    words = wording()
    entry, anatomies = words.findings[group[0].pathology], [finding.anatomy for finding in group]
    several = len(group) > 1
    fill = {
        "degree": one(rng, entry.degree[grade(group[0].severity)]),
        "noun": one(rng, entry.plural if several else entry.noun),
        **_place(words, entry, anatomies, rng),
    }
    templates = entry.uncertain if hedged else (entry.several if several and entry.several else entry.present)
    template = templates[int(rng.integers(len(templates)))]
    suffix = "" if hedged else _comparison(context, entry, group, rng)
    presence: Presence = "uncertain" if hedged else "present"
    rows: list[Row] = [(group[0].pathology, anatomy, presence) for anatomy in anatomies]
    rows += [(also.pathology, also.place_of(anatomy), also.presence) for also in template.also for anatomy in anatomies]
    draft.say(entry.system, finish(template.text.format(**fill) + suffix), rows)
    if entry.impression:
        short = one(rng, words.hedges) if hedged else ""
        text = finish(f"{short} {one(rng, entry.impression).format(**fill)}")
        draft.impression.append((max(finding.severity for finding in group) + entry.weight, text))


def _mentions(draft: _Draft, context: Context, unmentioned_share: float, rng: Rng) -> None:
    """Tell the findings drawn, but for the share that is left out; what is faint is sometimes hedged."""
    mentioned = [finding for finding in context.study.findings if rng.random() >= unmentioned_share]
    for group in _groups(mentioned):
        can_hedge = bool(wording().findings[group[0].pathology].uncertain)
        _mention(draft, context, group, can_hedge and rng.random() < HEDGED[grade(group[0].severity)], rng)


def _false_doubt(draft: _Draft, context: Context, rng: Rng) -> set[str]:
    """Now and then, doubt about a pathology that was not drawn; returns it."""
    present = {finding.pathology for finding in context.study.findings}
    doubtful = [name for name, entry in wording().findings.items() if entry.uncertain and name not in present]
    if rng.random() >= FALSE_DOUBT or not doubtful:
        return set()
    name = one(rng, doubtful)
    _mention(draft, context, [Finding(name, one(rng, list(OCCURRENCES[name].places)), 0.1)], True, rng)
    return {name}


def _other_sides(draft: _Draft, drawn: Sequence[Finding], rng: Rng) -> None:
    """Deny on the other side what is there on one."""
    words = wording()
    shown = {(finding.pathology, finding.anatomy) for finding in drawn}
    for pathology, anatomy in sorted(shown):
        entry, other = words.findings[pathology], partner(anatomy)
        if entry.other_side and other != anatomy and (pathology, other) not in shown and rng.random() < OTHER_SIDE:
            fill = {"noun": one(rng, entry.noun), **_place(words, entry, [other], rng)}
            draft.say(entry.system, finish(one(rng, entry.other_side).format(**fill)), [(pathology, other, "absent")])


def _resolutions(draft: _Draft, context: Context, denied: set[str], rng: Rng) -> None:
    """Tell that a finding of the study before has gone; counts as its denial."""
    words = wording()
    gone = _groups(context.prior.findings) if context.prior else []
    for group in gone:
        name, entry = group[0].pathology, words.findings[group[0].pathology]
        templates = words.resolved if entry.resolved is None else entry.resolved
        if name in denied or not templates or rng.random() >= RESOLVED:
            continue
        fill = {"noun": one(rng, entry.noun), **_place(words, entry, [group[0].anatomy], rng)}
        draft.say(entry.system, finish(one(rng, templates).format(**fill)), [(name, group[0].anatomy, "absent")])
        denied.add(name)


def _absent(statement: Statement) -> set[str]:
    return {pathology for pathology, _, presence in statement.rows if presence == "absent"}


def _statement_for(name: str, present: set[str], settled: set[str]) -> list[Statement]:
    """The ready sentences that deny a pathology, contradict nothing that was drawn, and repeat nothing."""
    return [
        statement
        for statement in wording().denials
        if name in _absent(statement)
        and not _absent(statement) & (present | settled)
        and not present.intersection(statement.unless)
    ]


def _lists(draft: _Draft, plain: dict[str, list[tuple[str, Row]]], rng: Rng) -> None:
    """Plain denials, one or several in a sentence: no A, B, or C."""
    for system, terms in plain.items():
        place = 0
        while place < len(terms):
            taken = terms[place : place + int(rng.integers(1, 5))]
            phrases, place = [phrase for phrase, _ in taken], place + len(taken)
            verb = "are" if re.search(r"(?<!s|i)s$", phrases[0]) else "is"
            text = one(rng, wording().denying).format(list=join(phrases, " or "), **{"is": verb})
            draft.say(system, finish(text), [row for _, row in taken])


def _denials(draft: _Draft, context: Context, doubted: set[str], rng: Rng) -> None:
    """Deny what was not drawn, each pathology at its own rate, and call normal what is."""
    words = wording()
    present = {finding.pathology for finding in context.study.findings} | doubted
    settled = set(present)
    _resolutions(draft, context, settled, rng)
    plain: dict[str, list[tuple[str, Row]]] = {}
    names = list(words.findings)
    for index in rng.permutation(len(names)):
        name, entry = names[index], words.findings[names[index]]
        if name in settled or rng.random() >= entry.stated:
            continue
        able = _statement_for(name, present, settled)
        plainly = bool(entry.absent) and not present.intersection(entry.absent_unless)
        if able and (not plainly or rng.random() < READY_SENTENCE):
            chosen = able[int(rng.integers(len(able)))]
            draft.say(chosen.system, finish(one(rng, chosen.text)), chosen.rows)
            settled |= _absent(chosen)
        elif plainly:
            plain.setdefault(entry.system, []).append((one(rng, entry.absent), (name, entry.absent_at, "absent")))
            settled.add(name)
    _lists(draft, plain, rng)
    for remark in words.remarks:
        if not present.intersection(remark.unless) and rng.random() < remark.chance:
            draft.say(remark.system, finish(one(rng, remark.text)), remark.rows)


def _body(draft: _Draft, rng: Rng) -> str:
    """The sentences in one of the orders in which radiologists go through a radiograph."""
    orders = wording().orders
    order = orders[int(rng.integers(len(orders)))]
    assert set(draft.sentences) <= set(order), f"{set(draft.sentences) - set(order)} stand in no order"
    parts = [" ".join(draft.sentences[system]) for system in order if system in draft.sentences]
    return ("\n\n" if rng.random() < 0.2 else " ").join(parts)


def _impression(draft: _Draft, context: Context, rng: Rng) -> str:
    """The main findings, gravest first, or that there is nothing acute."""
    items = [text for _, text in sorted(draft.impression, key=lambda item: -item[0])][: int(rng.integers(2, 6))]
    if not items:
        if context.study.findings:
            return finish(one(rng, wording().above))
        chosen = wording().nothing[int(rng.integers(len(wording().nothing)))]
        draft.rows.update(dict.fromkeys(chosen.rows))
        return finish(one(rng, chosen.text))
    if len(items) == 1 or rng.random() < 0.4:
        return " ".join(items)
    return "\n\n".join(f"{number}. {text}" for number, text in enumerate(items, start=1))


def _preamble(context: Context, rng: Rng) -> list[tuple[str, str]]:
    """The headings that tell no finding, each with what stands under it."""
    words, study = wording().headings, context.study
    fill = {
        "age": "___" if rng.random() < 0.85 else str(context.age),
        "sex": one(rng, words.sex[study.patient.sex]),
        "letter": study.patient.sex,
        "reason": one(rng, words.reasons),
        "prior": one(rng, words.priors if context.compared else words.no_priors),
    }
    return [
        (
            one(rng, words.names[section]),
            finish(one(rng, words.content[section][study.view]).format(**fill)).rstrip("."),
        )
        for section, chance in words.chance.items()
        if rng.random() < chance
    ]


def _lay_out(draft: _Draft, context: Context, rng: Rng) -> str:
    """Headings, sections and line breaks; some reports lack the findings' or the impression's heading, or both."""
    names, sections = wording().headings.names, _preamble(context, rng)
    body, shape = _body(draft, rng), one(rng, SHAPES)
    if shape == "both":
        sections += [
            (one(rng, names["findings"]), body),
            (one(rng, names["impression"]), _impression(draft, context, rng)),
        ]
    else:
        sections.append((one(rng, names[shape]) if shape in names else "", body))
    lines = [f"{'':33}{one(rng, wording().headings.titles)}"]
    for name, text in sections:
        for part in f"{name}  {text}".strip().split("\n\n"):
            lines += ["", *(f" {line}" for line in textwrap.wrap(part, COLUMNS, break_on_hyphens=False))]
    return "\n".join(lines) + "\n"


def write_report(context: Context, unmentioned_share: float, rng: Rng) -> Report:
    """A report of a study's findings; equal generators give equal texts.

    Args:
        context: the study, the patient's age, the study before.
        unmentioned_share: the chance that a finding drawn is neither told nor denied.
        rng: all the chance that there is.
    """
    draft = _Draft()
    _mentions(draft, context, unmentioned_share, rng)
    doubted = _false_doubt(draft, context, rng)
    _other_sides(draft, context.study.findings, rng)
    _denials(draft, context, doubted, rng)
    return Report(_lay_out(draft, context, rng), tuple(draft.rows))
