"""A full disk and a server that stops answering: a sentence, the status of what may work later, outputs as before."""

import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from components.core import params as parameters
from tests.archive_files import write
from tests.dicom_files import chest, radiograph

FULL = "try again: the disk is full; what stood there before is as it was\n"
OUT = ("manifest.parquet", "shard-00000.npy")


@pytest.fixture
def workspace(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with an archive of four objects, and earlier outputs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(repository))
    monkeypatch.setenv("MEDSLIP_STATE_DIR", str(tmp_path / "state"))
    for seed in range(4):
        write(tmp_path, f"dicom/{seed}.dcm", radiograph(chest(seed=seed)))
    settings = {"datasets": {"siim_acr": {"layout": "folder", "root": "dicom"}}, "ingest": {"size": 32}}
    content = parameters.overlay(parameters.read_yaml(repository / "params.yaml"), settings)
    (tmp_path / "params.yaml").write_text(parameters.validate(content).model_dump_json(by_alias=True))
    for folder in ("out", "data/images/siim_acr"):
        for name in OUT:
            write(tmp_path, f"{folder}/{name}", b"before")
    return tmp_path


def run(*arguments: str, limit: int = resource.RLIM_INFINITY) -> subprocess.CompletedProcess[str]:
    """A command whose files cannot grow over a limit, as on a disk that has no more room."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit)),
    )


def assert_before(folder: str) -> None:
    assert {path.name: path.read_bytes() for path in Path(folder).iterdir()} == dict.fromkeys(OUT, b"before")
    assert [path.name for path in Path(folder).parent.glob(".*")] == []


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize("limit", [500, 3000])
def test_a_disk_that_is_full_for_the_store_or_the_shards(limit: int) -> None:
    done = run("components.ingest", "folder", "dicom", "--out", "out", "--size", "32", limit=limit)
    assert (done.returncode, done.stdout) == (75, "")
    assert done.stderr.splitlines(keepends=True)[-1] == FULL
    assert "Traceback" not in done.stderr
    assert_before("out")
    assert not Path("out.inventory.parquet").exists()


@pytest.mark.usefixtures("workspace")
def test_a_disk_that_is_full_for_a_stage() -> None:
    assert run("components.inventory", "siim_acr").returncode == 0
    table = Path("data/inventory/siim_acr.parquet")
    before = table.read_bytes()
    write(Path(), "dicom/more.dcm", radiograph(chest(seed=9)))
    done = run("components.inventory", "siim_acr", limit=500)
    assert (done.returncode, done.stderr) == (75, FULL.replace("full;", f"full for {table};"))
    assert table.read_bytes() == before
    done = run("components.ingest", "siim_acr", limit=3000)
    assert (done.returncode, done.stderr.splitlines(keepends=True)[-1]) == (75, FULL)
    assert_before("data/images/siim_acr")
