"""State goes when what it was kept for has ended, and not before."""

from pathlib import Path

import pytest

from components.core.state import kept_until_done, remove_when_done


def end_badly(folder: Path) -> None:
    with kept_until_done():
        remove_when_done(folder)
        raise OSError("full")


def test_state_is_removed_after_a_good_end_and_stays_after_a_bad_one(tmp_path: Path) -> None:
    kept, done, alone = (tmp_path / name for name in ("kept", "done", "alone"))
    for folder in (kept, done, alone):
        folder.mkdir()
    with pytest.raises(OSError, match="full"):
        end_badly(kept)
    with kept_until_done():
        remove_when_done(done)
        assert done.is_dir()
    remove_when_done(alone)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
