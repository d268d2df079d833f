"""The phantom's DICOM files: what was exposed is what is decoded, whatever the unit and the transfer syntax."""

import io

import cv2
import numpy as np
import pydicom
import pytest

from components.core.dicom import render
from components.core.dicom.pixels import stored_pixels
from components.core.params import PhantomLayout
from components.phantom.dicom_writer import TRANSFER_SYNTAX, Shot, write_dicom
from components.phantom.identity import sample_person, sample_visit
from components.phantom.scanner import Codec, Scanner, choose_scanner, expose, scanners

UNITS: list[tuple[PhantomLayout, Scanner, Codec]] = [
    (layout, unit, codec)
    for layout in ("mimic_cxr", "rsna_pneumonia")
    for unit in scanners(layout)  # type: ignore[arg-type]
    for codec in unit.codecs
]
IDENTIFYING = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientAddress", "OtherPatientIDs", "AccessionNumber", "StudyDate",
    "StudyTime", "InstitutionName", "ReferringPhysicianName", "OperatorsName", "StudyInstanceUID", "PatientComments",
)  # fmt: skip


def chest() -> np.ndarray:
    rng = np.random.default_rng(3)
    noise_HW = cv2.GaussianBlur(rng.normal(0, 1, (150, 131)).astype(np.float32), (0, 0), 12)
    return np.clip(0.5 + noise_HW / noise_HW.std() / 5, 0, 1).astype(np.float32)


def shot_of(layout: PhantomLayout, unit: Scanner, codec: Codec) -> Shot:
    rng = np.random.default_rng(5)
    person = sample_person(rng, "F", 54)
    visit = sample_visit(rng, layout, person, 1)
    return Shot(person, visit, unit, codec, unit.views[0], "10000032", "50414267", "one-two", 1)


def name(value: object) -> str:
    return value.model.replace(" ", "-") if isinstance(value, Scanner) else str(value)


@pytest.mark.parametrize(("layout", "unit", "codec"), UNITS, ids=name)
def test_the_stored_values_come_back(layout: PhantomLayout, unit: Scanner, codec: Codec) -> None:
    content = write_dicom(chest(), shot_of(layout, unit, codec), np.random.default_rng(9))
    dataset = pydicom.dcmread(io.BytesIO(content))
    assert dataset.file_meta.TransferSyntaxUID == TRANSFER_SYNTAX[codec]
    stored = stored_pixels(dataset)
    decoded_HW = stored.values[stored.field(stored.raw_HW)]
    difference = np.abs(decoded_HW - expose(chest(), unit, np.random.default_rng(9)).astype(int))
    assert difference.max() <= (20 if codec == "jpeg" else 0)
    assert difference.mean() < 2
    np.testing.assert_array_equal(dataset.pixel_array, decoded_HW)


@pytest.mark.parametrize(("layout", "unit", "codec"), UNITS, ids=name)
def test_dense_tissue_is_bright_once_ingested(layout: PhantomLayout, unit: Scanner, codec: Codec) -> None:
    content = write_dicom(chest(), shot_of(layout, unit, codec), np.random.default_rng(9))
    seen_SS = render(content, 160, 0, (0.5, 99.5)).image_SS
    expected = cv2.resize(chest(), (140, 160), interpolation=cv2.INTER_AREA)
    margin = (160 - 140) // 2
    assert np.corrcoef(expected.ravel(), seen_SS[:, margin : margin + 140].ravel())[0, 1] > 0.97


@pytest.mark.parametrize(("layout", "unit", "codec"), UNITS, ids=name)
def test_the_header_identifies_and_equal_seeds_give_equal_bytes(
    layout: PhantomLayout, unit: Scanner, codec: Codec
) -> None:
    shot = shot_of(layout, unit, codec)
    content = write_dicom(chest(), shot, np.random.default_rng(9))
    assert content == write_dicom(chest(), shot, np.random.default_rng(9))
    assert content != write_dicom(chest(), shot, np.random.default_rng(10))
    dataset = pydicom.dcmread(io.BytesIO(content))
    assert all(str(dataset.get(keyword, "")) for keyword in IDENTIFYING)
    assert shot.person.name.replace("^", " ").encode() in content  # in a private element too
    assert dataset.Manufacturer == unit.manufacturer
    assert (dataset.BitsStored, dataset.PhotometricInterpretation) == (unit.stored.bits, unit.stored.photometric)


def test_the_units_cover_what_scanners_do() -> None:
    written = [
        pydicom.dcmread(io.BytesIO(write_dicom(chest(), shot_of(*unit), np.random.default_rng(seed))))
        for unit in UNITS
        for seed in range(2)
        if unit[0] == "mimic_cxr"
    ]
    assert {item.Modality for item in written} == {"CR", "DX"}
    assert {item.PhotometricInterpretation for item in written} == {"MONOCHROME1", "MONOCHROME2"}
    assert {item.BitsStored for item in written} == {10, 12, 14, 16}
    assert {item.PixelRepresentation for item in written} == {0, 1}
    windows = {type(item.get("WindowCenter")).__name__ for item in written}
    assert {"DSfloat", "MultiValue", "NoneType"} <= windows
    assert any("VOILUTSequence" in item for item in written)
    assert any(item.get("VOILUTFunction") == "SIGMOID" for item in written)
    assert any("RescaleSlope" in item for item in written)
    assert any("PixelSpacing" in item for item in written)
    assert any("ImagerPixelSpacing" in item and "PixelSpacing" not in item for item in written)


def test_a_unit_is_chosen_by_view_alone() -> None:
    rng = np.random.default_rng(1)
    chosen = [choose_scanner("mimic_cxr", view, rng)[0] for view in ("PA",) * 200 + ("AP",) * 200]
    assert {unit.model for unit in chosen[:200]} == {unit.model for unit in scanners("mimic_cxr") if "PA" in unit.views}
    assert {unit.model for unit in chosen[200:]} == {unit.model for unit in scanners("mimic_cxr")}


def test_archives_share_no_unit() -> None:
    one, other = ({unit.manufacturer for unit in scanners(layout)} for layout in ("mimic_cxr", "rsna_pneumonia"))
    assert not one & other
