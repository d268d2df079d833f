"""Reports as lines of JSON to triplets as lines of JSON: `python -m components.reports parse`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.core.records.whole import whole_file
from components.reports.parser import Finding, parse, parse_parts
from components.reports.text import Span

SHAPES = '{"id", "findings", "impression"} or {"id", "text"}'
PRESENCES = ("present", "absent", "uncertain")


def findings_of(report: dict[str, Any]) -> list[Finding]:
    """The findings of a report in either shape; missing or null parts are empty."""
    if "text" in report:
        return parse(report["text"])
    parts, text = [], ""
    for name in ("findings", "impression"):
        body = report.get(name) or ""
        parts.append(Span(name, len(text), len(text) + len(body)))
        text += body + "\n"
    return parse_parts(text, parts)


def triplets(findings: list[Finding]) -> dict[str, list[list[str]]]:
    """Sorted (pathology, anatomy) pairs by presence; of a pair said in several ways, present wins, then absent."""
    strongest: dict[tuple[str, str], str] = {}
    for finding in findings:
        pair = (finding.pathology, finding.anatomy)
        known = strongest.get(pair)
        if known is None or PRESENCES.index(finding.presence) < PRESENCES.index(known):
            strongest[pair] = finding.presence
    return {name: sorted(list(pair) for pair, said in strongest.items() if said == name) for name in PRESENCES}


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
    if not {"text", "findings", "impression"} & set(report):
        raise ValueError(f"{where} holds no report; a line is {SHAPES}")
    for key in ("text", "findings", "impression"):
        if not isinstance(report.get(key, ""), str) and not (report[key] is None and key != "text"):
            raise ValueError(f"{where}: {key} is not a text")
    return report


def parsed_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The triplets of every report of a file.

    Raises:
        ValueError: the file is not UTF-8, a line is not a report (see `checked`), or an id stands twice.
    """
    lines_of: dict[str | int, int] = {}
    with path.open("rb") as lines:
        for number, raw in enumerate(lines, 1):
            where = f"{path}, line {number}"
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise ValueError(f"{where} is not UTF-8: {error}") from None
            if line.strip():
                report = checked(line, where)
                if lines_of.setdefault(report["id"], number) != number:
                    raise ValueError(f"{where}: the id stands in line {lines_of[report['id']]} already")
                yield {"id": report["id"], **triplets(findings_of(report))}


def parse_file(source: Path, out: Path) -> None:
    """Parse every report of a file; the result appears whole or not at all."""
    with whole_file(out) as temporary, temporary.open("w", encoding="utf-8") as file:
        for result in parsed_lines(source):
            file.write(json.dumps(result) + "\n")
