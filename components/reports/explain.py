"""Reports as a page that a person can check: coloured spans, arrows from findings to places, the triplets beside them.

The page is one file that loads nothing. What a report holds is shown as text, whatever it is: it is escaped, characters
that would hide or turn others are replaced, and the page's policy allows no script but its own.
"""

import base64
import hashlib
import html
import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from components.core.records.whole import whole_file
from components.core.vocabulary import DISPLAY
from components.reports.lexicon import lexicon
from components.reports.lines import PRESENCES, read_lines, text_of
from components.reports.parser import Finding, Offsets
from components.reports.reading import Reading, read
from components.reports.verdicts import verdicts

TEMPLATE = Path(__file__).with_name("page.html")
REPORTS_MARK = "<!-- reports -->"
MOST_REPORTS = 200  # on a page: more are too slow to scroll
SHOWN_CONTROLS = "\n\t"


def visible(text: str) -> str:
    """A text of the same length in which nothing hides or turns other characters."""
    return "".join(
        "\ufffd" if unicodedata.category(char) in ("Cc", "Cf", "Cs") and char not in SHOWN_CONTROLS else char
        for char in text
    )


def _look(pathology: str, presence: str) -> str:
    """How a finding is coloured: what is healthy apart from what is abnormal."""
    return "healthy" if presence == "present" and pathology in lexicon().healthy else presence


def _pieces(classes: dict[Offsets, str], begin: int, end: int) -> Iterator[tuple[int, int, Offsets | None]]:
    """A stretch of text cut wherever a span begins or ends, each piece with the shortest span around it."""
    spans = sorted(span for span in classes if begin <= span[0] < end)
    cuts = sorted({begin, end, *(min(cut, end) for span in spans for cut in span)})
    around: list[Offsets] = []
    for start, stop in pairwise(cuts):
        around = [span for span in around if span[1] > start]
        while spans and spans[0][0] == start:
            around.append(spans.pop(0))
        yield start, stop, min(around, key=lambda span: (span[1] - span[0], span), default=None)


class _Report:
    """One report's HTML; a piece of text that begins at an offset has that offset in its id."""

    def __init__(self, number: int, name: str, text: str, reading: Reading) -> None:
        self.number, self.name, self.text, self.reading = number, name, visible(text), reading
        self.classes: dict[Offsets, str] = {}
        self.arrows: dict[int, dict[Offsets, None]] = {}
        # Where spans are equal a finding counts before a cue, a cue before a place.
        for finding in reading.findings:
            self.classes.update(dict.fromkeys(finding.places_at, "place"))
        for finding in reading.findings:
            if finding.cue_at:
                self.classes[finding.cue_at] = f"cue {finding.presence}"
        for finding in sorted(reading.findings, key=lambda finding: -PRESENCES.index(finding.presence)):
            self.classes[finding.start, finding.end] = f"finding {_look(finding.pathology, finding.presence)}"
            self.arrows.setdefault(finding.start, {}).update(dict.fromkeys(finding.places_at))

    def _id(self, offset: int) -> str:
        return f"r{self.number}c{offset}"

    def _stretch(self, begin: int, end: int) -> str:
        made = []
        for start, stop, span in _pieces(self.classes, begin, end):
            words = html.escape(self.text[start:stop])
            if span is not None:
                to = " ".join(self._id(place[0]) for place in self.arrows.get(start, ()))
                arrows = f' data-to="{to}"' if to else ""
                words = f'<span id="{self._id(start)}" class="{self.classes[span]}"{arrows}>{words}</span>'
            made.append(words)
        return "".join(made)

    def _text(self) -> str:
        made, place = [], 0
        for part in self.reading.parts:
            made.append(f'<span class="unread">{html.escape(self.text[place : part.start])}</span>')
            made.append(f'<span class="section">{part.name}</span>{self._stretch(part.start, part.end)}')
            place = part.end
        return "".join(made) + f'<span class="unread">{html.escape(self.text[place:])}</span>'

    def _rows(self) -> Iterator[str]:
        """A row a triplet, as they are decided; what the report says in several ways is marked."""
        said: dict[tuple[str, str], list[Finding]] = {}
        for finding in self.reading.findings:
            said.setdefault((finding.pathology, finding.anatomy), []).append(finding)
        for pair, presence in sorted(
            verdicts(self.reading.findings).items(), key=lambda item: (PRESENCES.index(item[1]), item[0])
        ):
            findings = said[pair]
            cues = ", ".join(dict.fromkeys(finding.cue for finding in findings if finding.presence == presence))
            several = len({finding.presence for finding in findings}) > 1
            spots = (offset for finding in findings for offset in (finding.start, *(at[0] for at in finding.places_at)))
            cells = (DISPLAY[pair[0]], DISPLAY[pair[1]], presence, cues)
            conflict = ' <span class="conflict">said in several ways</span>' if several else ""
            yield (
                f'<tr class="{_look(pair[0], presence)}" data-says="{" ".join(map(self._id, dict.fromkeys(spots)))}">'
                + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells[:2])
                + f"<td>{cells[2]}{conflict}</td><td>{html.escape(cells[3])}</td></tr>"
            )

    def article(self) -> str:
        """The report with its triplets beside it."""
        notes = "".join(f' <span class="note">{note.replace("_", " ")}</span>' for note in self.reading.notes)
        head = "<tr><th>Finding</th><th>Place</th><th>Presence</th><th>Cue</th></tr>"
        rows = "".join(self._rows())
        return (
            f"<article><h2>{html.escape(visible(self.name))}{notes}</h2>"
            f'<div class="text">{self._text()}</div>'
            f"<div>{f'<table>{head}{rows}</table>' if rows else 'No finding.'}</div></article>\n"
        )


def page(reports: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The page on reports in either shape of `lines`, piece by piece."""
    template = TEMPLATE.read_text(encoding="utf-8")
    script = re.search(r"<script>(.*)</script>", template, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    head, foot = template.replace("$hash", f"sha256-{digest}", 1).split(REPORTS_MARK)
    yield head
    for number, report in enumerate(reports):
        text, parts = text_of(report)
        yield _Report(number, str(report["id"]), text, read(text, parts)).article()
    yield foot


def explain_file(source: Path, out: Path, refused: list[str]) -> int:
    """Write the page on the first reports of a file; it appears whole or not at all.

    Args:
        source: reports as lines of JSON.
        out: where the page goes.
        refused: as in `lines.read_lines`.

    Returns:
        How many reports were left out: a browser shows no more than so many.
    """
    reports = read_lines(source, refused)
    with whole_file(out) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(page(islice(reports, MOST_REPORTS)))
        return sum(1 for _ in reports)
