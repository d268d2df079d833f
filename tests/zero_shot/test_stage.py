import hashlib
import json
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.metrics import roc_auc_score

from components.core import paths
from components.core.metrics.classification import Cases
from components.core.params import ZeroShot
from components.core.records.tables import read_table, write_table
from components.core.vocabulary import PATHOLOGY_INDEX
from components.zero_shot.predict import Answers, ask
from components.zero_shot.stage import (
    Dataset,
    all_figures,
    grounding_of,
    headline_first,
    judged_truths,
    nearest_terms,
    run,
    understands,
)
from components.zero_shot.subgroups import by_subgroup
from components.zero_shot.truth import Drawn
from tests import evaluation_workspace as workspace

COUNT = 160
SETTINGS = {"zero_shot": {"bootstrap": 100, "min_positives": 5, "overlays": 6, "threads": 1}}


def workspace_section() -> ZeroShot:
    return ZeroShot(
        batch=8, threads=1, bootstrap=100, seed=0, min_positives=10, min_severity=0.5, overlays=0, open_vocabulary={}
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory, repository):
    """A workspace with two datasets: a phantom with reports, and one with labels and boxes of its own."""
    root = tmp_path_factory.mktemp("zero_shot")
    workspace.write_params(root, repository, SETTINGS)
    workspace.write_dataset(root, "mimic_cxr", COUNT)
    workspace.write_dataset(root, "rsna_pneumonia", COUNT, own_labels=True, drawn_truth=False)
    workspace.write_labels(root, COUNT)
    workspace.write_model(root)
    return root


@pytest.fixture(scope="module")
def params(root, repository):
    return workspace.write_params(root, repository, SETTINGS)


@pytest.fixture(scope="module")
def figures(root, params):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        return {name: run(params, name) for name in ("mimic_cxr", "rsna_pneumonia")}


