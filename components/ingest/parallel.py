"""Rows through several processes, results in the order of the rows, whatever the number of processes."""

import multiprocessing
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor

import cv2

from components.core.params import Dataset, Ingest
from components.ingest.images import Accepted, Rejected, Renderer, Row

CHUNK = 32
AHEAD = 4  # chunks a process that may wait to be taken: memory stays bounded

_renderer: Renderer | None = None


def _start(dataset: Dataset, params: Ingest) -> None:
    global _renderer
    cv2.setNumThreads(1)  # the processes share the cores already
    _renderer = Renderer(dataset, params)


def _work(rows: Sequence[Row]) -> list[Accepted | Rejected]:
    assert _renderer is not None
    return [_renderer(row) for row in rows]


def render_rows(rows: Sequence[Row], dataset: Dataset, params: Ingest, workers: int) -> Iterator[Accepted | Rejected]:
    """The result of every row, in order. One worker works in this process."""
    if workers == 1 or len(rows) <= CHUNK:
        renderer = Renderer(dataset, params)
        yield from map(renderer, rows)
        return
    chunks = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
    # Not a fork: the parent may hold threads (tracking, OpenCV) whose locks a fork would copy shut.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(chunks)), context, _start, (dataset, params)) as pool:
        waiting: deque[Future[list[Accepted | Rejected]]] = deque()
        for chunk in chunks:
            waiting.append(pool.submit(_work, chunk))
            if len(waiting) >= AHEAD * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
