"""What is kept of a header, and in which words."""

from typing import Any

import pytest
from pydicom.dataset import Dataset

from components.core.dicom.header import age_band, age_in_years, header_facts, normal_sex, normal_view
from components.core.dicom.pixels import read_object
from tests.dicom_files import chest, radiograph


@pytest.mark.parametrize(
    ("word", "view"),
    [
        ("PA", "PA"),
        ("ap", "AP"),
        ("AP AXIAL", "AP"),
        ("PA LLD", "PA"),
        ("LL", "LATERAL"),
        ("RL", "LATERAL"),
        ("LATERAL", "LATERAL"),
        ("XTABLE LATERAL", "LATERAL"),
        ("Lat.", "LATERAL"),
        ("PA/LAT", "LATERAL"),
        ("PA\\LAT", "LATERAL"),
        ("LAO", "OBLIQUE"),
        ("AP OBLIQUE", "OBLIQUE"),
        ("SWIMMERS", "LATERAL"),
        ("", "UNKNOWN"),
        (None, "UNKNOWN"),
        ("Planted^Henrietta", "UNKNOWN"),
    ],
)
def test_views(word: str | None, view: str) -> None:
    assert normal_view(word) == view


@pytest.mark.parametrize(
    ("word", "years"),
    [
        ("058Y", 58),
        ("084M", 7),
        ("011M", 0),
        ("104W", 1),
        ("730D", 1),
        ("003D", 0),
        ("58", None),
        ("", None),
        ("Y", None),
    ],
)
def test_ages(word: str, years: int | None) -> None:
    assert age_in_years(word) == years


@pytest.mark.parametrize(
    ("years", "band"),
    [(0, "0-17"), (17, "0-17"), (18, "18-39"), (59, "40-59"), (60, "60-79"), (80, "80+"), (97, "80+"), (None, None)],
)
def test_age_bands(years: int | None, band: str | None) -> None:
    assert age_band(years) == band


@pytest.mark.parametrize(("word", "sex"), [("F", "F"), ("m", "M"), ("O", None), ("", None), (None, None)])
def test_sexes(word: str | None, sex: str | None) -> None:
    assert normal_sex(word) == sex


def facts(**elements: Any) -> Any:
    return header_facts(read_object(radiograph(chest(), **elements)))


def test_the_facts_of_a_header() -> None:
    found = facts()
    assert (found.view, found.sex, found.age, found.scanner) == ("PA", "F", 58, "Acme Ray 3")
    assert found.pixel_spacing_mm == pytest.approx(0.2)
    assert found.photometric_interpretation == "MONOCHROME2"


def test_spacing_at_the_patient_comes_before_spacing_at_the_detector() -> None:
    assert facts(PixelSpacing=[0.15, 0.15]).pixel_spacing_mm == pytest.approx(0.15)
    assert facts(ImagerPixelSpacing=None).pixel_spacing_mm is None
    assert facts(ImagerPixelSpacing=[0, 0]).pixel_spacing_mm is None


def test_the_view_may_stand_in_a_code() -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "399348003", "SCT", "antero-posterior"
    assert facts(ViewPosition="", ViewCodeSequence=[code]).view == "AP"
    code.CodeValue, code.CodeMeaning = "399067008", "lateral projection"
    assert facts(ViewPosition="", ViewCodeSequence=[code]).view == "LATERAL"


def test_missing_and_malformed_elements_are_unknown() -> None:
    found = facts(ViewPosition=None, PatientSex=None, PatientAge=None, Manufacturer=None, ManufacturerModelName=None)
    assert (found.view, found.sex, found.age, found.scanner) == ("UNKNOWN", None, None, None)
