"""Outputs appear whole or not at all."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from components.core.records.digests import folder_digest
from components.core.records.whole import read_json, whole_file, whole_folder, write_json


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def fail_within_folder(path: Path) -> None:
    with whole_folder(path) as temporary:
        (temporary / "half").write_text("half", encoding="utf-8")
        raise RuntimeError


def fail_within_file(path: Path) -> None:
    with whole_file(path) as temporary:
        temporary.write_text("half", encoding="utf-8")
        raise RuntimeError


def test_a_folder_replaces_the_former_only_when_it_is_done(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "deep/out") as temporary:
        (temporary / "a").write_text("1", encoding="utf-8")
        assert not (tmp_path / "deep/out").exists()
    with pytest.raises(RuntimeError):
        fail_within_folder(tmp_path / "deep/out")
    assert names(tmp_path / "deep/out") == {"a"}
    with whole_folder(tmp_path / "deep/out") as temporary:
        (temporary / "b").write_text("2", encoding="utf-8")
    assert names(tmp_path / "deep/out") == {"b"}
    assert names(tmp_path / "deep") == {"out"}  # nothing temporary is left
    assert stat.S_IMODE((tmp_path / "deep/out").stat().st_mode) == 0o755


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    for place in (tmp_path, tmp_path / "pipe", tmp_path / "lost"):
        with pytest.raises(ValueError, match="is not a file that could be replaced"):
            write_json(place, {})


def test_a_file_replaces_the_former_only_when_it_is_done(tmp_path: Path) -> None:
    path = tmp_path / "deep/out.json"
    write_json(path, {"a": 1})
    with pytest.raises(RuntimeError):
        fail_within_file(path)
    assert read_json(path) == {"a": 1}
    assert names(tmp_path / "deep") == {"out.json"}


def test_a_read_only_file_of_the_cache_is_replaced_not_written(tmp_path: Path) -> None:
    cached, path = tmp_path / "cached", tmp_path / "out.json"
    cached.write_text("cached", encoding="utf-8")
    path.hardlink_to(cached)
    write_json(path, [1])
    assert cached.read_text(encoding="utf-8") == "cached"


def test_json_keeps_its_order_and_refuses_what_is_not_a_number(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": "ü"})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "b": 1,\n  "a": "ü"\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "b.json", {"a": float("nan")})
    assert names(tmp_path) == {"a.json"}


def test_unreadable_json_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.json does not exist: run the stage that makes it first"):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text(json.dumps({"a": 1})[:-1], encoding="utf-8")
    with pytest.raises(ValueError, match=r"a\.json is not JSON"):
        read_json(tmp_path / "a.json")


def test_a_digest_sees_names_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1", encoding="utf-8")
    (tmp_path / "b.txt").write_text("2", encoding="utf-8")
    whole, code = folder_digest(tmp_path), folder_digest(tmp_path, {".py"})
    assert folder_digest(tmp_path) == whole
    (tmp_path / "b.txt").write_text("3", encoding="utf-8")
    assert (folder_digest(tmp_path) != whole, folder_digest(tmp_path, {".py"})) == (True, code)
    (tmp_path / "a.py").rename(tmp_path / "c.py")
    assert folder_digest(tmp_path, {".py"}) != code


def test_what_a_killed_process_left_is_cleared_and_what_it_moved_aside_comes_back(tmp_path: Path) -> None:
    killed = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "out")], stdin=subprocess.PIPE)
    killed.communicate()
    assert len(names(tmp_path)) == 1
    left = next(tmp_path.iterdir())
    (left / "before").mkdir()
    (left / "before/kept").write_text("1", encoding="utf-8")
    other = left.name.replace("-", "-1")  # of another container
    (tmp_path / other).mkdir()
    with pytest.raises(RuntimeError):
        fail_within_folder(tmp_path / "out")
    assert names(tmp_path) == {"out", other}
    assert names(tmp_path / "out") == {"kept"}


KILLED = """
import os, signal, sys
from pathlib import Path
from components.core.records.whole import whole_folder
with whole_folder(Path(sys.argv[1])):
    os.kill(os.getpid(), signal.SIGKILL)
"""
