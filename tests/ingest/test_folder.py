"""`python -m components.ingest folder`: any folder, by one command."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.core.records.tables import read_table
from tests.archive_files import write
from tests.dicom_files import LOSSLESS, chest, radiograph

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def command(tmp_path: Path, repository: Path) -> Command:
    """The command, in a folder without params.yaml or key; its own state."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        own = {"MEDSLIP_STATE_DIR": str(tmp_path / "state"), "MEDSLIP_PSEUDONYM_KEY_FILE": str(tmp_path / "own.key")}
        return subprocess.run(
            [sys.executable, "-m", "components.ingest", "folder", *arguments],
            cwd=tmp_path,
            env={**os.environ, **own, "PYTHONPATH": str(repository), "MEDSLIP_WORKERS": "2"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_one_image_in_every_lossless_syntax_gives_one_shard_row(tmp_path: Path, command: Command) -> None:
    for syntax in LOSSLESS:
        write(tmp_path, f"dicom/{syntax.keyword}", radiograph(chest(), syntax=syntax, SOPInstanceUID="1.2.3"))
    for name in ("a.png", "b.PNG", "reports.pdf", ".hidden"):
        write(tmp_path, f"dicom/{name}", b"x")
    write(tmp_path, "dicom/reports.csv", b"study,text\n7.7,No effusion.\n")
    write(tmp_path, "dicom/copy.dcm", (tmp_path / "dicom/RLELossless").read_bytes())
    done = command("dicom", "--out", "out", "--size", "64")
    assert (done.returncode, done.stdout) == (0, "out: 9 images, 2 rejected (1 duplicate, 1 image_missing)\n")
    assert "10 objects of" in done.stderr
    assert "not looked at, since their names end like no DICOM file: 1 ., 1 .pdf, 2 .png\n" in done.stderr
    images = np.load(tmp_path / "out/shard-00000.npy")
    assert images.shape == (9, 64, 64)
    assert (images == images[0]).all()
    manifest = read_table(tmp_path / "out/manifest.parquet", "manifest")
    assert sorted(manifest["transfer_syntax"]) == sorted(syntax.keyword for syntax in LOSSLESS)
    assert manifest["identical_to"].notna().sum() == manifest["same_instance_as"].notna().sum() == 8
    listed = read_table(tmp_path / "out.inventory.parquet", "inventory")
    assert set(manifest["image_id"]) < set(listed["image_id"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nowhere", "--out", "out"), "the archive's root nowhere is not a folder"),
        (("dicom", "--out", "out", "--size", "5"), "the command line: size: 5 is not allowed"),
        (("empty", "--out", "out"), "the archive at empty holds no image"),
        (("dicom", "--out", "dicom"), "dicom holds something else than an earlier run's outputs: it would be lost"),
        (("dicom/sub", "--out", "dicom"), "dicom holds something else than an earlier run's outputs"),
        (("dicom", "--out", "dicom/sub/b.dcm"), "dicom/sub/b.dcm holds something else than"),
        (("dicom", "--out", "."), ". is no name of a new folder"),
        (("dicom", "--out", "out\udcff"), "the name of DIR or OUT is not UTF-8"),
        (("dicom\udcff", "--out", "out"), "the name of DIR or OUT is not UTF-8"),
    ],
)
def test_what_a_user_can_get_wrong(tmp_path: Path, command: Command, arguments: tuple[str, ...], sentence: str) -> None:
    write(tmp_path, "dicom/a.dcm", radiograph(chest()))
    write(tmp_path, "dicom/sub/b.dcm", radiograph(chest()))
    (tmp_path / "empty").mkdir()
    done = command(*arguments)
    assert (tmp_path / "dicom/a.dcm").exists()
    assert (tmp_path / "dicom/sub/b.dcm").exists()
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {sentence}")
    assert done.stderr.count("\n") == 1


def test_what_stood_there_stays_until_all_is_done(tmp_path: Path, command: Command) -> None:
    write(tmp_path, "dicom/a.dcm", radiograph(chest()))
    assert command("dicom", "--out", "out", "--size", "32").returncode == 0
    before = (tmp_path / "out/manifest.parquet").read_bytes()
    shutil.move(tmp_path / "dicom", tmp_path / "away")
    assert command("dicom", "--out", "out", "--size", "64").returncode == 2
    assert (tmp_path / "out/manifest.parquet").read_bytes() == before
