"""The stage: an archive's reports to findings, labels and rejected, through the real inventory."""

from pathlib import Path
from typing import Any

import pytest

from components.core import paths
from components.core.params import Params, load
from components.core.records.labels import ABSENT, NOT_MENTIONED, PRESENT, UNCERTAIN, StudyLabels
from components.core.records.tables import read_table
from components.core.vocabulary import ANATOMY_INDEX, PATHOLOGY_INDEX
from components.inventory import stage as inventory
from components.reports import stage, table
from components.reports.lexicon import lexicon
from components.reports.mentions import items_of
from components.reports.reading import read
from tests.archive_files import MimicStudy, write_mimic

SECRET = "Mr. Quillfeather of Barrowby lane, MRN 7781123"
REPORTS: dict[str, str | bytes | None] = {
    "50000001": f"FINDINGS: {SECRET}. Small left effusion. No edema.\nIMPRESSION: Pneumonia cannot be excluded.",
    "50000002": "FINDINGS: Effusion g\xeanante \xe0 gauche, left effusion.".encode("latin-1"),
    "50000003": "FINDINGS: The weather is fine.",
    "50000004": " \n ",
    "50000005": None,
    "50000006": "FINDINGS: No left effusion. Possible edema.\nIMPRESSION: Left effusion. No edema.",
    "50000007": "FINDINGS: \x00\x07 Large heart. Cardiomegaly.",
    "50000008": "Hallazgos: silueta cardiaca normal. Sin edema pulmonar. Hernia de hiato. No hay derrame.",
    "50000009": "A wispy opacity. The wispy opacity of Quillfeather is wispy.",
}


@pytest.fixture
def workspace(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    monkeypatch.chdir(tmp_path)
    params = load(repository / "params.yaml")
    studies = [
        MimicStudy(f"1000000{number}", name, (f"a{number}", f"b{number}"), report=text)
        for number, (name, text) in enumerate(REPORTS.items())
    ]
    write_mimic(tmp_path / params.datasets["mimic_cxr"].root, studies)
    inventory.run(params, "mimic_cxr")
    return params


def outputs() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(paths.FINDINGS.iterdir())}


def pseudonym(study: str) -> str:
    rows = read_table(paths.inventory_table("mimic_cxr"), "inventory")
    return rows.loc[rows["study"].str.endswith(study), "study_id"].iloc[0]


def test_every_study_is_among_the_labels_or_the_rejected(workspace: Params) -> None:
    figures = stage.run(workspace, "")
    labels = StudyLabels.read(paths.FINDINGS / "labels.npz")
    rejected = read_table(paths.FINDINGS / "rejected.parquet", "rejected")
    assert list(labels.study_ids) == sorted(labels.study_ids)
    assert set(labels.study_ids) == {pseudonym(study) for study in REPORTS} - {
        pseudonym("50000004"),
        pseudonym("50000005"),
        pseudonym("50000008"),
    }
    assert dict(zip(rejected["id"], rejected["reason"], strict=True)) == {
        pseudonym("50000004"): "report_empty",
        pseudonym("50000005"): "report_missing",
        pseudonym("50000008"): "report_language",
    }
    assert (figures["reports"], figures["rejected"]) == (6, 3)
    assert figures["share_without_findings"] == round(1 / 6, 6)


def test_the_labels_say_what_the_reports_say(workspace: Params) -> None:
    stage.run(workspace, "")
    labels = StudyLabels.read(paths.FINDINGS / "labels.npz")

    def cell(study: str, pathology: str, anatomy: str) -> int:
        return int(labels.dense([pseudonym(study)])[0, ANATOMY_INDEX[anatomy], PATHOLOGY_INDEX[pathology]])

    assert cell("50000001", "effusion", "left_pleural") == PRESENT
    assert cell("50000001", "effusion", "right_pleural") == NOT_MENTIONED
    assert cell("50000001", "edema", "pulmonary") == ABSENT
    assert cell("50000001", "pneumonia", "pulmonary") == UNCERTAIN
    assert cell("50000002", "effusion", "left_pleural") == PRESENT  # Latin-1
    assert cell("50000006", "effusion", "left_pleural") == PRESENT  # denied first, then asserted
    assert cell("50000006", "edema", "pulmonary") == ABSENT  # possible first, then denied
    assert cell("50000007", "cardiomegaly", "heart_size") == PRESENT


