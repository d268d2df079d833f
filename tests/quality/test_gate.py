"""A good archive passes; each planted fault fails its own expectation, which names the rows."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.core.command import GateFailed
from components.quality.expectations import archive_suites, report_suites
from components.quality.stage import run
from tests.quality.conftest import Written, pseudonym

VERDICT = Path("data/quality/mimic_cxr/verdict.json")
INDEX = Path("data/quality/mimic_cxr/docs/index.html")


def duplicate_id(tables: Written) -> str:
    tables.manifest.append(dict(tables.manifest[3], row=len(tables.images)))
    tables.images.append(tables.images[3])
    return tables.manifest[3]["image_id"]


def duplicate_listing(tables: Written) -> str:
    tables.inventory.append(tables.inventory[5])
    return pseudonym("image", 5)


def patient_in_two_splits(tables: Written) -> str:
    for rows in (tables.inventory, tables.manifest):
        rows[3]["patient_id"] = pseudonym("patient", 0)  # row 0 is train, row 3 is test
    return pseudonym("patient", 0)


def lost_image(tables: Written) -> str:
    tables.rejected.clear()
    return pseudonym("image", 40)


def unlisted_image(tables: Written) -> str:
    del tables.inventory[7]
    tables.findings = [row for row in tables.findings if row["study_id"] != pseudonym("study", 7)]
    return pseudonym("image", 7)


def image_twice(tables: Written) -> str:
    row = {"kind": "image", "reason": "truncated", "message": "the pixel data end early"}
    tables.rejected.append({"id": pseudonym("image", 8), **row})
    return pseudonym("image", 8)


def constant_image(tables: Written) -> str:
    tables.images[11] = np.full_like(tables.images[11], 77)
    return pseudonym("image", 11)


def missing_row(tables: Written) -> str:
    tables.manifest[12]["row"] = 99
    return pseudonym("image", 12)


def shared_row(tables: Written) -> str:
    tables.manifest[12]["row"] = 11
    return pseudonym("image", 12)


def mirrored(tables: Written) -> str:
    tables.manifest[13]["affine"] = [-0.5, 0.0, 32.0, 0.0, 0.5, 0.0]
    return pseudonym("image", 13)


def stretched(tables: Written) -> str:
    tables.manifest[13]["affine"] = [0.5, 0.0, 0.0, 0.0, 0.3, 0.0]
    return pseudonym("image", 13)


def unknown_view(tables: Written) -> str:
    tables.manifest[14]["view"] = "SUNRISE"
    return pseudonym("image", 14)


def unknown_split(tables: Written) -> str:
    tables.inventory[15]["split"] = tables.manifest[15]["split"] = "holdout"
    return pseudonym("image", 15)


def unknown_pathology(tables: Written) -> str:
    tables.findings[2]["pathology"] = "gout"
    return pseudonym("study", 2)


def unknown_presence(tables: Written) -> str:
    tables.findings[2]["presence"] = "maybe"
    return pseudonym("study", 2)


def unknown_section(tables: Written) -> str:
    tables.findings[2]["section"] = "history"
    return pseudonym("study", 2)


def unknown_reason(tables: Written) -> str:
    tables.rejected[0]["reason"] = "bad luck"
    return pseudonym("image", 40)


def stray_annotation(tables: Written) -> str:
    tables.annotations[0]["image_id"] = pseudonym("image", 999)
    return pseudonym("image", 999)


def raw_id(tables: Written) -> str:
    tables.manifest[6]["patient_id"] = "patient of bed six"
    return pseudonym("image", 6)


def too_many_rejected(tables: Written) -> str:
    for number in range(41, 45):
        tables.reject(number)
    return pseudonym("image", 44)


def reports_without_findings(tables: Written) -> str:
    tables.findings = tables.findings[:-4]
    return pseudonym("study", 38)


def odd(column: str, value: object) -> Callable[[Written], str]:
    """Three images of forty whose value in a column is out of range."""

    def plant(tables: Written) -> str:
        for row in tables.manifest[20:23]:
            row[column] = value
        return pseudonym("image", 20)

    return plant


def picture_among_objects(tables: Written) -> str:
    tables.manifest[9]["transfer_syntax"] = "PNG"
    return pseudonym("image", 9)


def identical_pixels(tables: Written) -> str:
    tables.manifest[10]["identical_to"] = pseudonym("image", 6)
    return pseudonym("image", 10)


def repeated_instance(tables: Written) -> str:
    tables.manifest[10]["same_instance_as"] = pseudonym("image", 6)
    return pseudonym("image", 10)


def identical_in_two_splits(tables: Written) -> str:
    tables.manifest[3]["pixels_sha256"] = tables.manifest[0]["pixels_sha256"]  # row 0 is train, row 3 is test
    return pseudonym("image", 3)


FAULTS = {
    odd("pixel_spacing_mm", 25.0): "spacing_plausible",
    odd("rows", 63): "side_long_enough",
    odd("bits_stored", 4): "depth_enough",
    odd("view", "UNKNOWN"): "view_told",
    picture_among_objects: "transfer_syntax_of_the_layout",
    identical_pixels: "few_identical_pixels",
    repeated_instance: "few_repeated_instances",
    identical_in_two_splits: "identical_pixels_in_one_split",
    duplicate_id: "manifest_image_ids_unique",
    duplicate_listing: "inventory_image_ids_unique",
    patient_in_two_splits: "patients_in_one_split",
    lost_image: "counts_add_up",
    image_twice: "counts_add_up",
    unlisted_image: "images_listed",
    constant_image: "pixels_not_constant",
    missing_row: "manifest_places_sound",
    shared_row: "manifest_places_sound",
    mirrored: "affine_plausible",
    stretched: "affine_plausible",
    unknown_view: "manifest_view_known",
    unknown_split: "manifest_split_known",
    unknown_pathology: "pathology_known",
    unknown_presence: "presence_known",
    unknown_section: "section_known",
    unknown_reason: "rejected_reason_known",
    stray_annotation: "annotated_images_known",
    raw_id: "manifest_patient_id_is_a_pseudonym",
    too_many_rejected: "rejected_share_within_limit",
    reports_without_findings: "reports_without_findings_within_limit",
}


@pytest.mark.parametrize(("plant", "expectation"), FAULTS.items(), ids=[plant.__name__ for plant in FAULTS])
def test_fault_fails_its_own_expectation_and_names_the_row(tables, check, plant, expectation):
    row = plant(tables)
    with pytest.raises(GateFailed) as failure:
        check(tables)
    line = next(line for line in str(failure.value).splitlines() if f" {expectation}: " in line)
    assert row in line
    assert not VERDICT.exists()
    page = INDEX.read_text(encoding="utf-8")
    assert f"{expectation}: " in page
    assert row in page


def test_too_few_images(tables, check):
    del tables.inventory[10:], tables.manifest[10:], tables.annotations[10:], tables.findings[10:], tables.rejected[:]
    with pytest.raises(GateFailed, match=r"enough_images: at least 20 images .* \(found 10\)"):
        check(tables)


PLANTED = {
    "study name": ("manifest", "scanner", "Acme 50000004", "manifest_identifies_nobody"),
    "patient folder": ("rejected", "message", "cannot read files/p10/p10000007/7.dcm", "rejected_identifies_nobody"),
    "image file": ("annotations", "name", "7F3A-0009-D1C0.dcm", "annotations_identifies_nobody"),
    "patient as id": ("manifest", "patient_id", "10000009", "manifest_identifies_nobody"),
    "name among the unmatched words": ("unmatched", "word", "10000005", "unmatched_identifies_nobody"),
    "date": ("manifest", "scanner", "Acme installed 20190314", "manifest_identifies_nobody"),
    "written date": ("findings", "cue", "since 2019-03-14", "findings_identifies_nobody"),
}


@pytest.mark.parametrize(("table", "column", "value", "expectation"), PLANTED.values(), ids=PLANTED)
def test_identifier_is_found_and_never_repeated(tables, check, table, column, value, expectation):
    tables.unmatched.append({"word": "wispy", "beside": "opacity", "reports": 30})
    getattr(tables, table)[0][column] = value
    with pytest.raises(GateFailed, match=rf" {expectation}: ") as failure:
        check(tables)
    shown = str(failure.value) + "".join(page.read_text("utf-8") for page in INDEX.parent.glob("*.html"))
    assert value not in shown
    assert "(masked)" in shown or "row 0" in shown or f"{column} holds" in shown


def test_good_archive_passes_with_a_stable_verdict(tables, check):
    figures = check(tables)
    first = VERDICT.read_bytes()
    assert figures["rows"]["images"] == 41
    assert figures["rows"]["manifest"] == 40
    tables.accept(41)  # a grown archive has other counts and the same verdict
    check(tables)
    assert VERDICT.read_bytes() == first
    verdict = json.loads(first)
    assert verdict["passed"] is True
    assert figures["expectations"] == len(verdict["expectations"]) == len(set(verdict["expectations"])) > 30


def test_nothing_refused_and_no_annotation_is_fine(tables, check):
    del tables.inventory[40], tables.rejected[:], tables.annotations[:]
    tables.findings = tables.findings[:40]
    assert check(tables)["rows"]["rejected"] == 0


def test_a_failed_gate_takes_back_an_earlier_verdict(tables, check):
    check(tables)
    assert VERDICT.exists()
    constant_image(tables)
    with pytest.raises(GateFailed):
        check(tables)
    assert not VERDICT.exists()


def test_docs_are_the_same_again_and_load_nothing(tables, check):
    check(tables)
    pages = {page.name: page.read_text("utf-8") for page in INDEX.parent.glob("*.html")}
    assert {"index.html", "manifest.html", "findings.html", "reports.html"} <= set(pages)
    for text in pages.values():
        for word in ("http:", "https:", "src=", "<script", "@import", "url(", "<link"):
            assert word not in text
        assert set(re.findall(r'href="([^"#]+)', text)) <= set(pages)
    assert "pixels_not_constant: no image has the same value everywhere" in pages["manifest.html"]
    check(tables)
    assert pages == {page.name: page.read_text("utf-8") for page in INDEX.parent.glob("*.html")}


def test_other_datasets_are_checked_without_findings(params):
    assert {"findings", "reports", "unmatched"} == set(report_suites(params.quality))
    assert not {"findings", "reports", "unmatched"} & set(archive_suites(params.quality, "rsna_pneumonia"))
    with pytest.raises(ValueError, match="'nobody' is not one of the datasets"):
        run(params, "nobody")


def test_command_ends_with_status_3_and_needs_no_torch(tables, tmp_path, repository):
    lost_image(tables)
    tables.write(tmp_path)
    (tmp_path / "params.yaml").write_bytes((repository / "params.yaml").read_bytes())
    script = (
        "import runpy, sys\n"
        "sys.argv = ['quality', 'mimic_cxr']\n"
        "try:\n    runpy.run_module('components.quality', run_name='__main__')\n"
        "finally:\n    assert 'torch' not in sys.modules\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment(repository), capture_output=True, text=True
    )
    assert ended.returncode == 3, ended.stderr
    assert "images: counts_add_up: " in ended.stderr
    assert "Traceback" not in ended.stderr


def environment(repository: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(repository)}
