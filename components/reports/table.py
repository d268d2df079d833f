"""The reports of many studies to rows of findings, through several processes, in the order of the studies."""

import multiprocessing
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from components.core.archives import Archive, OutsideArchive, open_archive
from components.core.archives.base import decode_text
from components.core.params import Dataset
from components.core.records.tables import FINDINGS
from components.reports import radgraph
from components.reports.reading import NOTES, Reading, read

CHUNK = 256
AHEAD = 4  # chunks a process that may wait to be taken: memory stays bounded
OTHER_ENCODING = "other_encoding"  # not UTF-8: read as UTF-16 with its mark, Windows-1252 or Latin-1
REFUSED = {"empty": "report_empty", "another_language": "report_language"}
LETTERS = re.compile(r"[^\W\d_]+")

StudyReport = tuple[str, str]  # the study's pseudonym and its report's uri


@dataclass(frozen=True)
class Parsed:
    """What a chunk of reports gave.

    Attributes:
        findings: rows of the schema findings.
        read: the studies whose report was read, in order.
        refused: study and reason code (see `records.tables.REASONS`) of every other one.
        unmatched: study and the words beside known phrases that the lexicon lacks.
        notes: how many reports have each of `reading.NOTES`, or another encoding.
    """

    findings: pa.Table
    read: list[str]
    refused: list[tuple[str, str]]
    unmatched: list[tuple[str, frozenset[tuple[str, str]]]]
    notes: Counter[str]


def gathered(readings: Iterable[tuple[str, Reading | str]]) -> Parsed:
    """What the reports of studies say, each as its reading or as the reason code why there is none."""
    columns: dict[str, list] = {name: [] for name in FINDINGS.names}
    parsed = Parsed(FINDINGS.empty_table(), [], [], [], Counter(dict.fromkeys((*NOTES, OTHER_ENCODING), 0)))
    for study, reading in readings:
        reason = reading if isinstance(reading, str) else next(filter(None, map(REFUSED.get, reading.notes)), None)
        if isinstance(reading, Reading):
            parsed.notes.update(reading.notes)
        if reason is not None or isinstance(reading, str):
            parsed.refused.append((study, str(reason)))
            continue
        parsed.read.append(study)
        parsed.unmatched.append((study, reading.unmatched))
        for finding in reading.findings:
            columns["study_id"].append(study)
            for name in FINDINGS.names[1:]:
                columns[name].append(getattr(finding, name))
    return replace(parsed, findings=pa.table(columns, schema=FINDINGS))


_archive: Archive | None = None


def _start(dataset: Dataset) -> None:
    global _archive
    _archive = open_archive(dataset.layout, dataset.root)


def _work(reports: Sequence[StudyReport]) -> Parsed:
    assert _archive is not None
    return parse_reports(reports, _archive)


def _content(archive: Archive, uri: str) -> bytes | str:
    """The bytes of a report, or the reason code why there are none."""
    try:
        return archive.read_bytes(uri)
    except (OSError, OutsideArchive) as error:
        return "outside" if isinstance(error, OutsideArchive) else "unreadable"


def parse_reports(reports: Sequence[StudyReport], archive: Archive) -> Parsed:
    """Read and parse reports in this process."""
    return gathered((study, _reading(_content(archive, uri))) for study, uri in reports)


def _reading(content: bytes | str) -> Reading | str:
    """What a report's bytes say, or the reason code as it is."""
    if isinstance(content, str):
        return content
    reading = read(decode_text(content))
    return reading if _is_utf8(content) else replace(reading, notes=(*reading.notes, OTHER_ENCODING))


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def parse_all(reports: Sequence[StudyReport], dataset: Dataset, workers: int) -> Iterator[Parsed]:
    """Every chunk's result, in order, the same whatever the number of processes. One worker works in this process."""
    chunks = [reports[start : start + CHUNK] for start in range(0, len(reports), CHUNK)]
    if workers == 1 or len(chunks) <= 1:
        archive = open_archive(dataset.layout, dataset.root)
        for chunk in chunks:
            yield parse_reports(chunk, archive)
        return
    # Not a fork: the parent may hold threads (tracking) whose locks a fork would copy shut.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(chunks)), context, _start, (dataset,)) as pool:
        waiting: deque[Future[Parsed]] = deque()
        for chunk in chunks:
            waiting.append(pool.submit(_work, chunk))
            if len(waiting) >= AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def read_radgraph(reports: Sequence[StudyReport], dataset: Dataset, path: Path) -> Iterator[Parsed]:
    """What RadGraph read in the reports, in chunks; a report that its file lacks is refused.

    Raises:
        ValueError: the file is not RadGraph's (see `radgraph.entries`).
    """
    by_path: dict[str, list[str]] = {}
    for study, uri in reports:
        by_path.setdefault(_key(uri), []).append(study)
    by_letters: dict[str, list[str]] | None = None
    readings: dict[str, Reading] = {}
    for key, entry in radgraph.entries(path):
        studies = by_path.get(_key(key))
        if studies is None and key.isdecimal():
            if by_letters is None:
                by_letters = _by_letters(reports, open_archive(dataset.layout, dataset.root))
            studies = by_letters.get(_letters(entry["text"]))
        if studies:
            readings.update(dict.fromkeys(studies, radgraph.read_entry(entry)))
    for start in range(0, len(reports), CHUNK):
        chunk = reports[start : start + CHUNK]
        yield gathered((study, readings.get(study, "radgraph_missing")) for study, _ in chunk)


def _key(uri: str) -> str:
    """A report's path as RadGraph's keys have it: p10/p10000032/s50414267."""
    return uri.removeprefix("files/").removesuffix(".txt")


def _letters(text: str) -> str:
    return "".join(LETTERS.findall(text.lower()))


def _by_letters(reports: Sequence[StudyReport], archive: Archive) -> dict[str, list[str]]:
    """The studies of every text, by its letters: equal reports say the same."""
    found: dict[str, list[str]] = {}
    for study, uri in reports:
        content = _content(archive, uri)
        if isinstance(content, bytes):
            found.setdefault(_letters(decode_text(content)), []).append(study)
    return found
