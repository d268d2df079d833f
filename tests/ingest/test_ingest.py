"""Ingest: every inventory row ends somewhere, nothing identifies anybody, and the order of work changes nothing."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import uid

from components.core import params as parameters
from components.core.dicom import render
from components.core.paths import IMAGES, inventory_table
from components.core.pseudonyms import Pseudonyms
from components.core.records.letterbox import Letterbox, map_box
from components.core.records.shards import ImageShards
from components.core.records.tables import REASONS, read_table
from components.ingest.stage import run
from components.inventory import stage as inventory
from tests.archive_files import STUDIES, MimicStudy, write, write_mimic, write_rsna
from tests.dicom_files import IDENTIFIERS, chest, radiograph

FOLDER = IMAGES / "mimic_cxr"
GOOD = STUDIES
BAD = MimicStudy("10001217", "58913004", tuple(f"c000000{number}" for number in range(8)))
BAD_REASONS = {
    "c0000000": "truncated",
    "c0000001": "not_dicom",
    "c0000002": "colour",
    "c0000003": "no_pixels",
    "c0000004": "constant",
    "c0000005": "truncated",
    "c0000006": "file_missing",
    "c0000007": "decode_failed",
}
LATIN = "FINDINGS: Épanchement pleural gauche.".encode("latin-1")


def write_bad_images(root: Path) -> None:
    """An object of every kind that must be refused."""
    whole = radiograph(chest(96, 96))
    compressed = radiograph(chest(96, 96), syntax=uid.JPEG2000Lossless)
    contents = {
        "c0000000": whole[: len(whole) // 2],
        "c0000001": b"Planted^Henrietta is no DICOM",
        "c0000002": radiograph(chest(), SamplesPerPixel=3, PhotometricInterpretation="RGB"),
        "c0000003": radiograph(chest(), PixelData=None),
        "c0000004": radiograph(np.full((40, 40), 9, np.uint16)),
        "c0000005": compressed[:-200],
        "c0000007": damaged(compressed),
    }
    for image, content in contents.items():
        write(root, f"{BAD.folder}/{image}.dcm", content)
    (root / BAD.folder / "c0000006.dcm").unlink()


def damaged(content: bytes) -> bytes:
    """A JPEG 2000 object whose codestream's main header is overwritten."""
    start = content.index(b"\xff\x4f\xff\x51") + 4
    return content[:start] + b"\x01" * 60 + content[start + 60 :]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDSLIP_WORKERS", "1")
    monkeypatch.setenv("MEDSLIP_STATE_DIR", str(tmp_path / "state"))
    root = write_mimic(tmp_path / "mimic", [*GOOD, BAD, MimicStudy("10001401", "50225296", ())])
    write_bad_images(root)
    write(root, f"{GOOD[0].folder}.txt", LATIN)
    (root / f"{GOOD[3].folder}.txt").unlink()
    return tmp_path


Configured = Callable[..., parameters.Params]


@pytest.fixture
def configured(repository: Path) -> Configured:
    def configure(**ingest: Any) -> parameters.Params:
        content = parameters.read_yaml(repository / "params.yaml")
        changes = {
            "datasets": {"mimic_cxr": {"root": "mimic"}, "rsna_pneumonia": {"root": "rsna"}},
            "ingest": {"size": 32, **ingest},
        }
        return parameters.validate(parameters.overlay(content, changes))

    return configure


def ingested(params: parameters.Params, dataset: str = "mimic_cxr") -> dict[str, Any]:
    inventory.run(params, dataset)
    return run(params, dataset)


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.mark.usefixtures("workspace")
def test_every_row_ends_in_the_manifest_or_among_the_rejected(configured: Configured) -> None:
    figures = ingested(configured())
    listed = read_table(inventory_table("mimic_cxr"), "inventory")
    manifest, rejected = (
        read_table(FOLDER / "manifest.parquet", "manifest"),
        read_table(FOLDER / "rejected.parquet", "rejected"),
    )
    images = listed[listed["uri"] != ""]
    assert sorted([*manifest["image_id"], *rejected[rejected["kind"] == "image"]["id"]]) == sorted(images["image_id"])
    assert set(manifest["image_id"]) == set(images[~images["image"].isin(BAD_REASONS)]["image_id"])
    assert (figures["images"], figures["manifest"], figures["rejected"], figures["rejected_studies"]) == (14, 6, 8, 1)


