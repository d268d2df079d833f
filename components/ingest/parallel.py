"""Rows through several processes into the store. A process that a decoder's crash ends costs one image.

Each process has one row at a time, so that a lost one tells which row it was lost on; what it made is in the store.
"""

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import cv2

from components.core.dicom import Refused
from components.ingest.images import Renderer, Row, Task, refused, store_of
from components.ingest.memory import keep_freed_memory, limit_memory

SLOWEST = 60  # seconds that one object may take to decode; the slowest whole radiograph takes three
Facts = dict[str, str]  # why a row has no entry in the store; empty where it has


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection
    index: int | None = None  # of the row that it works on


def _serve(connection: Connection, task: Task, environment: dict[str, str]) -> None:
    """The life of a process: a row in, why it has no entry out, until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is told, and closes the connection
    os.environ.update(environment)  # the server that forks may have been started with another one
    cv2.setNumThreads(1)  # the processes share the cores already
    keep_freed_memory()
    limit_memory()
    with contextlib.suppress(EOFError, BrokenPipeError):
        try:
            renderer, store = Renderer(task), store_of(task)
            connection.send(None)
            while True:
                row = connection.recv()
                try:
                    content = renderer.read(row)
                    signal.alarm(SLOWEST)  # ends the process, even within a codec
                    entry = renderer.render(row, content)
                    signal.alarm(0)
                    store.put(task.entry_name(row), entry)
                    connection.send({})
                except Refused as refusal:
                    connection.send(dict(refused(refusal)))
        except (EOFError, BrokenPipeError):
            raise
        except Exception as error:  # noqa: BLE001 - the parent raises it
            connection.send(error)


def render_rows(rows: Sequence[Row], task: Task, workers: int) -> Iterator[tuple[int, Facts]]:
    """Bring every row into the store; gives each row's index when it is done, in any order, and why it has no entry.

    Raises:
        Whatever ended a process otherwise: TryAgain where the archive cannot be reached, OSError where the disk is
        full, ValueError where the archive cannot be opened.
    """
    # Not a fork of this process: it may hold threads (tracking, OpenCV) whose locks a fork would copy shut.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["components.ingest.parallel"])
    waiting = iter(range(len(rows)))
    team: list[_Worker] = []
    try:
        team.extend(_start(context, task) for _ in range(min(workers, len(rows))))
        while team:
            ready = wait([worker.connection for worker in team])
            for worker in [one for one in team if one.connection in ready]:
                told = _hear(worker)
                if isinstance(told, Exception):
                    raise told
                if worker.index is not None:
                    yield worker.index, told or {}
                if not worker.process.is_alive():
                    assert worker.index is not None, "a process of ingest ended before it began"
                    team.remove(worker)
                    worker.connection.close()
                    worker = _start(context, task)
                    team.append(worker)
                    worker.index = None
                    continue
                worker.index = next(waiting, None)
                if worker.index is None:
                    team.remove(worker)
                    worker.connection.close()
                else:
                    worker.connection.send(rows[worker.index])
    finally:
        for worker in team:
            worker.connection.close()
            worker.process.terminate()


def _start(context: multiprocessing.context.ForkServerContext, task: Task) -> _Worker:
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, task, dict(os.environ)), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _hear(worker: _Worker) -> Facts | Exception | None:
    """What a process says; where it was lost, why."""
    try:
        told: Facts | Exception | None = worker.connection.recv()
        return told
    except (EOFError, ConnectionResetError):
        worker.process.join()
        slow = worker.process.exitcode == -signal.SIGALRM
        refusal = (
            Refused("too_slow", f"the object took more than {SLOWEST} s to decode")
            if slow
            else Refused("crashed", f"the decoder crashed (status {worker.process.exitcode})")
        )
        return dict(refused(refusal))
