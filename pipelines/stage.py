"""Run one stage of the current workspace through DVC: locks, signals, exit status, log.

Everything here works in the current folder, which is the workspace; what it keeps lies below `.state/stages/`.
"""

import fcntl
import json
import os
import re
import signal
import sys
import time
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from components.core.command import STATUS_FILE_VARIABLE, TRY_AGAIN
from components.core.records.whole import read_json, write_json
from pipelines.lock_file import keep_or_bring_back, torn
from pipelines.processes import Record, run_group

STATE = Path(".state/stages")
KEPT = STATE / "dvc.lock"  # as it stood when it was last whole
DVC_LOCK = Path(".dvc/tmp/lock")
LOCK_SECONDS = 10.0  # DVC holds its lock while it reads and writes, not while a stage runs
PATIENCE_SECONDS = 600.0
STOPPED = 130
BUSY = ("Unable to acquire lock", "it is being blocked by")
DVC_CLAIMS = Path(".dvc/tmp/rwlock")  # who reads and writes what; DVC writes it in place
CLAIMS_SECONDS = 10.0  # DVC holds the list for milliseconds
TORN = "Unable to read RWLock-file"


@dataclass(frozen=True)
class Outcome:
    """How a stage ended.

    Attributes:
        address: the stage, such as `ingest@mimic_cxr`.
        status: 0; 2 bad input, 3 a gate said no, 75 try again, 130 stopped, 137 out of memory, 1 a defect.
        how: ran, restored (from the cache), unchanged, or failed.
        seconds: wall time.
        log: what it wrote.
    """

    address: str
    status: int
    how: str
    seconds: float
    log: Path

    def save(self, page: str | None = None) -> None:
        """Leave it beside the log, for schedulers; with the page of its run in MLflow, once that is known."""
        write_json(outcome_file(self.address), {**asdict(self), "log": str(self.log.absolute()), "page": page})

    @classmethod
    def read(cls, address: str) -> "Outcome":
        """How the stage of the current workspace ended last.

        Raises:
            ValueError: it has not run here.
        """
        if not outcome_file(address).is_file():
            raise ValueError(f"{address} has not run in this workspace")
        content = read_json(outcome_file(address))
        del content["page"]
        return cls(**{**content, "log": Path(content["log"])})


def outcome_file(address: str) -> Path:
    """Where the end of a stage is noted, in its workspace."""
    return STATE / address / "outcome.json"


@contextmanager
def stops_as_interrupts() -> Iterator[None]:
    """Turn INT, TERM and HUP into KeyboardInterrupt, so that every way to stop us ends our stages cleanly.

    INT too, since a shell makes what it starts in the background ignore it, and our stages would inherit that.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    former = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextmanager
def locked(path: Path, patience: float) -> Iterator[bool]:
    """Hold a lock file; yields False where another holds it for longer than `patience` seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + patience
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    yield False
                    return
                time.sleep(0.2)
            else:
                yield True
                return


def busy(workspace: Path) -> bool:
    """Whether a stage of a workspace is running."""
    for lock in (workspace / STATE).glob("*/lock"):
        with locked(lock, 0.0) as free:
            if not free:
                return True
    return False


def environment_of(status_file: Path) -> dict[str, str]:
    """The environment of a stage: ours, this Python first on the path, telemetry off."""
    return {
        **os.environ,
        STATUS_FILE_VARIABLE: str(status_file.absolute()),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "DVC_NO_ANALYTICS": "1",
        "PYTHONUNBUFFERED": "1",
    }


def _sink(log: Path, show: Callable[[str], object]) -> Callable[[bytes], None]:
    """Writes what a stage says to its log and shows it."""
    decoder = getincrementaldecoder("utf-8")("replace")
    log.write_bytes(b"")

    def sink(chunk: bytes) -> None:
        with log.open("ab") as file:
            file.write(chunk)
        show(decoder.decode(chunk))

    return sink


