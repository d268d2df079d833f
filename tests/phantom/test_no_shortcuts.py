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
from components.phantom import mimic_cxr, rsna_pneumonia
from components.phantom.archive import PlannedImage
from components.phantom.study import DEVICES, OCCURRENCES

STUDIES = 1500


@pytest.fixture(scope="module")
def planned(repository: Path) -> dict[str, list[PlannedImage]]:
    content = yaml.safe_load((repository / "params.yaml").read_text(encoding="utf-8"))
    content["phantom"]["studies"] = {"mimic_cxr": STUDIES, "rsna_pneumonia": STUDIES}
    settings = validate(content).phantom
    folder = Path("unused")
    return {
        "mimic_cxr": [
            image
            for job in mimic_cxr.plan("mimic_cxr", folder, settings)
            for study in mimic_cxr.planned_images(job)
            for image in study
        ],
        "rsna_pneumonia": [
            rsna_pneumonia.planned_image(job) for job in rsna_pneumonia.plan("rsna_pneumonia", folder, settings)
        ],
    }


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
@pytest.mark.parametrize("layout", ["mimic_cxr", "rsna_pneumonia"])
def test_headers_and_tables_tell_no_finding(planned: dict[str, list[PlannedImage]], layout: str) -> None:
    found = aurocs(planned[layout], SEEN_BY_NOTHING, columns_of(planned[layout]))
    assert abs(np.mean(list(found.values())) - 0.5) < 0.04, found
    assert max(found.values()) < 0.64, found


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
