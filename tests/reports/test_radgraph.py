"""RadGraph's published inference file and the output of its package: the same findings and labels as of the parser."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.core import paths
from components.core.params import Params, load, overlay, read_yaml, validate
from components.core.records.labels import ABSENT, PRESENT, UNCERTAIN, StudyLabels
from components.core.records.tables import read_table
from components.core.vocabulary import ANATOMY_INDEX, PATHOLOGY_INDEX
from components.inventory import stage as inventory
from components.reports import stage
from components.reports.radgraph import entries, read_entry
from tests.archive_files import MimicStudy, write_mimic
from tests.reports.examples import SIGNS

Entity = tuple[str, str, int, list[list[str]]]  # tokens, label, index of the first token, relations


def graph(text: str, *entities: Entity) -> dict[str, Any]:
    """A report as RadGraph annotates it; entities are named "1", "2", … in the order given."""
    return {
        "text": text,
        "entities": {
            str(number): {
                "tokens": tokens,
                "label": label,
                "start_ix": start,
                "end_ix": start + len(tokens.split()) - 1,
                "relations": relations,
            }
            for number, (tokens, label, start, relations) in enumerate(entities, 1)
        },
        "data_source": None,
        "data_split": "inference",
    }


def said(entry: dict[str, Any]) -> set[str]:
    return {f"{SIGNS[found.presence]}{found.pathology}@{found.anatomy}" for found in read_entry(entry).findings}


GRAPHS = {
    "a finding at a place with its modifiers": (
        graph(
            "Opacity in the left lower lobe .",
            ("Opacity", "OBS-DP", 0, [["located_at", "4"]]),
            ("left", "ANAT-DP", 3, [["modify", "4"]]),
            ("lower", "ANAT-DP", 4, [["modify", "4"]]),
            ("lobe", "ANAT-DP", 5, []),
        ),
        "+opacity@lower_left_lobe",
    ),
    "what an observation suggests lies where it does": (
        graph(
            "Left opacity suggesting pneumonia .",
            ("Left", "ANAT-DP", 0, []),
            ("opacity", "OBS-DP", 1, [["located_at", "1"], ["suggestive_of", "3"]]),
            ("pneumonia", "OBS-U", 3, []),
        ),
        "+opacity@left_lung_unspec ?pneumonia@left_lung_unspec",
    ),
    "both sides": (
        graph(
            "Small bilateral pleural effusions .",
            ("Small", "OBS-DP", 0, [["modify", "4"]]),
            ("bilateral", "ANAT-DP", 1, [["modify", "3"]]),
            ("pleural", "ANAT-DP", 2, []),
            ("effusions", "OBS-DP", 3, [["located_at", "3"]]),
        ),
        "+effusion@left_pleural +effusion@right_pleural",
    ),
    "two places": (
        graph(
            "Nodules in the right apex and the lingula .",
            ("Nodules", "OBS-DP", 0, [["located_at", "3"], ["located_at", "4"]]),
            ("right", "ANAT-DP", 3, [["modify", "3"]]),
            ("apex", "ANAT-DP", 4, []),
            ("lingula", "ANAT-DP", 7, []),
        ),
        "+nodule@right_apical_lung +nodule@upper_left_lobe",
    ),
    "absent and uncertain": (
        graph(
            "No pneumothorax . Possible pneumonia .",
            ("pneumothorax", "OBS-DA", 1, []),
            ("pneumonia", "OBS-U", 4, []),
        ),
        "-pneumothorax@pleural_unspec ?pneumonia@pulmonary",
    ),
    "a side alone": (
        graph(
            "Effusion on the right .",
            ("Effusion", "OBS-DP", 0, [["located_at", "2"]]),
            ("right", "ANAT-DP", 3, []),
        ),
        "+effusion@right_pleural",
    ),
    "an adjective that makes another finding there": (
        graph("Heart is enlarged .", ("Heart", "ANAT-DP", 0, []), ("enlarged", "OBS-DP", 2, [["located_at", "1"]])),
        "+cardiomegaly@heart_size",
    ),
    "what is normal rules out": (
        graph("Heart is normal .", ("Heart", "ANAT-DP", 0, []), ("normal", "OBS-DP", 2, [["located_at", "1"]])),
        "+normal@heart_size -cardiomegaly@heart_size",
    ),
    "an observation of two words": (
        graph("Free air .", ("Free", "OBS-DP", 0, [["modify", "2"]]), ("air", "OBS-DP", 1, [])),
        "+air@other",
    ),
    "the labels of the package": (
        graph(
            "et tube above the carina , no edema , effusion not excluded",
            ("et tube", "Observation::definitely present", 0, [["located_at", "2"]]),
            ("carina", "Anatomy::definitely present", 4, []),
            ("edema", "Observation::definitely absent", 7, []),
            ("effusion", "Observation::uncertain", 9, []),
            ("3 cm", "Observation::measurement::definitely present", 0, []),
        ),
        "+tube@trachea -edema@pulmonary ?effusion@pleural_unspec",
    ),
    "the history is no evidence": (
        graph(
            "INDICATION : edema . FINDINGS : effusion .",
            ("edema", "OBS-DP", 2, []),
            ("effusion", "OBS-DP", 6, []),
        ),
        "+effusion@pleural_unspec",
    ),
    "modifiers that modify each other": (
        graph(
            "left right mass .",
            ("left", "ANAT-DP", 0, [["modify", "2"]]),
            ("right", "ANAT-DP", 1, [["modify", "1"]]),
            ("mass", "OBS-DP", 2, [["located_at", "1"], ["located_at", "9"]]),
        ),
        "+mass@left_lung_unspec +mass@right_lung_unspec",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs(name: str) -> None:
    entry, expected = GRAPHS[name]
    assert said(entry) == set(expected.split())


def test_a_finding_keeps_its_place_in_the_text_and_the_label_that_decided() -> None:
    entry = graph("FINDINGS : Clear . IMPRESSION : No edema .", ("edema", "OBS-DA", 7, []))
    (finding,) = read_entry(entry).findings
    assert entry["text"][finding.start : finding.end] == "edema"
    assert (finding.section, finding.sentence, finding.cue) == ("impression", 1, "OBS-DA")


def test_tokens_without_a_word_in_the_lexicon_are_unmatched() -> None:
    assert read_entry(graph("wonkiness .", ("wonkiness", "OBS-DP", 0, []))).unmatched == {("wonkiness", "")}


STUDIES = [
    MimicStudy("10000032", "50000001", ("a1",), report="FINDINGS: Left effusion.\n\nNo edema."),
    MimicStudy("10000033", "50000002", ("a2",), report="IMPRESSION:\n1. Possible pneumonia, 2 cm."),
    MimicStudy("10000034", "50000003", ("a3",), report="FINDINGS: Clear."),
]
PUBLISHED = {
    "p10/p10000032/s50000001.txt": graph(
        "FINDINGS : Left effusion . No edema .",
        ("Left", "ANAT-DP", 2, []),
        ("effusion", "OBS-DP", 3, [["located_at", "1"]]),
        ("edema", "OBS-DA", 6, []),
    ),
    "p10/p10000033/s50000002.txt": graph("IMPRESSION : Possible pneumonia , 2 cm .", ("pneumonia", "OBS-U", 3, [])),
}


@pytest.fixture
def workspace(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    monkeypatch.chdir(tmp_path)
    params = validate(
        overlay(read_yaml(repository / "params.yaml"), {"reports": {"source": "radgraph", "radgraph": "radgraph.json"}})
    )
    write_mimic(tmp_path / params.datasets["mimic_cxr"].root, STUDIES)
    inventory.run(params, "mimic_cxr")
    return params


@pytest.mark.parametrize("form", ["published", "package"])
def test_both_forms_fill_the_findings_and_the_labels(form: str, workspace: Params) -> None:
    numbered = {str(number): entry for number, entry in enumerate(PUBLISHED.values())}
    content = PUBLISHED if form == "published" else numbered
    Path("radgraph.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    figures = stage.run(workspace, "")
    labels = StudyLabels.read(paths.FINDINGS / "labels.npz")
    ids = read_table(paths.inventory_table("mimic_cxr"), "inventory").set_index("study")["study_id"].to_dict()
    by_study = {study[-1:]: pseudonym for study, pseudonym in ids.items()}

    def cell(study: str, pathology: str, anatomy: str) -> int:
        return int(labels.dense([by_study[study]])[0, ANATOMY_INDEX[anatomy], PATHOLOGY_INDEX[pathology]])

    assert cell("1", "effusion", "left_pleural") == PRESENT
    assert cell("1", "edema", "pulmonary") == ABSENT
    assert cell("2", "pneumonia", "pulmonary") == UNCERTAIN
    rejected = read_table(paths.FINDINGS / "rejected.parquet", "rejected")
    assert rejected[["id", "reason"]].to_numpy().tolist() == [[by_study["3"], "radgraph_missing"]]
    assert figures["mentions"] == {"present": 1, "absent": 1, "uncertain": 1}


BAD_FILES = {
    "text after the object": ("{} {}", r"goes on after its object \(character 3\)"),
    "no JSON": ("{", "is not JSON"),
    "a list": ("[]", "is not JSON"),
    "an entry without entities": ('{"a": {"text": ""}}', "the entry 'a' is not a report"),
    "an entity without tokens": ('{"a": {"text": "", "entities": {"1": {}}}}', "the entry 'a' is not a report"),
    "no comma": ('{"a": {"text": "", "entities": {}} "b": 1}', r"is not JSON \(character 35"),
    "cut short": ('{"a": {"text": "", "ent', "is not JSON"),
    "nested without an end": ('{"a": ' + "[" * 99_999, "is not JSON"),
    "another encoding": ('{"é": 1}'.encode("latin-1"), "is not UTF-8"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_is_not_radgraphs_is_named(name: str, tmp_path: Path) -> None:
    content, message = BAD_FILES[name]
    path = tmp_path / "radgraph.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message):
        list(entries(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"radgraph\.json \(reports\.radgraph\) does not exist"):
        list(entries(tmp_path / "radgraph.json"))


def test_an_empty_file_of_radgraphs_has_no_entry(tmp_path: Path) -> None:
    (tmp_path / "radgraph.json").write_text(" { } \n", encoding="utf-8")
    assert list(entries(tmp_path / "radgraph.json")) == []


def test_the_source_radgraph_needs_a_file(repository: Path) -> None:
    content = overlay(read_yaml(repository / "params.yaml"), {"reports": {"source": "radgraph"}})
    with pytest.raises(ValueError, match=r"reports.*radgraph must name RadGraph's JSON file"):
        validate(content)
    assert load(repository / "params.yaml").reports.source == "parser"