@pytest.mark.usefixtures("workspace")
def test_every_refusal_has_its_reason(configured: Configured) -> None:
    figures = ingested(configured())
    listed = read_table(inventory_table("mimic_cxr"), "inventory").set_index("image_id")
    rejected = read_table(FOLDER / "rejected.parquet", "rejected")
    images = rejected[rejected["kind"] == "image"]
    assert {listed.loc[name, "image"]: reason for name, reason in zip(images["id"], images["reason"], strict=True)} == (
        BAD_REASONS
    )
    study = rejected[rejected["kind"] == "study"].iloc[0]
    assert (study["reason"], study["message"]) == ("image_missing", REASONS["image_missing"])
    assert figures["rejected_by_reason"]["truncated"] == 2


@pytest.mark.usefixtures("workspace")
def test_shards_hold_the_images_that_the_manifest_says(configured: Configured) -> None:
    params = configured()
    ingested(params)
    listed = read_table(inventory_table("mimic_cxr"), "inventory").set_index("image_id")
    manifest = read_table(FOLDER / "manifest.parquet", "manifest")
    shards = ImageShards(FOLDER)
    for row in manifest.itertuples():
        content = (Path("mimic") / listed.loc[row.image_id, "uri"]).read_bytes()
        radiograph_SS = render(content, 32, params.ingest.window, params.ingest.percentiles).image_SS
        np.testing.assert_array_equal(shards[row.shard, row.row], radiograph_SS)
        assert row.source_sha256 == hashlib.sha256(content).hexdigest()
        assert tuple(row.affine) == pytest.approx(Letterbox.of(row.rows, row.columns, 32).affine)
    assert np.load(FOLDER / "shard-00000.npy", mmap_mode="r").shape == (6, 32, 32)


@pytest.mark.usefixtures("workspace")
def test_the_manifest_keeps_the_closed_list_of_facts(configured: Configured) -> None:
    figures = ingested(configured())
    listed = read_table(inventory_table("mimic_cxr"), "inventory").set_index("image")
    manifest = read_table(FOLDER / "manifest.parquet", "manifest").set_index("image_id")
    row = manifest.loc[listed.loc["a0000003", "image_id"]]
    assert (row["study_id"], row["patient_id"]) == tuple(listed.loc["a0000003", ["study_id", "patient_id"]])
    assert (row["split"], row["view"], row["sex"], row["age_band"]) == ("train", "AP", "F", "40-59")
    assert row["scanner"] == Pseudonyms.from_key_file().name("scanner", "", "Acme Ray 3")
    assert (row["pixel_spacing_mm"], row["bits_stored"]) == (pytest.approx(0.2), 12)
    assert (row["rows"], row["columns"], row["photometric_interpretation"]) == (48, 40, "MONOCHROME2")
    assert set(figures["transfer_syntax"]) == set(manifest["transfer_syntax"])


def test_the_tables_word_on_the_view_wins_and_a_contradiction_is_counted(
    workspace: Path, configured: Configured
) -> None:
    write(workspace, f"mimic/{GOOD[0].folder}/a0000001.dcm", radiograph(chest(), ViewPosition="LL"))
    figures = ingested(configured())
    listed = read_table(inventory_table("mimic_cxr"), "inventory").set_index("image")
    manifest = read_table(FOLDER / "manifest.parquet", "manifest").set_index("image_id")
    assert manifest.loc[listed.loc["a0000001", "image_id"], "view"] == "PA"
    assert figures["header_disagreements"] == {"view": 1, "sex": 0, "age_band": 0}


@pytest.mark.usefixtures("workspace")
def test_no_name_date_or_id_is_in_any_byte(configured: Configured, capfd: pytest.CaptureFixture[str]) -> None:
    figures = ingested(configured())
    listed = read_table(inventory_table("mimic_cxr"), "inventory")
    planted = [*IDENTIFIERS, "Henrietta", "mimic/", "files/p10"]
    planted += [name for kind in ("image", "study", "patient") for name in listed[kind] if name]
    content = b"".join(path.read_bytes() for path in sorted(FOLDER.iterdir()))
    tables = "".join(
        read_table(FOLDER / f"{name}.parquet", name).to_csv() for name in ("manifest", "annotations", "rejected")
    )
    said = capfd.readouterr()
    for word in planted:
        assert word.encode() not in content
        assert word not in tables
        assert word not in str(figures)
        assert word not in said.out + said.err


