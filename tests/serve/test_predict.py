"""One radiograph in, findings, places and an overlay out."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydicom import uid

from components.core.dicom import render
from components.core.model import load, save
from components.core.model.config import Mends
from components.core.model.medslip import MedSLIP
from components.core.model.terms import UNKNOWN
from components.core.records.letterbox import Letterbox
from components.core.records.whole import write_json
from components.core.vocabulary import ANATOMIES, PATHOLOGIES, PATHOLOGY_INDEX
from components.serve.findings import box_of, source_map
from components.serve.predict import predict
from tests.dicom_files import IDENTIFIERS, chest, radiograph
from tests.small_model import SIZE, TEXT_WIDTH, config

SEEN = {"effusion": ["left_pleural", "right_pleural", "unspecified"], "edema": []}
ROWS, COLUMNS = 120, 90


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that saw two findings, and a place for one of them."""
    folder = tmp_path_factory.mktemp("models") / "pretrained"
    folder.mkdir()
    torch.manual_seed(5)
    books = torch.randn(len(PATHOLOGIES), TEXT_WIDTH), torch.randn(len(ANATOMIES), TEXT_WIDTH)
    save(MedSLIP(config(Mends()), *books), folder)
    nothing = {"present": 0, "absent": 3, "anatomies": []}
    terms = dict.fromkeys(PATHOLOGIES, nothing)
    terms |= {name: {"present": 2, "absent": 3, "anatomies": places} for name, places in SEEN.items()}
    (folder / "metrics.json").write_text(json.dumps({"terms": terms}))
    return folder


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.dcm"
    path.write_bytes(radiograph(chest(ROWS, COLUMNS), 12, uid.ExplicitVRLittleEndian))
    return path


def told(out: Path) -> dict:
    return json.loads((out / "findings.json").read_text(encoding="utf-8"))


def test_a_model_whose_training_is_unknown_answers_for_everything(model: Path, image: Path, tmp_path: Path) -> None:
    published = tmp_path / "published"
    shutil.copytree(model, published)
    write_json(published / "metrics.json", UNKNOWN)
    predict(image, published, tmp_path / "out", 0, 0.5, ())
    found = {row["pathology"]: row["anatomy"] for row in told(tmp_path / "out")["findings"]}
    assert set(found) == set(PATHOLOGIES)
    assert set(found.values()) <= set(ANATOMIES) - {"unspecified", "other"}


def test_probabilities_are_those_of_the_image_as_ingest_makes_it(model: Path, image: Path, tmp_path: Path) -> None:
    predict(image, model, tmp_path / "out", 0, 0.5, ())
    small_SS = render(image.read_bytes(), SIZE, 0, (0.5, 99.5)).image_SS
    with torch.inference_mode():
        presence_P = load(model)(torch.from_numpy(small_SS)[None, None]).presence_BP[0]
    found = {row["pathology"]: row for row in told(tmp_path / "out")["findings"]}
    assert set(found) == set(SEEN)
    for name, row in found.items():
        assert row["probability"] == pytest.approx(float(presence_P[PATHOLOGY_INDEX[name]]), abs=1e-6)
    probabilities = [row["probability"] for row in told(tmp_path / "out")["findings"]]
    assert probabilities == sorted(probabilities, reverse=True)


def test_only_places_that_the_training_saw_are_named(model: Path, image: Path, tmp_path: Path) -> None:
    predict(image, model, tmp_path / "out", 0, 0.5, ())
    found = {row["pathology"]: row for row in told(tmp_path / "out")["findings"]}
    assert found["effusion"]["anatomy"] in {"left_pleural", "right_pleural"}
    assert 0 <= found["effusion"]["anatomy_probability"] <= 1
    assert (found["edema"]["anatomy"], found["edema"]["anatomy_probability"]) == (None, None)


