"""The page: complete, self-contained, escaped, the same for the same run."""

import itertools
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.core.comparison.table import write_comparison
from components.core.metrics.classification import undefined
from components.core.model.terms import UNKNOWN
from components.core.params import Params, read_yaml, validate
from components.core.vocabulary import PATHOLOGIES
from components.model_card.estimates import Estimate, readable
from components.model_card.stage import in_words, run
from tests.core.comparison.test_table import COMPARISON

HOSTILE = '<script>alert("x")</script>'

DATASETS = ("mimic_cxr", "rsna_pneumonia")
RELIABILITY = {"pooled": [{"probability": 0.2, "positives": 0.1, "count": 300}], "per_class": {}}
NO_PLACE = {**undefined("no class that is evaluated has a place"), "n": 0}


def estimate(value: float | None, spread: float = 0.05) -> dict:
    return {"value": value, "low": value and value - spread, "high": value and value + spread}


def write(root: Path, path: str, content: object) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(json.dumps(content), encoding="utf-8")


def picture(root: Path, path: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(root / path)


def fill(root: Path) -> None:
    """The files of a run that went well, with figures by hand."""
    listed = {"images": 1200, "patients": 700, "digest": "ab" * 32}
    taken = {
        "manifest": 1190, "rejected": 10, "rejected_studies": 0, "rejected_by_reason": {"truncated": 10},
        "split": {"test": 300, "train": 890}, "sex": {"F": 700, "not_told": 490}, "age_band": {"40-59": 1190},
        "view": {"PA": 1190}, "origin": {"not_told": 1190}, "scanners": 3,
        "labels": {"absent": 900, "not_told": 2, "present": 288},
        "mended": {"boxes_cut": 4, "boxes_outside": 0, "masks_empty": 1},
    }  # fmt: skip
    diagnosis = {
        "truth": "drawn",
        "too_few": {"hernia": {"positives": 1, "negatives": 90}},
        "images": {"test": {"images": 300, "patients": 200}},
        "left_out": {"not_frontal": 21, "annotated_but_not_there": 0},
        "auroc": {
            "macro": estimate(0.83),
            "per_class": {
                "effusion": {**estimate(0.91), "positives": 40, "negatives": 260},
                HOSTILE: {**estimate(0.62), "positives": 30, "negatives": 270},
            },
        },
        **{
            figure: {"macro": estimate(value), "per_class": {"effusion": estimate(0.7), HOSTILE: estimate(None)}}
            for figure, value in (
                ("average_precision", 0.61), ("f1", 0.5), ("accuracy", 0.8), ("calibration_error", 0.12),
                ("brier_score", 0.09),
            )
        },
        "thresholds": {"per_class": {"effusion": {"value": 0.1234}, HOSTILE: {"value": None}}},
        "reliability": RELIABILITY,
        "open_vocabulary": {"covid": "an opacity"},
        "nearest_terms": {"covid": {"opacity": 0.9, "edema": 0.5}},
        "subgroups": {
            "sex": {
                "F": {**estimate(0.84), "classes": ["effusion"], "images": 170, "patients": 110},
                "M": {"value": None, "why": "no class has 10 positives", "classes": [], "images": 3, "patients": 3},
            },
            "scanner": {"not_told": {**estimate(0.8), "classes": ["effusion"], "images": 9, "patients": 8}},
        },
        "both_streams": {"pointing_game": estimate(0.58), "gain_in_pointing": estimate(0.03)},
        "grounding_truth": "label",
        "pointing_game": {
            **estimate(0.55), "n": 12, "baseline_mean_position": estimate(0.21), "difference": estimate(0.34),
            "baseline_commonest_place": estimate(0.45), "difference_to_commonest_place": estimate(0.1),
            "chance": estimate(0.06),
            "per_class": {"Effusion": {**estimate(0.51), "baseline": 0.94, "chance": 0.02, "n": 12}},
        },
        "by_severity": {
            "mild": {"auroc": {"macro": estimate(0.66), "per_class": {"effusion": estimate(0.66)}}},
            "severe": {"auroc": {"macro": estimate(None), "per_class": {}}},
        },
        "report_truth": {
            "truth": "report", "declared": ["edema"], "too_few": {"mass": {"positives": 2, "negatives": 50}},
            **{
                figure: {
                    "macro": estimate(value),
                    "per_class": {"edema": {**estimate(value), "positives": 9, "negatives": 27}},
                }
                for figure, value in (
                    ("auroc", 0.47), ("average_precision", 0.6), ("f1", 0.5), ("accuracy", 0.81),
                    ("calibration_error", 0.1), ("brier_score", 0.1),
                )
            },
            "thresholds": {"per_class": {"edema": {"value": 0.5}}},
            "reliability": {"pooled": [], "per_class": {}},
            "subgroups": {"sex": {"F": {**estimate(0.74), "classes": ["edema"], "images": 31, "patients": 30}}},
        },
        "iou": {
            **estimate(0.3), "chance": estimate(0.07),
            "baseline_mean_mask": estimate(0.24), "difference": estimate(0.06),
        },
        "dice": {
            **estimate(0.4), "chance": estimate(0.13),
            "baseline_mean_mask": estimate(0.48), "difference": estimate(-0.08),
        },
    }  # fmt: skip
    pretrained, scratch, imagenet = (
        {"auroc": {"macro": estimate(value)}, "f1": {"macro": estimate(value / 2)}} for value in (0.8, 0.6, 0.7)
    )
    for dataset in DATASETS:
        write(root, f"metrics/inventory/{dataset}.json", listed)
        write(root, f"metrics/ingest/{dataset}.json", taken)
        write(root, f"metrics/quality/{dataset}.json", {"expectations": 14, "failed": 0})
    write(root, "metrics/zero_shot/mimic_cxr.json", diagnosis)
    nothing = {"mass": "no positive image among the 20 patients of the share"}
    share = {"patients": 20, "pretrained": pretrained, "scratch": scratch, "difference": estimate(None)}
    judged = {"test": {"images": 61, "patients": 50, "positives": {"mass": 17, "nodule": 23}}}
    tuned = {"headline": "auroc", "left_out": {"without_label": 7, "not_frontal": 0}, "images": judged}
    write(root, "metrics/finetune/rsna_classification.json",
          {**tuned, "shares": {"10_percent": {**share, "missing": nothing}}})  # fmt: skip
    masks = {"patients": 20, "pretrained": {"dice": estimate(0.64)}, "scratch": {"dice": estimate(0.32)}}
    masks = {"1_percent": {**masks, "difference": estimate(0.32), "missing": {}}}
    write(
        root,
        "metrics/finetune/rsna_segmentation.json",
        {"headline": "dice", "left_out": {}, "images": judged, "shares": masks},
    )
    third = {**share, "missing": {}, "imagenet": imagenet, "difference": estimate(0.02)}
    write(root, "metrics/finetune/rsna_third.json",
          {**tuned, "shares": {"50_percent": {**third, "difference_from_imagenet": estimate(-0.13)}}})  # fmt: skip
    (root / "comparisons").mkdir()
    write_comparison(COMPARISON, root / "comparisons")
    (root / "requirements").mkdir(exist_ok=True)
    (root / "requirements/components.lock").write_text(
        "imagecodecs==2.3.4 \\\n    --hash=sha256:0\npydicom==1.2.3 \\\n    --hash=sha256:0\n", encoding="utf-8"
    )
    write(root, "metrics/pretrain.json", {"train": {"images": 1000}, "parameters": 654321, "steps": 1400})
    write(root, "metrics/reports.json", {"reports": 1200, "studies": {"effusion": {"present": 1}}})
    write(root, "metrics/knowledge.json", {"pathologies": {"mean_pairwise_cosine": 0.1234567}})
    terms = {name: {"present": int(name == "effusion"), "absent": 1, "anatomies": []} for name in PATHOLOGIES}
    write(root, "models/pretrained/metrics.json", {"terms": terms})
    picture(root, "plots/zero_shot/mimic_cxr/roc.png")
    picture(root, "plots/pretrain/loss.png")


@pytest.fixture
def params(repository: Path) -> Params:
    content = read_yaml(repository / "params.yaml")
    content["datasets"] = {name: content["datasets"][name] for name in DATASETS}
    content["finetune"]["tasks"]["rsna_third"] = {"dataset": DATASETS[0], "kind": "classification"}
    content["register"]["gates"] = [
        {"file": "zero_shot/mimic_cxr", "figure": "auroc.macro.value", "at_least": 0.75},
        {"file": "zero_shot/mimic_cxr", "figure": "auroc.micro.value", "at_least": 0.75},
    ]
    return validate(content)


@pytest.fixture
def page(tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    fill(tmp_path)
    run(params, "")
    return (tmp_path / "model_card/index.html").read_text(encoding="utf-8")


def test_what_was_not_evaluated_is_named(page: str, params: Params) -> None:
    first, second = DATASETS
    assert f"Not evaluated on {second}: there are no figures of it." in page
    Path("metrics/zero_shot/mimic_cxr.json").unlink()
    Path("metrics/finetune/rsna_classification.json").unlink()
    run(params, "")
    again = Path("model_card/index.html").read_text(encoding="utf-8")
    assert f"Not evaluated on {first}, {second}, rsna_classification: there are no figures of it." in again


def test_of_a_model_taken_as_it_is_the_page_does_not_say_what_it_was_trained_on(page: str, params: Params) -> None:
    write(Path(), "models/pretrained/metrics.json", UNKNOWN)
    taken = params.pretrain.model_copy(update={"init": "models:/paper@champion", "train": False})
    run(params.model_copy(update={"pretrain": taken}), "")
    other = Path("model_card/index.html").read_text(encoding="utf-8")
    for text in ("1,400 steps", "pretrained on the radiographs", "It has seen no real patient", "both present and"):
        assert text in page, text
        assert text not in other, text
    for text in ("<code>models:/paper@champion</code>", "images that this page does not describe",
                 f"The findings that it answers for: {len(PATHOLOGIES)}"):  # fmt: skip
        assert text in other, text


class Elements(HTMLParser):
    """Collects the elements of a page and complains about what is not closed."""

    VOID = frozenset({"meta", "img", "br", "hr", "link", "input"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_holds_figures_with_intervals_refusals_and_gates(page: str) -> None:
    for text in ("0.83 (0.78 to 0.88)", "0.55 (0.50 to 0.60)", "0.21 (0.16 to 0.26)", "truncated 10", "654,321",
                 "too few cases", "grade mild alone: macro AUROC 0.66 (0.61 to 0.71), mean of 1 class<",
                 "mean of 2 classes, truth: what the phantom drew, moderate or worse</span>",
                 "<h4>Against what the reports say</h4>", "0.47 (0.42 to 0.52)",
                 "there is no number auroc.micro.value in it", "1 of 2", "hernia",
                 "does not get the alias champion", "ab" * 32):  # fmt: skip
        assert text in page, text
    assert page.index("effusion</th>") < page.index("alert(")  # the best class first


def test_the_summary_is_a_few_figures_of_each_evaluation(page: str, tmp_path: Path) -> None:
    rows = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "metrics/summary").iterdir()}
    zero_shot = json.loads((tmp_path / "metrics/zero_shot/mimic_cxr.json").read_text())
    finetune = json.loads((tmp_path / "metrics/finetune/rsna_classification.json").read_text())
    assert rows["zero_shot_mimic_cxr"]["auroc"] == zero_shot["auroc"]["macro"]["value"]
    assert rows["zero_shot_mimic_cxr"]["mean_position"] == zero_shot["pointing_game"]["baseline_mean_position"]["value"]
    assert rows["zero_shot_mimic_cxr"]["commonest_place"] == 0.45
    for key, share in finetune["shares"].items():
        assert (
            rows[f"finetune_rsna_classification_{key}"]["from_scratch"] == share["scratch"]["auroc"]["macro"]["value"]
        )
    assert rows["finetune_rsna_segmentation_1_percent"]["dice"] == 0.64
    assert len(rows) == len(list((tmp_path / "metrics/zero_shot").iterdir())) + len(finetune["shares"]) + 2


def test_groups_stand_beside_their_counts(page: str) -> None:
    rows = page.split('aria-label="Groups of mimic_cxr"')[1].split("</table>")[0].split("<tr>")
    women, men = (next(row for row in rows if f">{sex}</th>" in row) for sex in "FM")
    assert "0.84 (0.79 to 0.89)" in women
    assert women.endswith('<td class="number">1</td><td class="number">170</td><td class="number">110</td></tr>\n')
    assert "<td>no class has 10 positives</td>" in men
    assert next(row for row in rows if ">Scanner<" in row).count(">not told</th>") == 1


def test_every_truth_has_its_classes_groups_and_rarities(page: str) -> None:
    against = "mimic_cxr against what the reports say"
    classes = page.split(f'aria-label="Classes of {against}"')[1].split("</table>")[0]
    assert '<th scope="row">edema</th><td class="estimate">0.47 (0.42 to 0.52)</td>' in classes
    assert '<td class="number">9 of 36</td>' in classes
    assert "0.74 (0.69 to 0.79)" in page.split(f'aria-label="Groups of {against}"')[1].split("</table>")[0]
    assert "mass 2 of 52" in page


def test_a_class_has_its_threshold_or_the_reason_why_not(page: str) -> None:
    rows = page.split('aria-label="Classes of mimic_cxr"')[1].split("</table>")[0].split("<tr>")
    assert '<td class="number">0.123</td><td class="estimate">0.70' in next(row for row in rows if "effusion" in row)
    assert '<td colspan="3">too few cases</td>' in next(row for row in rows if "alert(" in row)


def test_what_was_not_asked_is_counted(page: str) -> None:
    assert "Images that it was not asked about: not frontal 21." in page
    assert "annotated but not there 0" not in page


def test_calibration_both_streams_and_what_was_never_seen_are_told(page: str) -> None:
    for text in (
        "0.12 (0.07 to 0.17)",
        "both streams together: 0.58 (0.53 to 0.63)",
        "a sentence: covid (nearest definitions: opacity, edema)",
    ):
        assert text in page, text


def test_whose_images_they_are_is_counted(page: str) -> None:
    for text in ("Sex: F 700, not told 490", "View: PA 1,190", "of 3 scanner models"):
        assert text in page, text
    assert "Collection" not in page  # no image has one


def test_what_could_not_be_kept_or_used_is_counted(page: str, tmp_path: Path) -> None:
    for text in ("Labels of its own: absent 900, not told 2, present 288", "boxes cut 4, masks empty 1",
                 "could not use: without label 7.", "hernia 1 of 91"):  # fmt: skip
        assert text in page, text
    assert "boxes outside 0" not in page
    card = json.loads((tmp_path / "model_card/card.json").read_text(encoding="utf-8"))
    assert card["archives"][0]["mended"] == {"boxes_cut": 4, "masks_empty": 1}


def test_what_chance_would_give_stands_beside_each_figure(page: str) -> None:
    chance = (40 / 300 + 30 / 300) / 2
    for text in (f"0.61 (0.56 to 0.66) ({chance:.2f} by chance)", "0.06 (0.01 to 0.11) for any pixel",
                 "a mask of the whole radiograph gets\n0.07 (0.02 to 0.12) and 0.13 (0.08 to 0.18), the mean mask",
                 "training split 0.24 (0.19 to 0.29) and\n0.48 (0.43 to 0.53), a difference of 0.06 ("):  # fmt: skip
        assert text in page, text
    row = page.split('<th scope="row">effusion</th>')[1].split("</tr>")[0]
    assert row.endswith('<td class="number">0.13</td>')


def test_fine_tuning_shows_every_start_and_figure_and_the_differences_of_the_first(page: str) -> None:
    table = page.split('aria-label="Shares of rsna_third"')[1].split("</table>")[0]
    heads = re.findall(r'<th scope="col"[^>]*>([^<]+)</th>', table)
    assert heads[:5] == ["Share of labels", "Patients", "Test images", "Positives", "Figure"]
    assert heads[5:] == ["Pretrained", "From scratch", "From ImageNet", "Difference from scratch",
                         "Difference from ImageNet"]  # fmt: skip
    auroc, f1 = (re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in table.split("<tr>")[2:])
    assert [cell[:4] for cell in auroc] == ["20", "61", "17 t", "0.80", "0.60", "0.70", "0.02", "-0.1"]
    assert '<td class="number" rowspan="2">17 to 23 in 2 classes</td>' in table
    assert auroc[-2:] == ["0.02 (-0.03 to 0.07), does not differ", "-0.13 (-0.18 to -0.08), worse"]
    assert [cell[:4] for cell in f1] == ["0.40", "0.30", "0.35", "", ""]


def test_a_figure_that_is_missing_says_why(page: str, params: Params, tmp_path: Path) -> None:
    assert "<td>no positive image among the 20 patients of the share</td>" in page
    figures = json.loads((tmp_path / "metrics/zero_shot/mimic_cxr.json").read_text(encoding="utf-8"))
    for name in ("iou", "dice"):
        figures[name] = {**estimate(None), "why": "no place in the validation split to choose the threshold by"}
    for name in ("baseline_mean_position", "difference"):
        figures["pointing_game"][name] = {**estimate(None), "why": "no training image shows where"}
    write(tmp_path, "metrics/zero_shot/mimic_cxr.json", figures)
    run(params, "")
    other = (tmp_path / "model_card/index.html").read_text(encoding="utf-8")
    assert "Intersection over union and Dice: no place in the validation split to choose the threshold by." in other
    assert "for any pixel; of a mean position, no training image shows where." in other
    assert "the mean position gets" not in other


def test_what_never_looks_and_yet_points_better_is_a_failure(page: str, params: Params) -> None:
    path = Path("metrics/zero_shot/mimic_cxr.json")
    figures = json.loads(path.read_text(encoding="utf-8"))
    figures["pointing_game"]["difference_to_commonest_place"] = estimate(-0.2)
    figures["pointing_game"]["per_class"]["Effusion"]["baseline"] = 0.55  # within the interval of 0.51
    write(Path(), str(path), figures)
    run(params, "")
    failures = Path("model_card/index.html").read_text(encoding="utf-8").split('id="failures"')[1].split("<h2")[0]
    assert "hit places less often than the commonest place of each finding does" in failures
    assert "pointed at worse than the mean position" not in failures


def test_failures_are_named_by_rule(page: str) -> None:
    failures = page.split('id="failures"')[1].split("<h2")[0]
    assert "mimic_cxr against what the reports say: not told from chance (the interval holds 0.5): edema." in failures
    assert "mimic_cxr against what the reports say: the lowest AUROC is that of edema 0.47" in failures
    assert "hit places less often than the commonest place" not in failures  # the difference is 0.1
    assert "pointed at worse than the mean position of the finding: Effusion (12 places)" in failures
    assert "mean mask of each finding does, a difference in Dice of -0.08 (-0.13 to -0.03)." in failures
    assert "too few cases for any figure (positives of all): hernia 1 of 91" in failures
    assert "10 objects gave no image: truncated 10" in failures
    worse = "the pretrained start is worse than that from ImageNet, a difference in AUROC of -0.13 (-0.18 to -0.08)"
    assert f"rsna_third, 50 % of the labels: {worse}." in failures
    assert "from scratch" not in failures


def test_what_does_not_differ_is_said_not_to(page: str) -> None:
    rows = page.split('id="comparisons"')[1].split("<h2")[0].split("<tr>")
    said = {cell: next(row for row in rows if f">{cell}</th>" in row) for cell in ("medslip", "worse", "alike")}
    assert "reference" in said["medslip"]
    assert '-0.100 (-0.140 to -0.060)</td><td class="estimate">worse' in said["worse"]
    assert "does not differ" in said["alike"]


def test_comparisons_are_said_to_be_of_other_models_and_on_what_they_were_made(page: str, tmp_path: Path) -> None:
    section = page.split('id="comparisons"')[1].split("<h2")[0]
    assert "are of other models, not of the one that this page describes" in section
    assert (
        f"Made at commit <code>{'a' * 12}</code> on mimic_cxr (1,000 synthetic studies), siim_acr (300 studies),"
        in section
    )
    card = json.loads((tmp_path / "model_card/card.json").read_text(encoding="utf-8"))
    assert "of other models" in card["comparisons_are"]
    assert card["comparisons"][0]["made_on"]["archives"]["mimic_cxr"]["synthetic"]


def test_without_comparisons_nothing_is_said_of_them(page: str, params: Params, tmp_path: Path) -> None:
    (tmp_path / "comparisons/small.json").unlink()
    run(params, "")
    assert "comparisons" not in (tmp_path / "model_card/index.html").read_text(encoding="utf-8")


def test_the_same_content_stands_in_json(page: str, tmp_path: Path) -> None:
    card = json.loads((tmp_path / "model_card/card.json").read_text(encoding="utf-8"))
    headline = card["diagnoses"][0]["headline"]
    assert headline["auroc"] == pytest.approx({"value": 0.83, "low": 0.78, "high": 0.88, "why": None})
    assert card["archives"][0]["reasons"] == {"truncated": 10}
    assert card["comparisons"][0]["rows"][1]["cell"] == "worse"
    assert card["diagnoses"][0]["pictures"][0]["title"] == "ROC curves"
    assert "base64" not in json.dumps(card)
    assert headline["reliability"] == RELIABILITY
    assert [other["truth"] for other in card["diagnoses"][0]["others"]] == ["what the reports say"]
    for sentence in (*card["intended_use"], *card["limits"], card["synthetic_data"]):
        assert sentence in page
    assert "It is not a medical device" in " ".join(card["limits"])
    assert "It is one training." in " ".join(card["limits"])
    assert set(card["environment"]) >= {"torch", "monai", "torchmetrics", "numpy", "lock file"}
    assert (card["environment"]["pydicom"], card["environment"]["imagecodecs"]) == ("1.2.3", "2.3.4")


def test_places_stand_under_their_own_truth_with_their_count(page: str, tmp_path: Path) -> None:
    section = page.split('id="zero-shot-1"')[1].split("<section")[0]
    assert "Where findings are, by the archive&#39;s own labels: 12 test places of\nEffusion." in section
    row = section.split('aria-label="Places of mimic_cxr"')[1].split('<th scope="row">Effusion</th>')[1]
    assert re.findall(r">([^<>]+)</td>", row.split("</tr>")[0]) == ["0.51 (0.46 to 0.56)", "0.94", "0.02", "12"]
    card = json.loads((tmp_path / "model_card/card.json").read_text(encoding="utf-8"))
    grounding = card["diagnoses"][0]["grounding"]
    assert (grounding["truth"], grounding["places"]) == ("the archive's own labels", 12)
    assert (grounding["rows"][0]["name"], grounding["rows"][0]["places"]) == ("Effusion", 12)


def test_few_places_are_no_headline(page: str, params: Params) -> None:
    tile = '<span class="label">Pointing game, mimic_cxr</span>'
    assert "(0.50 to 0.60) on 12 places, truth: the archive&#39;s own labels;" in page.split(tile)[1].split("</li>")[0]
    few = params.zero_shot.model_copy(update={"min_positives": 13})
    run(params.model_copy(update={"zero_shot": few}), "")
    other = Path("model_card/index.html").read_text(encoding="utf-8")
    assert tile not in other
    assert "12 test places" in other


def test_without_a_place_the_page_says_why(page: str, params: Params) -> None:
    path = Path("metrics/zero_shot/mimic_cxr.json")
    figures = json.loads(path.read_text(encoding="utf-8"))
    del figures["grounding_truth"], figures["both_streams"]
    figures |= {"pointing_game": {**NO_PLACE, "per_class": {}}, "iou": NO_PLACE, "dice": NO_PLACE}
    write(Path(), str(path), figures)
    run(params, "")
    other = Path("model_card/index.html").read_text(encoding="utf-8")
    assert "<p>Pointing game, intersection over union and Dice: no class that is evaluated has a place.</p>" in other
    assert "Where findings are" not in other


def test_the_page_needs_nothing_from_outside(page: str) -> None:
    for tag, attributes in Elements(page).found:
        assert tag not in ("script", "link", "iframe")
        for name in ("src", "href"):
            address = attributes.get(name)
            assert address is None or address.startswith(("data:image/png;base64,", "#"))
    assert "url(" not in page
    assert "@import" not in page


def test_values_are_escaped(page: str) -> None:
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page


def test_pictures_have_words_and_headings_an_order(page: str) -> None:
    elements = Elements(page).found
    pictures = [attributes for tag, attributes in elements if tag == "img"]
    assert len(pictures) == 2
    assert all(len(attributes["alt"] or "") > 20 for attributes in pictures)
    levels = [int(tag[1]) for tag, _ in elements if tag in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    identities = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(identities) == len(set(identities))
    targets = {(attributes["href"] or "")[1:] for tag, attributes in elements if tag == "a"}
    assert targets <= set(identities)


def test_synthetic_archives_are_said_to_be_synthetic(page: str, params: Params, tmp_path: Path) -> None:
    assert "Synthetic data." in page
    content = params.model_dump(mode="json", by_alias=True)
    for dataset in content["datasets"].values():
        dataset["root"] = "/archives/real"
    run(validate(content), "")
    other = (tmp_path / "model_card/index.html").read_text(encoding="utf-8")
    assert "Synthetic data." not in other
    assert "It has seen only the archives named below" in other


def test_equal_runs_give_equal_pages(page: str, params: Params, tmp_path: Path) -> None:
    run(params, "")
    assert (tmp_path / "model_card/index.html").read_text(encoding="utf-8") == page


def test_a_missing_figure_is_a_sentence(tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fill(tmp_path)
    (tmp_path / "metrics/ingest/mimic_cxr.json").unlink()
    with pytest.raises(ValueError, match=r"metrics/ingest/mimic_cxr\.json does not exist"):
        run(params, "")
    assert not (tmp_path / "model_card").exists()


@pytest.mark.parametrize("content", [{}, [], 3, {"truth": "drawn", "auroc": {"macro": {"value": "much"}}}])
@pytest.mark.parametrize("name", ["zero_shot/mimic_cxr", "ingest/mimic_cxr", "finetune/rsna_third", "pretrain"])
def test_figures_of_another_form_are_a_sentence(page: str, params: Params, name: str, content: object) -> None:
    write(Path(), f"metrics/{name}.json", content)
    with pytest.raises(ValueError, match=rf"metrics/{name}\.json is not as its stage writes it"):
        run(params, "")


def test_a_disease_that_no_dataset_was_asked_for_is_named(page: str, params: Params) -> None:
    assert "Described, but asked of no dataset" not in page
    described = {**params.zero_shot.open_vocabulary, "silicosis": "small round opacities"}
    section = params.zero_shot.model_copy(update={"open_vocabulary": described})
    run(params.model_copy(update={"zero_shot": section}), "")
    assert "Described, but asked of no dataset: " in Path("model_card/index.html").read_text(encoding="utf-8")


def test_figures_read_as_words() -> None:
    assert str(Estimate(0.5)) == "0.50"
    assert list(readable({"a_b": {"c": 1234, "d": [1, 2]}, "e": True, "f": None})) == [
        ("a b, c", "1,234"),
        ("a b, d", "1, 2"),
        ("e", "yes"),
    ]


def test_a_dataset_without_a_class_of_enough_cases_has_no_empty_table(page: str, params: Params) -> None:
    assert "Findings of grade mild alone" in page
    assert "Findings of grade severe alone" not in page
    figures = json.loads(Path("metrics/zero_shot/mimic_cxr.json").read_text(encoding="utf-8"))
    for name in ("auroc", "average_precision", "f1", "calibration_error", "brier_score"):
        for truth in (figures, figures["report_truth"]):
            truth[name] = {"macro": {"value": None, "why": "few"}, "per_class": {}}
    write(Path(), "metrics/zero_shot/mimic_cxr.json", figures)
    run(params, "")
    other = Path("model_card/index.html").read_text(encoding="utf-8")
    assert other.count("No class has enough cases for a figure.") == 2
    assert "Classes with enough cases" not in other
    assert "Macro AUROC <strong>" not in other


def test_names_of_cells_are_words() -> None:
    assert [in_words(name) for name in ("temperature_0_07", "no_positions", "crops_of_0_6")] == [
        "temperature 0.07", "no positions", "crops of 0.6"
    ]  # fmt: skip
