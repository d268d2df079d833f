"""A process group that one owner starts, watches and ends, and that never outlives its owner."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path
from termios import TIOCGWINSZ, TIOCSWINSZ

INTERRUPT_SECONDS = 3.0  # Airflow gives five before it kills
ORPHAN_SECONDS = 10

# Waits for the end of its standard input, which is the owner's death, however it dies; then ends the group.
_WATCHDOG = f'read -r _; kill -s INT -- "-$1"; sleep {ORPHAN_SECONDS}; kill -s KILL -- "-$1"'


@dataclass(frozen=True)
class Process:
    """A process of this machine: its id, its session's, and its environment as it began."""

    pid: int
    session: int
    environment: frozenset[bytes]


def all_processes() -> Iterator[Process]:
    """The processes of this machine that we may look at and that have not ended."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text(encoding="ascii", errors="replace").rsplit(")", 1)[1].split()
            environment = frozenset((folder / "environ").read_bytes().split(b"\0"))
        except (OSError, IndexError):  # it has ended meanwhile, or it is another user's
            continue
        if fields[0] != "Z":
            yield Process(int(folder.name), int(fields[3]), environment)


def started(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None where it has ended. With its id it is unique."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[19])


def group_alive(group: int) -> bool:
    """Whether a process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def end_group(group: int, reap: Callable[[], object] = lambda: None) -> None:
    """Interrupt a group, wait a little, then kill what is left of it; `reap` collects our own child."""
    for sign, seconds in ((signal.SIGINT, INTERRUPT_SECONDS), (signal.SIGKILL, 1.0)):
        deadline = time.monotonic() + seconds
        try:
            os.killpg(group, sign)
        except ProcessLookupError:
            return
        while time.monotonic() < deadline:
            reap()
            if not group_alive(group):
                return
            time.sleep(0.02)


class Record:
    """A file that says which group runs on whose behalf, so that a later owner can end what an earlier one left."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, group: int) -> None:
        """Note the group and this process, its owner."""
        content = {"owner": [os.getpid(), started(os.getpid())], "group": [group, started(group)]}
        self.path.write_text(json.dumps(content), encoding="ascii")

    def _content(self) -> dict[str, list[int]] | None:
        try:
            content: dict[str, list[int]] = json.loads(self.path.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return None
        return content

    def group(self) -> tuple[int, int] | None:
        """The noted group and when its first process started; None where none is noted."""
        content = self._content()
        return (content["group"][0], content["group"][1]) if content else None

    def end_orphans(self) -> None:
        """End the noted group if its owner is gone and its first process is the noted one."""
        content = self._content()
        if content is None:
            return
        (owner, owner_started), (group, group_started) = content["owner"], content["group"]
        if started(owner) != owner_started and started(group) == group_started and group_started is not None:
            end_group(group)
        self.path.unlink(missing_ok=True)


def _terminal_of_our_size() -> tuple[int, int]:
    """A pseudo-terminal, so that progress bars show as they would without us."""
    ours, theirs = pty.openpty()
    ioctl(theirs, TIOCSWINSZ, ioctl(sys.stdout.fileno(), TIOCGWINSZ, b"\0" * 8))
    return ours, theirs


def _pump(source: int, process: subprocess.Popen[bytes], sink: Callable[[bytes], None]) -> None:
    """Hand on what the group writes until its first process has ended and nothing more comes."""
    while True:
        ended = process.poll() is not None
        if select.select([source], [], [], 0.0 if ended else 0.2)[0]:
            try:
                chunk = os.read(source, 65_536)
            except OSError:  # a pseudo-terminal whose other end is closed
                chunk = b""
            if chunk:
                sink(chunk)
                continue
            process.wait()
            return
        if ended:
            return


def run_group(
    command: Sequence[str],
    environment: Mapping[str, str],
    record: Record,
    sink: Callable[[bytes], None],
    folder: Path = Path(),
) -> int:
    """Run a command as a group of its own and return its exit status.

    Args:
        command: the program and its arguments.
        environment: the whole environment.
        record: where the group is noted while it runs.
        sink: gets everything that it writes to stdout and stderr.
        folder: where it runs.

    Raises:
        KeyboardInterrupt: this process was told to stop; the group has been ended by then.
    """
    ours, theirs = _terminal_of_our_size() if sys.stdout.isatty() else os.pipe()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    watchdog = subprocess.Popen(
        ["/bin/sh", "-c", _WATCHDOG, "watchdog", str(process.pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        record.write(process.pid)
        _pump(ours, process, sink)
        return process.wait()
    finally:
        end_group(process.pid, process.poll)
        process.wait()
        watchdog.kill()
        watchdog.communicate()
        os.close(ours)
        record.path.unlink(missing_ok=True)