def test_the_figures_count_studies_and_cells(workspace: Params) -> None:
    figures: dict[str, Any] = stage.run(workspace, "")
    labels = StudyLabels.read(paths.FINDINGS / "labels.npz")
    assert figures["studies"]["effusion"] == {"present": 3, "absent": 0, "uncertain": 0}
    assert figures["studies"]["edema"] == {"present": 0, "absent": 2, "uncertain": 0}
    assert figures["cells"] == {
        "present": int((labels.values == PRESENT).sum()),
        "absent": int((labels.values == ABSENT).sum()),
        "uncertain": int((labels.values == UNCERTAIN).sum()),
    }


def test_odd_reports_and_contradictions_are_counted(workspace: Params) -> None:
    figures = stage.run(workspace, "")
    assert figures["notes"] == {
        "empty": 1,
        "cut": 0,
        "control_characters": 1,
        "no_heading": 2,
        "another_language": 1,
        "other_encoding": 1,
    }
    assert figures["conflicts"] == {"denied_and_asserted": 1, "denied_and_doubted": 1}


def test_words_that_the_lexicon_lacks_are_listed_where_enough_patients_have_them(workspace: Params) -> None:
    def listed(patients: int) -> list[list[Any]]:
        words = stage.Unmatched(read_table(paths.inventory_table("mimic_cxr"), "inventory"), patients)
        ids = [pseudonym(study) for study in ("50000001", "50000002", "50000003")]
        words.add((study, frozenset({("wispy", "opacity"), ("odd", "lung")})) for study in ids[:2])
        words.add([(ids[2], frozenset({("wispy", "opacity"), ("wispy", "edema")}))])
        return [list(row.values()) for row in words.rows()]

    assert listed(2) == [["wispy", "opacity", 3], ["odd", "lung", 2]]
    assert listed(3) == [["wispy", "opacity", 3]]
    assert listed(4) == []


def test_only_words_in_lower_case_are_listed(workspace: Params) -> None:
    assert read(str(REPORTS["50000009"])).unmatched == {("wispy", "opacity")}
    stage.run(workspace, "")
    assert len(read_table(paths.FINDINGS / "unmatched.parquet", "unmatched")) == 0


def test_no_word_of_a_report_leaves_it_but_those_of_the_lexicon(workspace: Params) -> None:
    stage.run(workspace, "")
    findings = read_table(paths.FINDINGS / "findings.parquet", "findings")
    assert len(findings) > 5
    for cue in set(findings["cue"]) - {""}:
        assert items_of(cue, lexicon())[0], cue
    written = " ".join(findings.astype(str).to_numpy().ravel())
    assert not any(word in written for word in SECRET.split() if len(word) > 4)


def test_the_bytes_depend_neither_on_the_number_of_processes_nor_on_an_earlier_run(
    workspace: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "CHUNK", 2)
    monkeypatch.setenv("MEDSLIP_WORKERS", "1")
    first_figures = stage.run(workspace, "")
    first = outputs()
    monkeypatch.setenv("MEDSLIP_WORKERS", "2")
    assert stage.run(workspace, "") == first_figures
    assert outputs() == first


def test_without_an_inventory_the_stage_says_so(workspace: Params) -> None:
    paths.inventory_table("mimic_cxr").unlink()
    with pytest.raises(ValueError, match=r"mimic_cxr\.parquet does not exist"):
        stage.run(workspace, "")
    assert not paths.FINDINGS.exists()