def test_definitions_are_put_to_a_model_whose_books_the_text_encoder_of_the_run_made(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths.KNOWLEDGE.mkdir(parents=True)
    model = workspace.untrained()
    for book_AT, known in ((model.book_a_AT + 1e-5, True), (model.book_a_AT + 0.1, False), (torch.zeros(51, 6), False)):
        save_file({"anatomies": book_AT, "pathologies": torch.zeros(75, book_AT.shape[1])}, paths.BOOKS)
        assert understands(model) == known


def predictions(root, name: str, kind: str):
    table = read_table(root / "predictions" / "zero_shot" / name / "predictions.parquet", "predictions")
    return table[table["truth_kind"] == kind]


def test_the_headline_is_what_was_drawn_and_the_saved_predictions_give_it_again(root, figures) -> None:
    assert figures["mimic_cxr"]["truth"] == "drawn"
    rows = predictions(root, "mimic_cxr", "drawn")
    rows = rows[(rows["split"] == "test") & (rows["truth"] >= 0)]
    areas = {name: roc_auc_score(part["truth"], part["score"]) for name, part in rows.groupby("name")}
    assert set(areas) == set(figures["mimic_cxr"]["declared"]) == set(workspace.FINDINGS)
    for name, area in areas.items():
        assert figures["mimic_cxr"]["auroc"]["per_class"][name]["value"] == pytest.approx(area, abs=1e-6)
    assert figures["mimic_cxr"]["auroc"]["macro"]["value"] == pytest.approx(np.mean(list(areas.values())), abs=1e-6)


def test_report_truth_stands_beside_it_with_its_counts(figures) -> None:
    report = figures["mimic_cxr"]["report_truth"]
    assert report["declared"] == ["consolidation"]
    assert report["too_few"] == {  # the reports never mention it
        "nodule": {"positives": 0, "negatives": 0, "why": "the split has no positives and no negatives"}
    }
    assert "report_truth" not in figures["rsna_pneumonia"]


def test_a_grade_is_judged_against_images_without_the_finding(root, figures) -> None:
    rows = predictions(root, "mimic_cxr", "drawn")
    rows = rows[(rows["split"] == "test") & (rows["name"] == "consolidation")]
    mild = rows["severity"] == 0.3
    assert (rows["truth"][mild] == -1).all()
    expected = {"positives": int(mild.sum()), "negatives": int(rows["severity"].isna().sum())}
    assert list(figures["mimic_cxr"]["by_severity"]) == ["mild", "moderate", "severe"]
    found = figures["mimic_cxr"]["by_severity"]["mild"]["auroc"]["per_class"]["consolidation"]
    assert {key: found[key] for key in expected} == expected


def test_a_dataset_with_labels_and_boxes_is_judged_by_them(figures) -> None:
    rsna = figures["rsna_pneumonia"]
    assert rsna["truth"] == rsna["grounding_truth"] == "label"
    assert rsna["declared"] == ["pneumonia"]
    assert rsna["pointing_game"]["n"] == rsna["auroc"]["per_class"]["pneumonia"]["positives"]


def test_groups_stand_with_their_counts_and_small_ones_say_why(root, figures) -> None:
    groups = figures["mimic_cxr"]["subgroups"]
    assert set(groups) == {"sex", "age_band", "view", "scanner"}  # no table of this archive names a collection
    women = groups["sex"]["F"]
    assert women["images"] == figures["mimic_cxr"]["images"]["test"]["images"]
    assert women["value"] == pytest.approx(figures["mimic_cxr"]["auroc"]["macro"]["value"], abs=1e-5)
    table = pd.DataFrame(
        {"sex": ["M"] * 3 + ["F"] * 40 + [None] * 20, "age_band": None, "view": "PA", "scanner": "A", "origin": None}
    )
    truth = (np.arange(63) % 2).astype(np.int8)[:, None]
    cases = Cases(("mass",), tuple(map(str, range(63))), truth, truth + 0.0)
    groups = by_subgroup(table, cases, workspace_section())["sex"]
    assert {group: row["images"] for group, row in groups.items()} == {"F": 40, "M": 3, "not_told": 20}
    assert groups["not_told"]["value"] == 1
    men = groups["M"]
    assert (men["value"], men["patients"]) == (None, 3)
    assert men["why"] == "no class has positives of 10 patients and negatives of 10 in the group"


def test_a_definition_is_asked_beside_the_vocabulary_and_moves_none_of_its_answers(root) -> None:
    model = workspace.untrained()
    images = torch.randint(0, 255, (4, 1, workspace.SIZE, workspace.SIZE), dtype=torch.uint8)
    device, names = torch.device("cpu"), list("abcd")
    plain = ask(model, iter([images]), names, ["nodule"], device)
    new = ask(model, iter([images]), names, ["covid"], device, {"covid": torch.randn(8)})
    both = plain + new
    assert both.pathologies == ("nodule", "covid")
    assert np.array_equal(both.score_NQ[:, :1], plain.score_NQ)
    assert not np.allclose(both.score_NQ[:, 0], both.score_NQ[:, 1])
    assert both.maps_NQhw.shape == both.both_NQhw.shape == (4, 2, 3, 3)


def test_the_definitions_nearest_to_a_new_one_are_told() -> None:
    book_PT = workspace.untrained().book_p_PT
    found = nearest_terms(book_PT, {"new": book_PT[PATHOLOGY_INDEX["edema"]] + 0.1 * book_PT[PATHOLOGY_INDEX["mass"]]})
    assert next(iter(found["new"])) == "edema"
    assert len(found["new"]) == 3
    assert found["new"]["edema"] > 0.9


def test_a_dataset_s_own_question_is_the_headline_and_its_drawn_places_the_ground(params) -> None:
    generator, count = np.random.default_rng(1), 60
    ids, new = [f"image{number}" for number in range(count)], "covid"
    images = pd.DataFrame({
        "image_id": ids, "patient_id": ids, "split": ["train", "validate", "test", "test"] * (count // 4),
        "sex": None, "age_band": None, "view": "PA", "scanner": None, "origin": None,
        "rows": 8, "columns": 8,
    })  # fmt: skip
    png = cv2.imencode(".png", np.full((8, 8), 255, np.uint8))[1].tobytes()
    affine = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    findings = pd.DataFrame([
        {"image_id": name, "pathology": finding, "severity": 0.9, "grade": "severe", "affine": affine,
         "x": 0.0, "y": 0.0, "width": 8.0, "height": 8.0, "mask_png": png}
        for place, name in enumerate(ids) for finding, every in ((new, 2), ("nodule", 3)) if place // 4 % every == 0
    ])  # fmt: skip
    labels = pd.DataFrame({
        "image_id": ids, "name": new, "kind": "label", "value": [int(place // 4 % 2 == 0) for place in range(count)]
    })  # fmt: skip
    asked = images[images["split"] != "train"].reset_index(drop=True)
    maps = generator.random((len(asked), 2, 3, 3)).astype(np.float32)
    answers = Answers(tuple(asked["image_id"]), ("nodule", new), generator.random((len(asked), 2)), maps, maps)
    dataset = Dataset(
        images, asked, labels, Drawn(findings, frozenset(ids)), None, {new: (new,)}, (), {new: "A sentence."},
        ("nodule",), 8, {},
    )  # fmt: skip
    truths = headline_first(dataset, judged_truths(dataset, answers, 0.5))
    assert [(judged.truth.kind, judged.truth.names) for judged in truths] == [
        ("label", (new,)), ("drawn", ("nodule", new))
    ]  # fmt: skip
    found = all_figures(dataset, truths, grounding_of(dataset, answers, truths, params), params)
    assert (found["truth"], found["declared"]) == ("label", [new])
    assert set(found["drawn_truth"]["declared"]) == {"nodule", new}
    assert (found["grounding_truth"], set(found["pointing_game"]["per_class"])) == ("drawn", {new})
    nowhere = all_figures(dataset, truths, None, params)
    assert nowhere["pointing_game"]["per_class"] == {}
    for name in ("pointing_game", "iou", "dice"):
        assert (nowhere[name]["value"], nowhere[name]["n"]) == (None, 0)
        assert nowhere[name]["why"] == "no class that is evaluated has a place"


def test_both_streams_are_judged_beside_the_one(figures) -> None:
    both = figures["rsna_pneumonia"]["both_streams"]
    assert {"pointing_game", "iou", "dice", "gain_in_pointing"} == set(both)
    assert both["pointing_game"]["n"] == figures["rsna_pneumonia"]["pointing_game"]["n"]


def test_lateral_views_are_not_asked(root, figures) -> None:
    assert set(predictions(root, "mimic_cxr", "drawn")["view"]) == {"PA"}
    assert sum(split["images"] for split in figures["mimic_cxr"]["images"].values()) == COUNT - COUNT // 17
    assert figures["mimic_cxr"]["left_out"] == {"not_frontal": COUNT // 17, "annotated_but_not_there": 0}


def test_training_images_only_give_the_mean_positions(root, figures) -> None:
    assert set(predictions(root, "mimic_cxr", "drawn")["split"]) == {"validate", "test"}
    # Every spot of a finding is at one place, so that the mean position always hits.
    assert figures["mimic_cxr"]["pointing_game"]["baseline_mean_position"]["value"] == 1.0


def test_pictures_are_there_and_small(root, figures) -> None:
    for name in ("roc.png", "reliability.png", "roc_report.png", "reliability_report.png", "overlay.png"):
        path = root / "plots" / "zero_shot" / "mimic_cxr" / name
        assert path.stat().st_size < 300_000
        with Image.open(path) as image:
            assert min(image.size) >= 300
            assert len(image.convert("RGB").getcolors(1 << 24)) > 20
            assert not image.info.get("Software")


def digests(root, name: str) -> dict[str, str]:
    files = [path for part in ("plots", "predictions") for path in (root / part / "zero_shot" / name).iterdir()]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_equal_inputs_give_equal_bytes(root, params, figures, monkeypatch) -> None:
    monkeypatch.chdir(root)
    before = digests(root, "mimic_cxr")
    assert json.dumps(run(params, "mimic_cxr")) == json.dumps(figures["mimic_cxr"])
    assert digests(root, "mimic_cxr") == before


def test_test_labels_do_not_move_a_threshold(root, params, figures, monkeypatch, tmp_path) -> None:
    shutil.copytree(root, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    folder = tmp_path / "copy" / "data" / "images" / "rsna_pneumonia"
    manifest = read_table(folder / "manifest.parquet", "manifest")
    annotations = read_table(folder / "annotations.parquet", "annotations")
    in_test = annotations["image_id"].isin(manifest["image_id"][manifest["split"] == "test"])
    flipped = (annotations["kind"] == "label") & in_test
    annotations.loc[flipped, "value"] = 1 - annotations.loc[flipped, "value"]
    write_table(folder / "annotations.parquet", annotations, "annotations")
    other, before = run(params, "rsna_pneumonia"), figures["rsna_pneumonia"]
    assert other["thresholds"] == before["thresholds"]
    assert other["dice"]["threshold"] == before["dice"]["threshold"]
    assert other["auroc"]["macro"]["value"] == pytest.approx(1 - before["auroc"]["macro"]["value"], abs=1e-5)


def test_bad_input_is_told_in_a_sentence(root, params, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(root)
    with pytest.raises(ValueError, match="not one of the datasets"):
        run(params, "padchest")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="does not exist"):
        run(params, "mimic_cxr")


def test_without_any_truth_there_is_nothing_to_evaluate(root, params, figures, monkeypatch, tmp_path) -> None:
    shutil.copytree(root, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    folder = tmp_path / "copy" / "data" / "images" / "rsna_pneumonia"
    write_table(folder / "annotations.parquet", [], "annotations")
    with pytest.raises(ValueError, match="nothing says what is true"):
        run(params, "rsna_pneumonia")