def test_the_overlay_lies_on_the_source_s_pixels(model: Path, image: Path, tmp_path: Path) -> None:
    predict(image, model, tmp_path / "out", 0, 1.0, ())
    with Image.open(tmp_path / "out" / "overlay.png") as overlay:
        assert overlay.size == (COLUMNS, ROWS)
        shown_HW3 = np.asarray(overlay)
    plain = render(image.read_bytes(), ROWS, 0, (0.5, 99.5))
    expected_HW = plain.letterbox.inside(plain.image_SS)
    below = ROWS * 2 // 3  # the legend stands above
    assert (shown_HW3[below:] == expected_HW[below:, :, None]).all()
    box = next(row["box"] for row in told(tmp_path / "out")["findings"] if row["box"])
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= COLUMNS
    assert box["y"] + box["height"] <= ROWS


def test_the_same_pixels_however_they_are_stored_give_the_same_answer(model: Path, tmp_path: Path) -> None:
    """White and black turned over twice, and pixels that are no squares: they are taken as they lie in the file."""
    pixels, window = chest(ROWS, COLUMNS), {"WindowCenter": 2048, "WindowWidth": 3000}
    files = {
        "plain": radiograph(pixels, **window),
        "turned": radiograph(4095 - pixels, PhotometricInterpretation="MONOCHROME1", **window),
        "flat": radiograph(pixels, ImagerPixelSpacing=[0.2, 0.4], **window),
    }
    for name, content in files.items():
        (tmp_path / f"{name}.dcm").write_bytes(content)
        predict(tmp_path / f"{name}.dcm", model, tmp_path / name, 0, 1.0, ())
    for name in ("turned", "flat"):
        assert told(tmp_path / name) == told(tmp_path / "plain")
        pictures = [(tmp_path / folder / "overlay.png").read_bytes() for folder in (name, "plain")]
        assert pictures[0] == pictures[1]


@pytest.mark.parametrize(("rows", "columns"), [(400, 300), (300, 400), (64, 64)])
def test_a_place_comes_back_from_the_letterbox(rows: int, columns: int) -> None:
    """A bright patch of the model's map lies where it was in the source, to within a patch."""
    letterbox = Letterbox.of(rows, columns, 64)
    map_hw = np.zeros((16, 16), np.float32)
    map_hw[5:7, 8:10] = 1
    x, y, width, height = box_of(source_map(map_hw, letterbox)) or (0, 0, 0, 0)
    scale = max(rows, columns) / 64
    left, top = (4 * 8 - letterbox.left) * scale, (4 * 5 - letterbox.top) * scale
    assert (x, y) == pytest.approx((left, top), abs=2 * scale)
    assert (width, height) == pytest.approx((8 * scale, 8 * scale), abs=2 * scale)


def test_a_map_that_is_flat_has_no_box() -> None:
    assert box_of(source_map(np.ones((4, 4), np.float32), Letterbox.of(50, 40, 64))) is None


def test_pictures_and_registered_models_are_taken_too(model: Path, tmp_path: Path) -> None:
    picture = tmp_path / "chest.png"
    Image.fromarray((chest(ROWS, COLUMNS) >> 4).astype(np.uint8)).save(picture)
    registered = tmp_path / "registered"
    (registered / "artifacts").mkdir(parents=True)
    (registered / "MLmodel").touch()
    (registered / "artifacts" / "pretrained").symlink_to(model)
    predict(picture, registered, tmp_path / "out", 0, 0.5, ())
    assert told(tmp_path / "out")["image"]["rows"] == ROWS
    predict(picture, model, tmp_path / "out", 0, 0.5, ())  # a second prediction takes the first one's place
    (registered / "artifacts" / "pretrained").unlink()
    with pytest.raises(ValueError, match="not one that this project registered"):
        predict(picture, registered, tmp_path / "out", 0, 0.5, ())


def test_nobody_is_named(model: Path, image: Path, tmp_path: Path) -> None:
    predict(image, model, tmp_path / "out", 0, 0.0, ())
    for path in (tmp_path / "out").iterdir():
        content = path.read_bytes()
        assert not [word for word in IDENTIFIERS if word.encode() in content]


