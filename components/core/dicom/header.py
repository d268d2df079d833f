"""What is kept of an object's header: a closed list of facts that identify nobody."""

import re
from dataclasses import dataclass

from pydicom.dataset import Dataset

from components.core.dicom.elements import numbers, optional, text

LATERAL_WORDS = {"LATERAL", "LAT", "LL", "RL", "LLAT", "RLAT"}
# Meanings of the view codes (PS3.16, CID 4010) that radiographs of the chest carry.
VIEW_MEANINGS = {
    "postero-anterior": "PA",
    "antero-posterior": "AP",
    "lateral": "LATERAL",
    "left lateral": "LATERAL",
    "right lateral": "LATERAL",
}
AGE_BANDS = ((17, "0-17"), (39, "18-39"), (59, "40-59"), (79, "60-79"))
PER_YEAR = {"D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0}


@dataclass(frozen=True)
class HeaderFacts:
    """The facts. Attributes: as the columns of records.tables.MANIFEST; `age` in years."""

    view: str
    sex: str | None
    age: int | None
    scanner: str | None
    pixel_spacing_mm: float | None
    photometric_interpretation: str


def header_facts(dataset: Dataset) -> HeaderFacts:
    """The facts of an object; what is missing or malformed is None, a view that is not known UNKNOWN."""
    return HeaderFacts(
        view=_view(dataset),
        sex=normal_sex(text(dataset, "PatientSex")),
        age=age_in_years(text(dataset, "PatientAge")),
        scanner=_scanner(dataset),
        pixel_spacing_mm=_spacing(dataset),
        photometric_interpretation=text(dataset, "PhotometricInterpretation"),
    )


def normal_view(word: str | None) -> str:
    """A view position as an archive or a header writes it → PA, AP, LATERAL or UNKNOWN."""
    words = (word or "").upper().replace("-", " ").split()
    if words and words[0] in ("PA", "AP"):
        return words[0]
    return "LATERAL" if LATERAL_WORDS.intersection(words) else "UNKNOWN"


def normal_sex(word: str | None) -> str | None:
    """F, M, or None for anything else."""
    first = (word or "").strip().upper()
    return {"F": "F", "FEMALE": "F", "M": "M", "MALE": "M"}.get(first)


def age_in_years(word: str | None) -> int | None:
    """Full years of a DICOM age string (PS3.5, 6.2: 058Y, 018M, 003W, 010D), or None."""
    match = re.fullmatch(r"(\d{1,3})([DWMY])", (word or "").strip().upper())
    return int(int(match[1]) / PER_YEAR[match[2]]) if match else None


def age_band(years: int | None) -> str | None:
    """The band that an age in years falls into: 0-17, 18-39, 40-59, 60-79 or 80+."""
    if years is None or years < 0:
        return None
    return next((band for last, band in AGE_BANDS if years <= last), "80+")


def _view(dataset: Dataset) -> str:
    view = normal_view(text(dataset, "ViewPosition"))
    codes = optional(dataset, "ViewCodeSequence")
    if view == "UNKNOWN" and codes:
        return VIEW_MEANINGS.get(text(codes[0], "CodeMeaning").lower(), "UNKNOWN")
    return view


def _scanner(dataset: Dataset) -> str | None:
    words = f"{text(dataset, 'Manufacturer')} {text(dataset, 'ManufacturerModelName')}".split()
    return " ".join(words)[:64] or None


def _spacing(dataset: Dataset) -> float | None:
    """Millimetres between rows: Pixel Spacing, else Imager Pixel Spacing (PS3.3, 10.7.1.1 and C.8.11.5)."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        spacing = next(iter(numbers(dataset, keyword)), None)
        if spacing is not None and 0 < spacing < 100:
            return spacing
    return None
