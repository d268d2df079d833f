"""A patient who is forgotten is in no file any more, stays out of later listings, and runs that saw them are told."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from components.core import params as parameters
from components.core import paths, tracking
from components.core.pseudonyms import KEY_FILE_VARIABLE, Pseudonyms
from components.core.records.labels import StudyLabels
from components.core.records.tables import read_table, write_table
from components.core.records.whole import write_json
from components.ingest import stage as ingest
from components.inventory import stage as inventory
from components.inventory.forget import forget
from tests.archive_files import STUDIES, write, write_mimic
from tests.dicom_files import chest, radiograph

PATIENT, OTHER = "10000032", "10000764"
IMAGES = paths.IMAGES / "mimic_cxr"


@pytest.fixture
def params(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> parameters.Params:
    """A workspace with an archive that is listed and ingested, findings, and a file of figures that has a name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDSLIP_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv(KEY_FILE_VARIABLE, str(tmp_path / "own.key"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    (tmp_path / "own.key").write_text("c" * 64, encoding="ascii")
    write_mimic(tmp_path / "mimic", STUDIES)
    changes = {"datasets": {"mimic_cxr": {"root": "mimic"}}, "ingest": {"size": 32}}
    params = parameters.validate(parameters.overlay(parameters.read_yaml(repository / "params.yaml"), changes))
    listed_and_ingested(params)
    studies = tuple(read_table(paths.inventory_table("mimic_cxr"), "inventory")["study_id"].unique())
    cells = np.array([(study, 1, 2) for study in range(len(studies))], np.int32)
    StudyLabels(studies, cells, np.ones(len(studies), np.int8)).write(paths.FINDINGS / "labels.npz")
    mention = dict.fromkeys(("section", "pathology", "anatomy", "presence", "cue"), "text")
    places = dict.fromkeys(("sentence", "start", "end"), 0)
    rows = [{"study_id": study, **mention, **places} for study in studies]
    write_table(paths.FINDINGS / "findings.parquet", rows, "findings")
    write_json(Path("models/finetuned/a/subsets.json"), {"1.0": [patient_id(PATIENT), patient_id(OTHER)]})
    return params


def listed_and_ingested(params: parameters.Params) -> dict:
    figures = inventory.run(params, "mimic_cxr")
    ingest.run(params, "mimic_cxr")
    return figures


def patient_id(name: str) -> str:
    return Pseudonyms.from_key_file().name("patient", "mimic_cxr", name)


def ids_of(name: str) -> list[str]:
    rows = read_table(paths.inventory_table("mimic_cxr"), "inventory")
    rows = rows[rows["patient"] == name]
    return sorted({*rows["patient_id"], *rows["study_id"], *rows["image_id"], *rows["image"]})


def files() -> list[Path]:
    return sorted(path for top in ("data", "models", "state") for path in Path(top).rglob("*") if path.is_file())


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def holders(names: list[str]) -> set[str]:
    """The files that hold one of the names, tables read as text."""
    found = set()
    for path in files():
        content = path.read_bytes()
        if path.suffix == ".parquet":
            schema = "inventory" if "inventory" in path.parts else path.stem
            content = read_table(path, schema).to_csv().encode()
        if path.suffix == ".npz":
            content = " ".join(StudyLabels.read(path).study_ids).encode()
        if any(name.encode() in content for name in names):
            found.add(str(path))
    return found


def test_no_file_has_the_patient_any_more_and_the_others_stay(params: parameters.Params) -> None:
    gone, kept = [PATIENT, *ids_of(PATIENT)], ids_of(OTHER)
    before = holders(kept)
    entries = sum("images" in path.parts and "state" in path.parts for path in files())
    assert len(holders(gone)) >= 5
    forget(params.datasets, PATIENT)
    assert holders(gone) == set()
    assert holders(kept) == before
    assert sum("images" in path.parts and "state" in path.parts for path in files()) == entries - 3
    assert np.load(IMAGES / "shard-00000.npy").shape == (3, 32, 32)
    assert len(StudyLabels.read(paths.FINDINGS / "labels.npz").cells) == 3


def test_a_later_run_ends_with_the_same_bytes_though_the_archive_has_the_patient(params: parameters.Params) -> None:
    forget(params.datasets, PATIENT)
    table = read_table(paths.inventory_table("mimic_cxr"), "inventory")
    images = digests(IMAGES)
    listed_and_ingested(params)
    assert read_table(paths.inventory_table("mimic_cxr"), "inventory").equals(table)
    assert digests(IMAGES) == images


def test_the_runs_and_models_that_saw_the_patient_are_named(
    params: parameters.Params, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = inventory.run(params, "mimic_cxr")
    for key, told in (("saw", figures), ("other", {"images": 5}), ("nothing", None)):
        monkeypatch.setenv(tracking.PIPELINE_RUN_VARIABLE, key)
        if told is not None:
            tracking.log_stage("inventory", "mimic_cxr", params, told)
        tracking.log_stage("register", None, params, {"version": 1})
    client = tracking.connect()
    client.create_registered_model("medslip")
    run = next(run for run in client.search_runs([tracking.experiment_id(client)]) if run.info.run_name == "register")
    client.create_model_version("medslip", "nowhere", run.info.run_id)
    forget(params.datasets, PATIENT)
    lines = [line.strip().split(" (")[0] for line in capsys.readouterr().out.splitlines() if "seen by" in line]
    assert sorted(lines) == [
        "may have been seen by run run nothing",
        "may have been seen by run run other",
        "seen by run run saw",
    ]


def test_a_patient_whom_nobody_knows(params: parameters.Params, tmp_path: Path, repository: Path) -> None:
    (tmp_path / "params.yaml").write_text(params.model_dump_json(by_alias=True), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "components.inventory", "forget", "Planted^Henrietta"],
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "error: no table in data/inventory or beside an output of `ingest folder` has that patient: nothing changed\n"
    )


def test_an_output_of_ingest_folder_is_reached_without_a_workspace(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    state = {"MEDSLIP_STATE_DIR": str(tmp_path / "state"), KEY_FILE_VARIABLE: str(tmp_path / "own.key")}
    environment = {**os.environ, **state, "PYTHONPATH": str(repository), "MEDSLIP_WORKERS": "1"}

    def command(room: str, *arguments: str) -> None:
        subprocess.run([sys.executable, "-m", f"components.{room}", *arguments], env=environment, check=True)

    for patient in (PATIENT, OTHER):
        own = {"PatientID": patient, "StudyInstanceUID": f"1.{patient}", "SOPInstanceUID": f"1.{patient}.1"}
        write(tmp_path, f"dicom/{own['SOPInstanceUID']}", radiograph(chest(), **own))
    command("ingest", "folder", "dicom", "--out", "out", "--size", "32")
    gone = read_table(Path("out.inventory.parquet"), "inventory")
    gone = gone[gone["patient"] == PATIENT]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    command("inventory", "forget", PATIENT)
    monkeypatch.chdir(tmp_path)
    assert np.load("out/shard-00000.npy").shape == (1, 32, 32)
    words = (
        read_table(Path("out/manifest.parquet"), "manifest").to_csv()
        + read_table(Path("out.inventory.parquet"), "inventory").to_csv()
    )
    assert OTHER in words
    assert not any(name in words for name in (PATIENT, *gone["image_id"], *gone["patient_id"]))
    before = digests(Path("out"))
    command("ingest", "folder", "dicom", "--out", "out", "--size", "32")
    assert digests(Path("out")) == before
