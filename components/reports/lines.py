"""Reports as lines of JSON to triplets as lines of JSON: `python -m components.reports parse`."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.core.records.whole import whole_file
from components.reports.parser import Finding
from components.reports.reading import NOTES, read
from components.reports.text import Span
from components.reports.verdicts import verdicts

SHAPES = '{"id", "findings", "impression"} or {"id", "text"}'
PRESENCES = ("present", "absent", "uncertain")
HEADED = ("findings", "impression")


def text_of(report: dict[str, Any]) -> tuple[str, list[Span] | None]:
    """The text of a report in either shape, and its parts where they are given; missing or null parts are empty."""
    if "text" in report:
        return report["text"], None
    parts, text = [], ""
    for name in HEADED:
        body = report.get(name) or ""
        parts.append(Span(name, len(text), len(text) + len(body)))
        text += body + "\n"
    return text, parts


def triplets(findings: list[Finding]) -> dict[str, list[list[str]]]:
    """Sorted (pathology, anatomy) pairs by presence; `verdicts` decides where a pair is said in several ways."""
    decided = verdicts(findings)
    return {name: sorted(list(pair) for pair, said in decided.items() if said == name) for name in PRESENCES}


def checked(line: str, where: str) -> dict[str, Any]:
    """A line as a report.

    Raises:
        ValueError: it is not a JSON object in one of the two shapes, with texts in it, its id a text or a whole number.
    """
    try:
        report = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} is not JSON ({error}); a line is {SHAPES}") from None
    if not isinstance(report, dict) or "id" not in report:
        raise ValueError(f"{where} is not an object with an id; a line is {SHAPES}")
    if not isinstance(report["id"], str | int) or isinstance(report["id"], bool):
        raise ValueError(f"{where}: the id is neither a text nor a whole number")
    if not {"text", *HEADED} & set(report):
        raise ValueError(f"{where} holds no report; a line is {SHAPES}")
    for key in ("text", *HEADED):
        if not isinstance(report.get(key, ""), str) and not (report[key] is None and key != "text"):
            raise ValueError(f"{where}: {key} is not a text")
    return report


def read_lines(path: Path, refused: list[str]) -> Iterator[dict[str, Any]]:
    """Every report of a file; a line that is none is passed over.

    Args:
        path: the file.
        refused: takes a sentence for every line that is not UTF-8, is no report (see `checked`), or repeats an id.

    Raises:
        ValueError: there are lines and none is a report.
    """
    lines_of: dict[str | int, int] = {}
    with path.open("rb") as lines:
        for number, raw in enumerate(lines, 1):
            try:
                report = _report(raw, number, f"{path}, line {number}", lines_of)
            except ValueError as error:
                refused.append(str(error))
                continue
            if report is not None:
                yield report
    if refused and not lines_of:
        raise ValueError(f"no line can be read: {refused[0]}")


def _report(raw: bytes, number: int, where: str, lines_of: dict[str | int, int]) -> dict[str, Any] | None:
    """A line as a report, its number noted under its id; None for a blank line."""
    try:
        line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{where} is not UTF-8: {error}") from None
    if not line.strip():
        return None
    report = checked(line, where)
    if lines_of.setdefault(report["id"], number) != number:
        raise ValueError(f"{where}: the id stands in line {lines_of[report['id']]} already")
    return report


def parse_file(source: Path, out: Path, refused: list[str]) -> dict[str, int]:
    """Parse every report of a file; the result appears whole or not at all.

    Args:
        source: reports as lines of JSON.
        out: where their triplets go.
        refused: as in `read_lines`.

    Returns:
        How many reports there are, and how many of them have each of `reading.NOTES`.
    """
    counts = Counter({"reports": 0, **dict.fromkeys(NOTES, 0)})
    with whole_file(out) as temporary, temporary.open("w", encoding="utf-8") as file:
        for report in read_lines(source, refused):
            reading = read(*text_of(report))
            counts.update(["reports", *reading.notes])
            file.write(json.dumps({"id": report["id"], **triplets(reading.findings)}) + "\n")
    return dict(counts)
