"""dvc.lock, which DVC writes in place: what a kill leaves of it gives way to what stood there before.

The write takes most of a second, so that a node which is lost hits it now and then; DVC reads no such file, and nothing
would run in that workspace again.
"""

from pathlib import Path

from components.core.records.whole import whole_file

LOCK_FILE = Path("dvc.lock")


def torn() -> bool:
    """Whether a write broke off: a whole file ends with a newline, as do those of people, conflicts in them too."""
    return LOCK_FILE.is_file() and not LOCK_FILE.read_bytes().endswith(b"\n")


def keep_or_bring_back(kept: Path) -> None:
    """Keep a copy of a whole dvc.lock; bring it back over a torn one. For whoever holds DVC's own lock.

    What was being noted is lost: that stage runs once more, or comes from the run cache.

    Args:
        kept: the copy; empty where there was no dvc.lock.
    """
    if not torn():
        content = LOCK_FILE.read_bytes() if LOCK_FILE.is_file() else b""
        if not kept.is_file() or kept.read_bytes() != content:
            with whole_file(kept) as temporary:
                temporary.write_bytes(content)
    elif kept.is_file():
        if content := kept.read_bytes():
            LOCK_FILE.write_bytes(content)  # in place, as DVC does: in a container the folder may not be ours
        else:
            LOCK_FILE.unlink()