@pytest.mark.usefixtures("workspace")
def test_the_number_of_processes_changes_nothing(configured: Configured, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = ingested(configured())
    alone = digests(FOLDER)
    monkeypatch.setenv("MEDSLIP_WORKERS", "2")
    monkeypatch.setenv("MEDSLIP_STATE_DIR", "other")
    assert ingested(configured()) == figures
    assert digests(FOLDER) == alone
    assert len(alone) == 4


def test_a_file_that_changed_after_the_listing(workspace: Path, configured: Configured) -> None:
    for version in ("content", "stat"):
        params = configured()
        params = parameters.validate(
            parameters.overlay(params.model_dump(by_alias=True), {"inventory": {"version": version}})
        )
        inventory.run(params, "mimic_cxr")
        write(workspace, f"mimic/{GOOD[0].folder}/a0000001.dcm", radiograph(chest(seed=len(version)), PatientSex="M"))
        (workspace / f"mimic/{GOOD[0].folder}/a0000002.dcm").rename(workspace / "aside.dcm")
        figures = run(params, "mimic_cxr")
        assert figures["rejected_by_reason"]["changed"] == 2
        (workspace / "aside.dcm").rename(workspace / f"mimic/{GOOD[0].folder}/a0000002.dcm")


def test_a_link_put_in_place_after_the_listing_is_not_followed_outside(workspace: Path, configured: Configured) -> None:
    image = workspace / "mimic" / GOOD[0].folder / "a0000001.dcm"
    inventory.run(configured(), "mimic_cxr")
    shutil.move(image, workspace / "outside.dcm")
    image.symlink_to(workspace / "outside.dcm")
    assert run(configured(), "mimic_cxr")["rejected_by_reason"]["outside"] == 1


def test_labels_and_boxes_become_annotations_in_shard_pixels(workspace: Path, configured: Configured) -> None:
    write_rsna(workspace / "rsna")
    write(workspace, "rsna/stage_2_train_images/99999999.dcm", radiograph(chest(seed=9, bits=8), bits=8))
    figures = ingested(configured(), "rsna_pneumonia")
    assert figures["annotations"] == {"box": 3, "label": 4}
    assert figures["labels"] == {"absent": 1, "not_told": 1, "present": 2}  # no row of the table names the last image
    listed = read_table(inventory_table("rsna_pneumonia"), "inventory").set_index("image")
    annotations = read_table(IMAGES / "rsna_pneumonia" / "annotations.parquet", "annotations")
    manifest = read_table(IMAGES / "rsna_pneumonia" / "manifest.parquet", "manifest").set_index("image_id")
    name = listed.loc["00704310", "image_id"]
    box = annotations[(annotations["image_id"] == name) & (annotations["kind"] == "box")].iloc[0]
    expected = map_box(manifest.loc[name, "affine"], 5, 20, 12.5, 10)
    assert tuple(box[["x", "y", "width", "height"]]) == pytest.approx(expected)
    labels = annotations[annotations["kind"] == "label"].set_index("image_id")
    assert labels.loc[name, "value"] == 1
    assert labels.loc[listed.loc["0004cfab", "image_id"], "value"] == 0
    assert labels["x"].isna().all()


def test_the_window_parameter_reaches_the_pixels(workspace: Path, configured: Configured) -> None:
    content = radiograph(chest(), WindowCenter=[1500, 2500], WindowWidth=[1000, 3000])
    write(workspace, f"mimic/{GOOD[0].folder}/a0000001.dcm", content)
    means = []
    for window in (0, 1):
        ingested(configured(window=window))
        listed = read_table(inventory_table("mimic_cxr"), "inventory").set_index("image")
        manifest = read_table(FOLDER / "manifest.parquet", "manifest").set_index("image_id")
        row = manifest.loc[listed.loc["a0000001", "image_id"]]
        means.append(ImageShards(FOLDER)[row["shard"], row["row"]].mean())
    assert abs(means[0] - means[1]) > 10


def test_an_archive_of_refused_images_still_says_why(workspace: Path, configured: Configured) -> None:
    shutil.rmtree(workspace / "mimic")
    write_mimic(workspace / "mimic", [BAD])
    write_bad_images(workspace / "mimic")
    figures = ingested(configured())
    assert (figures["manifest"], figures["rejected"]) == (0, 8)
    assert not list(FOLDER.glob("shard-*"))


@pytest.mark.usefixtures("workspace")
def test_what_stood_before_is_replaced_whole_or_kept(configured: Configured) -> None:
    ingested(configured())
    (FOLDER / "shard-00007.npy").write_bytes(b"left over")
    before = digests(FOLDER)
    shutil.move("mimic", "away")
    with pytest.raises(ValueError, match="the archive's root mimic is not a folder"):
        run(configured(size=64), "mimic_cxr")
    assert digests(FOLDER) == before
    shutil.move("away", "mimic")
    run(configured(), "mimic_cxr")
    assert "shard-00007.npy" not in digests(FOLDER)
    assert [path.name for path in IMAGES.iterdir()] == ["mimic_cxr"]


def test_the_command_without_an_inventory(workspace: Path, repository: Path) -> None:
    shutil.copy(repository / "params.yaml", workspace)
    done = subprocess.run(
        [sys.executable, "-m", "components.ingest", "mimic_cxr"],
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "data/inventory/mimic_cxr.parquet does not exist" in done.stderr
    assert "Traceback" not in done.stderr
