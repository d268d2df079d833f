"""What is kept of an object's header: a closed list of facts that identify nobody."""

import re
from dataclasses import dataclass

from pydicom.dataset import Dataset

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
AGE_UNITS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}


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
        sex=normal_sex(_text(dataset, "PatientSex")),
        age=age_in_years(_text(dataset, "PatientAge")),
        scanner=_scanner(dataset),
        pixel_spacing_mm=_spacing(dataset),
        photometric_interpretation=_text(dataset, "PhotometricInterpretation"),
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


def age_in_years(text: str | None) -> int | None:
    """Full years of a DICOM age string (PS3.5, 6.2: 058Y, 018M, 003W, 010D), or None."""
    match = re.fullmatch(r"(\d{1,3})([DWMY])", (text or "").strip().upper())
    return int(int(match[1]) * AGE_UNITS[match[2]]) if match else None


def age_band(years: int | None) -> str | None:
    """The band that an age in years falls into: 0-17, 18-39, 40-59, 60-79 or 80+."""
    if years is None or years < 0:
        return None
    return next((band for last, band in AGE_BANDS if years <= last), "80+")


def _view(dataset: Dataset) -> str:
    view = normal_view(_text(dataset, "ViewPosition"))
    codes = dataset.get("ViewCodeSequence")
    if view == "UNKNOWN" and codes:
        return VIEW_MEANINGS.get(_text(codes[0], "CodeMeaning").lower(), "UNKNOWN")
    return view


def _scanner(dataset: Dataset) -> str | None:
    words = f"{_text(dataset, 'Manufacturer')} {_text(dataset, 'ManufacturerModelName')}".split()
    return " ".join(words)[:64] or None


def _spacing(dataset: Dataset) -> float | None:
    """Millimetres between rows: Pixel Spacing, else Imager Pixel Spacing (PS3.3, 10.7.1.1 and C.8.11.5)."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        try:
            spacing = float(dataset.get(keyword)[0])
        except (TypeError, ValueError, IndexError):
            continue
        if 0 < spacing < 100:
            return spacing
    return None


def _text(dataset: Dataset, keyword: str) -> str:
    try:
        value = dataset.get(keyword)
    except (ValueError, TypeError, NotImplementedError):
        return ""
    return "" if value is None else str(value).strip()
