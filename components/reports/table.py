"""The reports of many studies to rows of findings, through several processes, in the order of the studies."""

import multiprocessing
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from components.core.archives import Archive, OutsideArchive, open_archive
from components.core.params import Dataset
from components.core.records.tables import FINDINGS
from components.reports.parser import Finding, parse

CHUNK = 256
AHEAD = 4  # chunks a process that may wait to be taken: memory stays bounded

StudyReport = tuple[str, str]  # the study's pseudonym and its report's uri


@dataclass(frozen=True)
class Parsed:
    """What a chunk of reports gave.

    Attributes:
        findings: rows of the schema findings.
        read: the studies whose report was read, in order.
        refused: study and reason code (unreadable, outside, report_empty) of every other one.
    """

    findings: pa.Table
    read: list[str]
    refused: list[tuple[str, str]]


_archive: Archive | None = None


def _start(dataset: Dataset) -> None:
    global _archive
    _archive = open_archive(dataset.layout, dataset.root)


def _work(reports: Sequence[StudyReport]) -> Parsed:
    assert _archive is not None
    return parse_reports(reports, _archive)


def _rows(found: Sequence[tuple[str, Finding]]) -> pa.Table:
    columns: dict[str, list] = {"study_id": [study for study, _ in found]}
    for name in FINDINGS.names[1:]:
        columns[name] = [getattr(finding, name) for _, finding in found]
    return pa.table(columns, schema=FINDINGS)


def parse_reports(reports: Sequence[StudyReport], archive: Archive) -> Parsed:
    """Read and parse reports in this process."""
    found: list[tuple[str, Finding]] = []
    read: list[str] = []
    refused: list[tuple[str, str]] = []
    for study, uri in reports:
        try:
            text = archive.read_text(uri)
        except (OSError, OutsideArchive) as error:
            refused.append((study, "outside" if isinstance(error, OutsideArchive) else "unreadable"))
            continue
        if not text.strip():
            refused.append((study, "report_empty"))
            continue
        read.append(study)
        found.extend((study, finding) for finding in parse(text))
    return Parsed(_rows(found), read, refused)


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
