"""Nothing but the pixels tells a finding: what stands in headers and tables predicts no pathology."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict

from components.core.params import validate
from components.phantom import covidx_cxr4, mimic_cxr, nih_cxr14, rsna_pneumonia, siim_acr
from components.phantom.archive import PlannedImage
from components.phantom.study import DEVICES, OCCURRENCES

STUDIES = 1500


@pytest.fixture(scope="module")
def planned(repository: Path) -> dict[str, list[PlannedImage]]:
    content = yaml.safe_load((repository / "params.yaml").read_text(encoding="utf-8"))
    content["phantom"]["studies"] = dict.fromkeys(content["phantom"]["studies"], STUDIES)
    settings = validate(content).phantom
    folder = Path("unused")
    return {
        "mimic_cxr": [
            image
            for job in mimic_cxr.plan("mimic_cxr", folder, settings)
            for study in mimic_cxr.planned_images(job)
            for image in study
        ],
        "nih_cxr14": [
            image
            for job in nih_cxr14.plan("nih_cxr14", folder, settings)
            for image in nih_cxr14.planned_images(job)
        ],
        **{
            name: [layout.planned_image(job) for job in layout.plan(name, folder, settings)]
            for name, layout in (
                ("rsna_pneumonia", rsna_pneumonia), ("siim_acr", siim_acr), ("covidx_cxr4", covidx_cxr4)
            )
        },
    }  # fmt: skip


def columns_of(images: list[PlannedImage]) -> pd.DataFrame:
    """What the manifest keeps of each image, as numbers."""
    facts = pd.DataFrame(
        {
            "view": image.shot.view,
            "sex": image.shot.person.sex,
            "age": image.shot.visit.age,
            "scanner": f"{image.shot.unit.manufacturer} {image.shot.unit.model}",
            "rows": image.height,
            "columns": image.width,
            "spacing": image.shot.unit.field_mm / image.height,
            "codec": image.shot.codec,
            "photometric": image.shot.unit.stored.photometric,
            "number": image.shot.number,
        }
        for image in images
    )
    return pd.get_dummies(facts).astype(float)


def auroc(facts: pd.DataFrame, truth: np.ndarray, patients: list[str]) -> float:
    forest = RandomForestClassifier(60, min_samples_leaf=10, random_state=0)
    scores = cross_val_predict(forest, facts, truth, groups=patients, cv=GroupKFold(4), method="predict_proba")
    return float(roc_auc_score(truth, scores[:, 1]))


def aurocs(images: list[PlannedImage], pathologies: list[str], facts: pd.DataFrame) -> dict[str, float]:
    patients = [image.shot.patient_id for image in images]
    truths = {
        name: np.array([name in {finding.pathology for finding in image.study.findings} for image in images])
        for name in pathologies
    }
    return {name: auroc(facts, truth, patients) for name, truth in truths.items()}


SEEN_BY_NOTHING = [name for name in OCCURRENCES if name not in DEVICES][::2]


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["mimic_cxr", "rsna_pneumonia", "nih_cxr14", "siim_acr"])
def test_headers_and_tables_tell_no_finding(planned: dict[str, list[PlannedImage]], layout: str) -> None:
    asked = [name for name in SEEN_BY_NOTHING if layout != "nih_cxr14" or name in nih_cxr14.CLASSES]
    if layout == "siim_acr":
        asked = [siim_acr.PNEUMOTHORAX, *asked[:2]]
    found = aurocs(planned[layout], asked, columns_of(planned[layout]))
    assert abs(np.mean(list(found.values())) - 0.5) < 0.04, found
    assert max(found.values()) < 0.64, found


@pytest.mark.parametrize("origin", [name for name, share in covidx_cxr4.POSITIVES.items() if 0 < share < 1])
def test_within_a_collection_nothing_but_the_image_tells_covid(
    planned: dict[str, list[PlannedImage]], origin: str
) -> None:
    """Two published collections hold one class only: across collections the scanner tells the class, as in life."""
    images = [image for image in planned["covidx_cxr4"] if image.shot.patient_id.startswith(f"{origin}/")]
    facts = columns_of(images)
    facts["test"] = [float(image.shot.image_id.startswith("test/")) for image in images]
    facts["findings"] = [
        float(sum(one.pathology != covidx_cxr4.COVID for one in image.study.findings)) for image in images
    ]
    assert abs(aurocs(images, [covidx_cxr4.COVID], facts)[covidx_cxr4.COVID] - 0.5) < 0.09


def test_a_leak_would_be_found(planned: dict[str, list[PlannedImage]]) -> None:
    images = planned["mimic_cxr"]
    facts = columns_of(images)
    leaky = np.array(["effusion" in {finding.pathology for finding in image.study.findings} for image in images])
    flipped = np.random.default_rng(0).random(len(images)) < 0.2
    facts["rows"] += 40 * (leaky ^ flipped)
    assert aurocs(images, ["effusion"], facts)["effusion"] > 0.62


def test_devices_follow_the_view_at_the_declared_rate_only(planned: dict[str, list[PlannedImage]]) -> None:
    rate = {
        view: np.mean([
            sum(finding.pathology in DEVICES for finding in image.study.findings)
            for image in planned["mimic_cxr"]
            if image.study.view == view
        ])
        for view in ("PA", "AP")
    }  # fmt: skip
    assert 1.0 < rate["AP"] / rate["PA"] < 1.7


def test_the_proportions_are_the_declared_ones(planned: dict[str, list[PlannedImage]], repository: Path) -> None:
    images = planned["mimic_cxr"]
    assert len({image.shot.study_id for image in images}) == STUDIES
    assert len(images) / STUDIES == pytest.approx(1 + mimic_cxr.SECOND_IMAGE, abs=0.03)
    opacity = np.mean([
        bool(rsna_pneumonia.OPACITIES & {finding.pathology for finding in image.study.findings})
        for image in planned["rsna_pneumonia"]
    ])  # fmt: skip
    assert opacity == pytest.approx(rsna_pneumonia.OPACITY_SHARE, abs=0.05)
