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
from components.phantom.study import Finding, Study, grade
from components.phantom.wording import Denial, FindingWording, Place, Wording, wording

Rng = np.random.Generator
Row = tuple[str, str, str]  # pathology, anatomy, presence

HEDGED = {"subtle": 0.35, "mild": 0.12, "moderate": 0.04, "severe": 0.01}
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


@dataclass
class _Draft:
    """Sentences by system, short ones for the impression, and the rows asserted so far."""

    sentences: dict[str, list[str]] = field(default_factory=dict)
    impression: list[tuple[float, str]] = field(default_factory=list)
    rows: dict[Row, None] = field(default_factory=dict)

    def say(self, system: str, sentence: str, rows: Sequence[Row]) -> None:
        self.sentences.setdefault(system, []).append(sentence)
        self.rows.update(dict.fromkeys(rows))


def one(rng: Rng, choices: Sequence[str]) -> str:
    """One of some variants."""
    return choices[int(rng.integers(len(choices)))]


def finish(sentence: str) -> str:
    """Settle articles, spaces, the capital letter and the full stop of a filled template."""
    sentence = " ".join(sentence.split())
    sentence = re.sub(r"\s+([,.;:])", r"\1", sentence)
    sentence = re.sub(r"\b([Aa])\(n\) +(?=(\W*\w+))", _article, sentence)
    sentence = sentence[0].upper() + sentence[1:]
    return sentence if sentence[-1] in ".?:" else sentence + "."


def _article(match: re.Match[str]) -> str:
    word = match.group(2).strip("\"'(")
    spelled = word.isupper() and len(word) > 1
    vowel = word[0] in "AEFHILMNORSX" if spelled else word[0].lower() in "aeiou"
    return match.group(1) + ("n " if vowel else " ")


def partner(anatomy: str) -> str:
    """The same place on the other side."""
    return ANATOMIES[PARTNERS[ANATOMY_INDEX[anatomy]]]


def _join(phrases: Sequence[str]) -> str:
    return phrases[0] if len(phrases) == 1 else ", ".join(phrases[:-1]) + " and " + phrases[-1]


def _place(words: Wording, entry: FindingWording, anatomies: Sequence[str], rng: Rng) -> dict[str, str]:
    """The phrases {of} and {at} of one place, of a pair of places, or of several."""
    if len(anatomies) == 2 and partner(anatomies[0]) == anatomies[1]:
        pair = next(name for name in anatomies if "left" in name)
        place = entry.both or words.places.both[pair]
        return {"of": one(rng, place.of), "at": one(rng, place.at)}
    places: list[Place] = [entry.places.get(name) or words.places.single[name] for name in anatomies]
    return {
        "of": _join([one(rng, place.of) for place in places]),
        "at": _join([one(rng, place.at) for place in places]),
    }


def _groups(findings: Sequence[Finding]) -> list[list[Finding]]:
    """Findings that one sentence tells: the same pathology, to the same degree."""
    grouped: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        grouped.setdefault((finding.pathology, grade(finding.severity)), []).append(finding)
    return list(grouped.values())


def _change(context: Context, group: Sequence[Finding], compared: bool, rng: Rng) -> str | None:
    """How the findings compare with the study before: same, new, worse, better, or nothing to say."""
    if not compared or rng.random() < 0.5:
        return None
    if context.prior is None:
        return ("same", "same", "new", "worse", "better")[int(rng.integers(5))]
    before = {(finding.pathology, finding.anatomy): finding.severity for finding in context.prior.findings}
    old = [before.get((finding.pathology, finding.anatomy)) for finding in group]
    if any(severity is None for severity in old):
        return "new" if all(severity is None for severity in old) else None
    step = float(np.mean([finding.severity for finding in group]) - np.mean([value or 0.0 for value in old]))
    return "same" if abs(step) < CHANGE else ("worse" if step > 0 else "better")


def _mention(draft: _Draft, context: Context, group: Sequence[Finding], compared: bool, rng: Rng) -> None:
    """Tell one group of findings, for certain or hedged."""
    words = wording()
    entry = words.findings[group[0].pathology]
    degree = grade(group[0].severity)
    anatomies = [finding.anatomy for finding in group]
    hedged = bool(entry.uncertain) and rng.random() < HEDGED[degree]
    several = len(group) > 1
    fill = {
        "degree": one(rng, entry.degree[degree]),
        "noun": one(rng, entry.plural if several else entry.noun),
        **_place(words, entry, anatomies, rng),
    }
    templates = entry.uncertain if hedged else (entry.several if several and entry.several else entry.present)
    template = templates[int(rng.integers(len(templates)))]
    change = _change(context, group, compared, rng)
    suffix = one(rng, words.comparison[change]) if change and not hedged else ""
    sentence = finish(template.text.format(**fill).rstrip(".") + suffix)
    presence = "uncertain" if hedged else "present"
    rows = [(group[0].pathology, anatomy, presence) for anatomy in anatomies]
    rows += [(also.pathology, also.place_of(anatomy), also.presence) for also in template.also for anatomy in anatomies]
    draft.say(entry.system, sentence, rows)
    if entry.impression:
        short = one(rng, words.hedges) if hedged else ""
        text = finish(f"{short} {one(rng, entry.impression).format(**fill)}")
        draft.impression.append((max(finding.severity for finding in group) + entry.weight, text))