def _status(folder: Path, dvc_status: int, text: str) -> int:
    """The stage's own exit status: DVC turns every failure into 255."""
    if dvc_status == 0:
        return 0
    try:
        told = int((folder / "status").read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        told = 0
    if told:
        return told
    if dvc_status < 0:  # DVC itself was ended by a signal
        return 128 - dvc_status
    if any(sign in text for sign in (*BUSY, TORN)):
        return TRY_AGAIN
    shell = re.findall(r"exited with (-?\d+)", text)
    code = int(shell[-1]) if shell else 1
    return 128 - code if code < 0 else code


def _remove_left_claims(address: str) -> None:
    """Remove what a DVC that was killed has left in the list of claims, where no later one would.

    DVC looks for the process that a claim names; but in a container's successor that number lives again. Nobody but us
    runs the stage: we hold its lock. A list that was half written goes as a whole, and nothing is lost by it.
    """
    left = f"--wait-for-lock repro --single-item {address}"
    with locked(DVC_CLAIMS.with_name("rwlock.lock"), CLAIMS_SECONDS) as ours:
        if not ours or not DVC_CLAIMS.is_file():
            return
        try:
            claims = json.loads(DVC_CLAIMS.read_text(encoding="utf-8"))
        except ValueError:
            DVC_CLAIMS.unlink()
            return

        def stands(claim: dict[str, str]) -> bool:
            return f"{left} " not in f"{claim['cmd']} "

        read = {path: [one for one in readers if stands(one)] for path, readers in claims.get("read", {}).items()}
        kept = {
            "write": {path: writer for path, writer in claims.get("write", {}).items() if stands(writer)},
            "read": {path: readers for path, readers in read.items() if readers},
        }
        write_json(DVC_CLAIMS, kept)


def _how(folder: Path, status: int, text: str) -> str:
    """Whether the stage ran, or what DVC did instead."""
    if status != 0:
        return "failed"
    if (folder / "status").exists() or "Running stage" in text:
        return "ran"
    return "unchanged" if "didn't change, skipping" in text else "restored"


def _attempt(address: str, force: bool, folder: Path, show: Callable[[str], object]) -> tuple[int, str]:
    """One `dvc repro` of the stage: its status and how it ended."""
    (folder / "status").unlink(missing_ok=True)
    _remove_left_claims(address)
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", address]
    dvc_status = run_group(
        command + (["--force"] if force else []),
        environment_of(folder / "status"),
        Record(folder / "group"),
        _sink(folder / "log", show),
    )
    text = (folder / "log").read_text(encoding="utf-8", errors="replace")
    status = _status(folder, dvc_status, text)
    return status, _how(folder, status, text)


def run_stage(
    address: str,
    force: bool = False,
    patience: float = PATIENCE_SECONDS,
    show: Callable[[str], object] = sys.stdout.write,
) -> Outcome:
    """Run one stage of the current workspace, or restore it, or leave it as it is.

    It ends what a dead launcher left of the stage, waits for a living one and for DVC's lock, and never longer than
    `patience` before the stage begins.

    Args:
        address: the stage, such as `ingest@mimic_cxr`.
        force: run it even if nothing changed.
        patience: seconds to wait for locks; then the status is 75.
        show: gets what the stage writes, as it comes.

    Raises:
        KeyboardInterrupt: we were told to stop; the stage has been ended by then.
    """
    folder = STATE / address
    begun = time.monotonic()

    def outcome(status: int, how: str) -> Outcome:
        ended = Outcome(address, status, how, time.monotonic() - begun, folder / "log")
        ended.save()
        return ended

    with locked(folder / "lock", patience) as ours:
        if not ours:
            show(f"{address} is being run by another process\n")
            return outcome(TRY_AGAIN, "failed")
        Record(folder / "group").end_orphans()
        while True:
            with locked(DVC_LOCK, max(0.0, begun + patience - time.monotonic())) as free:
                if not free:
                    show(f"DVC's lock ({DVC_LOCK}) was held by another process for {patience:.0f} s\n")
                    return outcome(TRY_AGAIN, "failed")
                keep_or_bring_back(KEPT)
            status, how = _attempt(address, force, folder, show)
            with locked(DVC_LOCK, LOCK_SECONDS) as free:
                if free and status == 0:
                    keep_or_bring_back(KEPT)
            blocked = status == TRY_AGAIN and not (folder / "status").exists()
            unreadable = status == 1 and torn()  # by another stage, which was killed meanwhile
            if not (blocked or unreadable) or time.monotonic() > begun + patience:
                return outcome(status, how)
            time.sleep(1.0)