def test_what_is_no_frontal_chest_radiograph_is_refused(model: Path, image: Path, tmp_path: Path) -> None:
    whole = radiograph(chest(ROWS, COLUMNS), 12, uid.JPEGLSLossless)
    cases = {
        "lateral.dcm": (radiograph(chest(), 12, uid.ExplicitVRLittleEndian, ViewPosition="LL"), "frontal views only"),
        "oblique.dcm": (radiograph(chest(), 12, uid.ExplicitVRLittleEndian, ViewPosition="RAO"), "frontal views only"),
        "tiny.dcm": (radiograph(chest(20, 70), 12, uid.ExplicitVRLittleEndian), "has 20 x 70 pixels: at least 64 x 64"),
        "knee.dcm": (
            radiograph(chest(ROWS, COLUMNS), 12, uid.ExplicitVRLittleEndian, BodyPartExamined="KNEE"),
            "body_part",
        ),
        "frames.dcm": (
            radiograph(np.vstack([chest(ROWS, COLUMNS)] * 2), Rows=ROWS, NumberOfFrames=2),
            r"refused \(multi_frame\): the object holds 2 frames: a radiograph is one",
        ),
        "cut.dcm": (whole[: len(whole) // 2], "refused"),
        "words.txt": (b"no image", "a DICOM, PNG or JPEG file is wanted"),
        "empty.dcm": (b"", "refused"),
    }
    for name, (content, reason) in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ValueError, match=reason):
            predict(path, model, tmp_path / "out", 0, 0.5, ())
    predict(tmp_path / "knee.dcm", model, tmp_path / "out", 0, 0.5, ("body_part",))


def test_arguments_that_are_not_allowed(model: Path, image: Path, tmp_path: Path) -> None:
    holds = tmp_path / "holds"
    holds.mkdir()
    (holds / "thesis.txt").touch()
    for arguments, reason in (
        ((image, model, tmp_path / "out", 0, 1.5, ()), "from 0 to 1"),
        ((image, model, tmp_path / "out", 0, float("nan"), ()), "from 0 to 1"),
        ((image, model, tmp_path / "out", -1, 0.5, ()), "0 or more"),
        ((image, model, holds, 0, 0.5, ()), "would be lost"),
        ((tmp_path, model, tmp_path / "out", 0, 0.5, ()), "is not a file"),
        ((image, tmp_path / "nowhere", tmp_path / "out", 0, 0.5, ()), "does not exist"),
    ):
        with pytest.raises(ValueError, match=reason):
            predict(*arguments)
    assert (holds / "thesis.txt").exists()
    for name, make in (
        ("link", lambda path: path.symlink_to(holds)),
        ("folder", lambda path: (path / "overlay.png").mkdir(parents=True)),
        ("picture", lambda path: (path.mkdir(), (path / "overlay.png").touch())),
        ("foreign", lambda path: (path.mkdir(), (path / "findings.json").write_text("{}"))),
    ):
        make(tmp_path / name)
        with pytest.raises(ValueError, match=r"would be lost|is a link"):
            predict(image, model, tmp_path / name, 0, 0.5, ())
    assert not (tmp_path / "out").exists()


def test_the_command_line(model: Path, image: Path, tmp_path: Path, repository: Path) -> None:
    command = [sys.executable, "-m", "components.serve", "predict", "--model", str(model), "--out", str(tmp_path / "o")]
    refused = subprocess.run([*command, str(tmp_path / "no.dcm")], cwd=repository, capture_output=True, text=True)
    assert refused.returncode == 2
    assert refused.stderr.splitlines() == [f"error: {tmp_path / 'no.dcm'} is not a file"]
    assert subprocess.run([*command, str(image)], cwd=repository, capture_output=True).returncode == 0
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == ["findings.json", "overlay.png"]