def _other_sides(draft: _Draft, drawn: Sequence[Finding], rng: Rng) -> None:
    """Deny on the other side what is there on one."""
    words = wording()
    shown = {(finding.pathology, finding.anatomy) for finding in drawn}
    for pathology, anatomy in sorted(shown):
        entry, other = words.findings[pathology], partner(anatomy)
        if entry.other_side and other != anatomy and (pathology, other) not in shown and rng.random() < 0.25:
            fill = {"noun": one(rng, entry.noun), **_place(words, entry, [other], rng)}
            draft.say(entry.system, finish(one(rng, entry.other_side).format(**fill)), [(pathology, other, "absent")])


def _fits(denial: Denial, drawn: set[str], denied: set[str]) -> bool:
    absent = {row[0] for row in denial.rows if row[2] == "absent"}
    return not drawn.intersection(absent | set(denial.unless)) and not (absent and absent <= denied)


def _denials(draft: _Draft, drawn: Sequence[Finding], rng: Rng) -> None:
    """Deny what was not drawn, each pathology at its own rate, and call normal what is."""
    words = wording()
    present = {finding.pathology for finding in drawn}
    denied: set[str] = set()
    names = list(words.findings)
    for index in rng.permutation(len(names)):
        name = names[index]
        if name in present or name in denied or rng.random() >= words.findings[name].stated:
            continue
        able = [
            denial
            for denial in words.denials
            if (name in {row[0] for row in denial.rows if row[2] == "absent"}) and _fits(denial, present, denied)
        ]
        if able:
            chosen = able[int(rng.choice(len(able)))]
            draft.say(chosen.system, finish(one(rng, chosen.text)), chosen.rows)
            denied.update(row[0] for row in chosen.rows if row[2] == "absent")
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


def _impression(draft: _Draft, rng: Rng) -> str:
    """The main findings, gravest first, or that there is nothing acute."""
    items = [text for _, text in sorted(draft.impression, key=lambda item: -item[0])][: int(rng.integers(2, 6))]
    if not items:
        chosen = wording().nothing[int(rng.integers(len(wording().nothing)))]
        draft.rows.update(dict.fromkeys(chosen.rows))
        return finish(one(rng, chosen.text))
    if len(items) == 1 or rng.random() < 0.4:
        return " ".join(items)
    return "\n\n".join(f"{number}. {text}" for number, text in enumerate(items, start=1))


def _lay_out(draft: _Draft, context: Context, compared: bool, rng: Rng) -> str:
    """Headings, sections and line breaks."""
    words = wording().headings
    fill = {
        "age": "___" if rng.random() < 0.85 else str(context.age),
        "sex": one(rng, words.sex[context.study.patient.sex]),
        "reason": one(rng, words.reasons),
        "prior": one(rng, words.priors if compared else words.no_priors),
    }
    sections: list[tuple[str, str]] = []
    for section, chance in words.chance.items():
        if rng.random() < chance:
            variants = words.content[section]
            text = one(rng, variants[context.study.view] if isinstance(variants, dict) else variants)
            sections.append((one(rng, words.names[section]), finish(text.format(**fill)).rstrip(".")))
    body, impression = _body(draft, rng), _impression(draft, rng)
    shape = rng.random()
    if shape < 0.78:
        sections += [(one(rng, words.names["findings"]), body), (one(rng, words.names["impression"]), impression)]
    elif shape < 0.86:
        sections.append((one(rng, words.names["findings"]), f"{body} {impression}" if "\n" not in impression else body))
    elif shape < 0.94:
        sections.append((one(rng, words.names["impression"]), f"{body}"))
    else:
        sections.append(("", body))
    title = one(rng, words.titles)
    paragraphs = [f"{'':33}{title}"] + [f"{name}  {text}" if name else text for name, text in sections]
    lines = []
    for paragraph in paragraphs[1:]:
        for part in paragraph.split("\n\n"):
            lines += ["", *(" " + line for line in textwrap.wrap(part, COLUMNS))]
    return "\n".join([paragraphs[0], *lines]) + "\n"


def write_report(context: Context, unmentioned_share: float, rng: Rng) -> Report:
    """A report of a study's findings; equal generators give equal texts.

    Args:
        context: the study, the patient's age, the study before.
        unmentioned_share: the chance that a finding drawn is neither told nor denied.
        rng: all the chance that there is.
    """
    draft = _Draft()
    drawn = context.study.findings
    mentioned = [finding for finding in drawn if rng.random() >= unmentioned_share]
    compared = context.prior is not None or rng.random() < 0.55
    for group in _groups(mentioned):
        _mention(draft, context, group, compared, rng)
    _other_sides(draft, drawn, rng)
    _denials(draft, drawn, rng)
    return Report(_lay_out(draft, context, compared, rng), tuple(draft.rows))
