"""What a run decoded, no later run decodes again: a grown archive, a killed run, another workspace."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest

from components.core import params as parameters
from components.core.paths import IMAGES
from components.core.pseudonyms import Pseudonyms
from components.core.records.image_store import Entry
from components.core.records.tables import REASONS, read_table
from components.ingest import decode, images, parallel
from components.ingest.images import Row, Task
from components.ingest.stage import run
from components.inventory import stage as inventory
from tests.archive_files import STUDIES, MimicStudy, write, write_mimic
from tests.dicom_files import chest, radiograph

FOLDER = IMAGES / "mimic_cxr"
Ingest = Callable[[], dict]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDSLIP_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("MEDSLIP_WORKERS", "2")
    write_mimic(tmp_path / "archive")
    (tmp_path / "one").mkdir()
    monkeypatch.chdir(tmp_path / "one")
    return tmp_path


@pytest.fixture
def params(repository: Path, tmp_path: Path) -> parameters.Params:
    changes = {"datasets": {"mimic_cxr": {"root": str(tmp_path / "archive")}}, "ingest": {"size": 32}}
    content = parameters.overlay(parameters.read_yaml(repository / "params.yaml"), changes)
    return parameters.validate(content)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The uris of the rows that are sent to processes."""
    sent: list[str] = []

    def noted(rows: list[Row], task: Task, workers: int) -> Iterator[tuple[int, parallel.Facts]]:
        sent.extend(row["uri"] for row in rows)
        return parallel.render_rows(rows, task, workers)

    monkeypatch.setattr(decode, "render_rows", noted)
    return sent


def ingested(params: parameters.Params) -> dict:
    inventory.run(params, "mimic_cxr")
    return run(params, "mimic_cxr")


