"""The listing of an archive: stable, quick, pseudonymous, and clear about what is wrong."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from components.core import params as parameters
from components.core.paths import inventory_table
from components.core.pseudonyms import KEY_FILE_VARIABLE, Pseudonyms
from components.core.records.tables import read_metadata, read_table
from components.inventory.stage import run
from tests.archive_files import STUDIES, write, write_covidx, write_mimic, write_nih, write_rsna
from tests.dicom_files import chest, radiograph

TABLE = inventory_table("mimic_cxr")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_mimic(tmp_path / "mimic")
    write_rsna(tmp_path / "rsna")
    return tmp_path


@pytest.fixture
def configured(repository: Path) -> Callable[..., parameters.Params]:
    """The committed parameters with the archives of this test and changes to the section `inventory`."""

    def configure(**inventory: Any) -> parameters.Params:
        content = parameters.read_yaml(repository / "params.yaml")
        changes = {"datasets": {"mimic_cxr": {"root": "mimic"}, "rsna_pneumonia": {"root": "rsna"}}}
        return parameters.validate(parameters.overlay(content, {**changes, "inventory": inventory}))

    return configure


Configured = Callable[..., parameters.Params]


def listed(configured: Configured, dataset: str = "mimic_cxr", **inventory: Any) -> pd.DataFrame:
    run(configured(**inventory), dataset)
    return read_table(inventory_table(dataset), "inventory")


@pytest.mark.usefixtures("workspace")
def test_figures(configured: Configured) -> None:
    figures = run(configured(), "mimic_cxr")
    size = sum(path.stat().st_size for path in Path("mimic").rglob("*.dcm"))
    assert len(figures.pop("digest")) == 64
    assert figures == {
        "images": 6,
        "studies": 5,
        "studies_without_image": 0,
        "studies_without_report": 0,
        "patients": 4,
        "reports": 5,
        "bytes": size,
        "split": {
            "train": {"images": 3, "patients": 1},
            "validate": {"images": 1, "patients": 1},
            "test": {"images": 2, "patients": 2},
        },
        "problems": {},
    }


def test_an_image_that_is_named_twice_or_lies_twice_is_listed_once_and_counted(
    workspace: Path, configured: Configured, repository: Path
) -> None:
    write_covidx(workspace / "covidx")
    write(workspace, "covidx/train.txt", "1 a.png positive cohen\n1 a.png positive cohen\n2 a.png negative rsna\n")
    write_nih(workspace / "nih")
    table = (workspace / "nih/Data_Entry_2017.csv").read_text()
    write(workspace, "nih/Data_Entry_2017.csv", table + "00000001_000.png,Mass,1,58,M,PA\n")
    write(workspace, "nih/images/00000002_000.png", b"another copy")
    roots = {"covidx_cxr4": {"root": "covidx"}, "nih_cxr14": {"root": "nih"}}
    content = parameters.overlay(parameters.read_yaml(repository / "params.yaml"), {"datasets": roots})
    for dataset, kept, told in (
        ("covidx_cxr4", "train/a.png", ["covid"]),
        ("nih_cxr14", "00000001_000.png", ["Cardiomegaly", "Infiltration"]),
    ):
        assert run(parameters.validate(content), dataset)["problems"]["repeated"] == 2
        rows = read_table(inventory_table(dataset), "inventory")
        assert rows["image_id"].is_unique
        (first,) = rows[rows["image"] == kept].to_dict("records")
        assert pd.isna(first["problem"])
        assert [label["name"] for label in first["labels"] if label["value"]] == told


@pytest.mark.usefixtures("workspace")
def test_two_listings_are_the_same_bytes(configured: Configured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDSLIP_WORKERS", "1")
    run(configured(), "mimic_cxr")
    first = TABLE.read_bytes()
    monkeypatch.setenv("MEDSLIP_WORKERS", "4")
    for path in Path("mimic").rglob("*"):
        os.utime(path, (1, 1))
    run(configured(), "mimic_cxr")
    assert TABLE.read_bytes() == first


def test_the_listing_changes_with_an_image_a_report_and_a_new_file(workspace: Path, configured: Configured) -> None:
    def digest() -> str:
        return str(run(configured(), "mimic_cxr")["digest"])

    seen = [digest()]
    write(workspace, f"mimic/{STUDIES[0].folder}/a0000001.dcm", radiograph(chest(seed=99)))
    seen.append(digest())
    write(workspace, f"mimic/{STUDIES[0].folder}.txt", "FINDINGS: Clear.")
    seen.append(digest())
    write(workspace, f"mimic/{STUDIES[0].folder}/b0000001.dcm", radiograph(chest(seed=98)))
    seen.append(digest())
    assert len(set(seen)) == 4


def test_versions_by_content_and_by_stat(workspace: Path, configured: Configured) -> None:
    by_content = listed(configured, version="content")
    assert by_content["version"].str.fullmatch(r"sha256:[0-9a-f]{64}").all()
    assert by_content["report_version"].str.startswith("sha256:").all()
    image = workspace / "mimic" / by_content["uri"].iloc[0]
    os.utime(image, ns=(5, 1_234_567_890_123_456_789))
    row = listed(configured, version="stat").iloc[0]
    assert row["version"] == f"stat:{image.stat().st_size}-1234567890123456789"


@pytest.mark.usefixtures("workspace")
def test_rows_carry_pseudonyms_of_their_kind(configured: Configured) -> None:
    table = listed(configured)
    pseudonyms = Pseudonyms.from_key_file()
    for kind in ("image", "study", "patient"):
        expected = [pseudonyms.name(kind, "mimic_cxr", name) for name in table[kind]]
        assert table[f"{kind}_id"].tolist() == expected
    assert read_metadata(TABLE, "inventory")["key_fingerprint"] == pseudonyms.fingerprint


def test_another_key_gives_other_ids_and_another_fingerprint(
    workspace: Path, configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, first_metadata = listed(configured), read_metadata(TABLE, "inventory")
    other_key = write(workspace, "other.key", "fedcba9876543210" * 4)
    monkeypatch.setenv(KEY_FILE_VARIABLE, str(other_key))
    second = listed(configured)
    for kind in ("image", "study", "patient"):
        assert set(first[f"{kind}_id"]).isdisjoint(second[f"{kind}_id"])
    assert read_metadata(TABLE, "inventory")["key_fingerprint"] != first_metadata["key_fingerprint"]


def test_without_an_official_split_the_shares_of_the_parameters_hold(workspace: Path, configured: Configured) -> None:
    boxes = [(f"{number:08x}", "", "", "", "", 0) for number in range(400)]
    header = "patientId,x,y,width,height,Target\n"
    table = header + "".join(",".join(map(str, row)) + "\n" for row in boxes)
    write(workspace, "rsna/stage_2_train_labels.csv", table)
    shares = listed(configured, "rsna_pneumonia", validate_share=0.2, test_share=0.5)["split"].value_counts(True)
    assert shares["test"] == pytest.approx(0.5, abs=0.08)
    assert shares["validate"] == pytest.approx(0.2, abs=0.08)
    wider = listed(configured, "rsna_pneumonia", validate_share=0.0, test_share=0.7)
    assert set(wider["split"]) == {"train", "test"}


def test_labels_and_boxes_are_kept(workspace: Path, configured: Configured) -> None:
    table = listed(configured, "rsna_pneumonia").set_index("image")
    assert [dict(label) for label in table.loc["00436515", "labels"]] == [{"name": "pneumonia", "value": 1}]
    assert [box["x"] for box in table.loc["00436515", "boxes"]] == [10.0, 25.0]


def test_problems_are_rows_and_cost_nothing_else(workspace: Path, configured: Configured) -> None:
    root = workspace / "mimic"
    (root / STUDIES[0].folder / "a0000001.dcm").unlink()
    (root / f"{STUDIES[1].folder}.txt").unlink()
    write(root, "files/p10/p10000032/s51111111.txt", "FINDINGS: Clear.")
    write(root, "files/stray.dcm", radiograph(chest()))
    figures = run(configured(), "mimic_cxr")
    assert figures["problems"] == {"file_missing": 1, "image_missing": 1, "unplaced": 1}
    assert figures["images"] == 7
    assert (figures["studies_without_image"], figures["studies_without_report"]) == (1, 2)
    table = read_table(TABLE, "inventory")
    lone = table[table["problem"] == "image_missing"].iloc[0]
    assert (lone["uri"], lone["bytes"]) == ("", -1)
    assert lone[["image_id", "version"]].isna().all()
    missing = table[table["problem"] == "file_missing"].iloc[0]
    assert missing["bytes"] == -1
    assert pd.isna(missing["version"])


def test_an_image_that_a_table_names_outside_the_root_is_never_read(workspace: Path, configured: Configured) -> None:
    write(workspace, "secret.dcm", radiograph(chest()))
    write(
        workspace,
        "mimic/cxr-record-list.csv.gz",
        "subject_id,study_id,dicom_id,path\n10000032,50414267,evil,files/../../secret.dcm\n",
    )
    evil = listed(configured).set_index("image").loc["evil"]
    assert (evil["problem"], evil["bytes"]) == ("outside", -1)
    assert pd.isna(evil["version"])


def test_an_empty_archive_and_an_unknown_dataset(workspace: Path, configured: Configured) -> None:
    write_mimic(workspace / "empty", [])
    (workspace / "mimic").rename(workspace / "full")
    (workspace / "empty").rename(workspace / "mimic")
    with pytest.raises(ValueError, match="the archive at mimic holds no image"):
        run(configured(), "mimic_cxr")
    assert not TABLE.exists()
    with pytest.raises(ValueError, match="'nih' is not one of the datasets"):
        run(configured(), "nih")


def command(workspace: Path, repository: Path, root: str) -> subprocess.CompletedProcess[str]:
    content = (repository / "params.yaml").read_text(encoding="utf-8")
    write(workspace, "params.yaml", content.replace("data/phantom/archives/mimic_cxr", root))
    return subprocess.run(
        [sys.executable, "-m", "components.inventory", "mimic_cxr"],
        cwd=workspace,
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("root", "sentence"),
    [
        ("nowhere", "error: the archive's root nowhere is not a folder"),
        ("bare", "error: the archive at bare has no table cxr-study-list.csv.gz or cxr-study-list.csv"),
    ],
)
def test_the_command_says_what_is_wrong_in_a_sentence(
    workspace: Path, repository: Path, root: str, sentence: str
) -> None:
    (workspace / "bare").mkdir()
    done = command(workspace, repository, root)
    assert (done.returncode, done.stderr.strip()) == (2, sentence)


def test_the_command_without_a_key(workspace: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_FILE_VARIABLE, str(workspace / "no.key"))
    done = command(workspace, repository, "mimic")
    assert done.returncode == 2
    assert "no pseudonym key" in done.stderr
    assert "Traceback" not in done.stderr


def test_listing_imports_neither_torch_nor_mlflow(repository: Path) -> None:
    """They cost seconds, and a listing runs before every run."""
    code = "import sys, components.inventory.__main__; print({'torch', 'mlflow', 'cv2', 'pydicom'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