def digests(folder: Path = FOLDER) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_a_grown_archive_costs_only_what_is_new(
    workspace: Path, params: parameters.Params, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ingested(params)
    assert len(decoded) == 6
    decoded.clear()
    grown = [*STUDIES, MimicStudy("10002222", "50000009", ("a0000099",))]
    write_mimic(workspace / "archive", grown)
    (workspace / "two").mkdir()
    monkeypatch.chdir(workspace / "two")
    assert ingested(params)["manifest"] == 7
    assert decoded == ["files/p10/p10002222/s50000009/a0000099.dcm"]
    store = digests()
    shutil.rmtree(workspace / "state")
    ingested(params)
    assert digests() == store


@pytest.mark.usefixtures("workspace")
def test_other_settings_and_another_key_share_nothing(
    params: parameters.Params, decoded: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingested(params)
    ingested(parameters.validate(parameters.overlay(params.model_dump(by_alias=True), {"ingest": {"window": 1}})))
    (tmp_path / "other.key").write_text("f" * 64, encoding="ascii")
    monkeypatch.setenv("MEDSLIP_PSEUDONYM_KEY_FILE", str(tmp_path / "other.key"))
    with pytest.raises(ValueError, match="made with another pseudonym key: run inventory again"):
        run(params, "mimic_cxr")
    ingested(params)
    assert len(decoded) == 18


@pytest.mark.usefixtures("workspace")
def test_a_damaged_entry_is_made_again(params: parameters.Params, tmp_path: Path) -> None:
    ingested(params)
    whole = digests()
    entries = sorted(path for path in (tmp_path / "state").rglob("*") if path.is_file())
    entries[0].write_bytes(b"")
    entries[1].write_bytes(entries[1].read_bytes()[:-1] + b"\0")
    ingested(params)
    assert digests() == whole


@pytest.mark.hard
def test_killed_and_started_again_it_ends_with_the_same_bytes(
    workspace: Path, params: parameters.Params, repository: Path
) -> None:
    many = [MimicStudy(f"1000{n:04}", f"5000{n:04}", (f"k{n:07}",)) for n in range(40)]
    write_mimic(workspace / "archive", many)
    figures = ingested(params)
    whole = digests()
    shutil.rmtree(workspace / "state")
    shutil.rmtree(FOLDER)
    (workspace / "one/params.yaml").write_text(params.model_dump_json(by_alias=True), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(repository), "MEDSLIP_WORKERS": "1"}
    command = [sys.executable, "-m", "components.ingest", "mimic_cxr"]
    killed = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
    for _ in range(2000):
        if sum(path.is_file() for path in (workspace / "state").rglob("*")) > 3:
            break
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (FOLDER / "manifest.parquet").exists()
    assert run(params, "mimic_cxr") == figures
    assert digests() == whole
    assert [path.name for path in FOLDER.parent.iterdir()] == ["mimic_cxr"]


class Crashing(parallel.Renderer):
    """A renderer whose decoder ends the process, never ends, or fails in a way of its own, on some objects."""

    def render(self, row: Row, content: bytes) -> Entry:
        if b"crash here" in content:
            os.kill(os.getpid(), signal.SIGSEGV)
        if b"hang here" in content:
            signal.alarm(1)
            while True:
                time.sleep(1)
        with pytest.MonkeyPatch.context() as patch:
            if b"raise here" in content:
                patch.setattr(images, "render", _unforeseen)
            return super().render(row, content)


def _unforeseen(*_: object) -> None:
    raise TypeError("whatever the object holds")


def test_a_lost_process_costs_one_image(
    workspace: Path, params: parameters.Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, words in (("a0000001", "crash here"), ("a0000002", "hang here"), ("a0000003", "raise here")):
        content = radiograph(chest(), ImageComments=words)
        write(workspace, f"archive/{STUDIES[0].folder}/{name}.dcm", content)
    monkeypatch.setattr(parallel, "_serve", _serve_crashing)
    figures = ingested(params)
    assert figures["manifest"] == 4
    assert figures["rejected_by_reason"] == {"crashed": 1, "decode_failed": 1, "too_slow": 1}


def _serve_crashing(*arguments: object) -> None:
    """`_serve` with a renderer that crashes: run in a process of its own."""
    parallel.Renderer = Crashing  # type: ignore[misc]
    serve(*arguments)  # type: ignore[arg-type]


serve = parallel._serve


def test_a_full_disk_leaves_what_stood_there(
    workspace: Path, params: parameters.Params, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingested(params)
    before = digests()
    write_mimic(workspace / "archive", [*STUDIES, MimicStudy("10002222", "50000009", ("a0000099",))])
    inventory.run(params, "mimic_cxr")

    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100))
    with pytest.raises(OSError, match="not enough room"):
        run(params, "mimic_cxr")
    assert digests() == before


def test_copies_are_refused_and_identical_pixels_and_repeated_instances_are_marked(
    workspace: Path, params: parameters.Params
) -> None:
    folder = f"archive/{STUDIES[0].folder}"
    first = (workspace / folder / "a0000001.dcm").read_bytes()
    write(workspace, f"{folder}/a0000002.dcm", first)
    instance = pydicom.dcmread(workspace / f"archive/{STUDIES[1].folder}/a0000003.dcm").SOPInstanceUID
    write(workspace, f"archive/{STUDIES[1].folder}/other.dcm", radiograph(chest(seed=44), SOPInstanceUID=instance))
    write(workspace, f"{folder}/twin.dcm", radiograph(chest(seed=1), SOPInstanceUID="1.2.3.4"))
    figures = ingested(params)
    assert figures["rejected_by_reason"] == {"duplicate": 1}
    assert (figures["identical_to"], figures["same_instance_as"]) == (1, 1)
    key = Pseudonyms.from_key_file()
    kept, twin = (key.name("image", "mimic_cxr", name) for name in ("a0000001", "twin"))
    rejected = read_table(FOLDER / "rejected.parquet", "rejected").iloc[0]
    assert rejected["message"] == f"{REASONS['duplicate']}: {kept}"
    identical = read_table(FOLDER / "manifest.parquet", "manifest").set_index("image_id")["identical_to"].dropna()
    assert dict(identical) in ({kept: twin}, {twin: kept})
    assert np.load(FOLDER / "shard-00000.npy").shape == (7, 32, 32)
