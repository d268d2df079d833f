"""What is kept of an object's header: a closed list of facts that identify nobody."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from pydicom.dataset import Dataset

from components.core.dicom.elements import items, numbers, text
from components.core.dicom.refusal import Objection, Refused

LATERAL_WORDS = {"LATERAL", "LAT", "LL", "RL", "LLAT", "RLAT", "SWIMMERS"}
OBLIQUE_WORDS = {"OBLIQUE", "OBL", "LAO", "RAO", "LPO", "RPO"}
# Meanings of the view codes (PS3.16, CID 4010) that radiographs of the chest carry.
VIEW_MEANINGS = {
    "postero-anterior": "PA",
    "antero-posterior": "AP",
    "lateral": "LATERAL",
    "lateral projection": "LATERAL",
    "left lateral": "LATERAL",
    "right lateral": "LATERAL",
    "left anterior oblique": "OBLIQUE",
    "left posterior oblique": "OBLIQUE",
    "right anterior oblique": "OBLIQUE",
    "right posterior oblique": "OBLIQUE",
}
# The standard's words for what is no plain radiograph (PS3.3, C.7.3.1.1.1); others, and none, say nothing against it.
OTHER_MODALITIES_WORDS = """
    AR ASMT AU BDUS BI BMD CT CTPROTOCOL DG DOC DSS ECG EOG EPS ES FID GM HC HD IO IOL IVOCT IVUS KER KO LEN LS MG
    MR NM OAM OCT OP OPM OPT OPTBSV OPTENF OPV OSS PLAN PR PT PX REG RESP RF RTDOSE RTIMAGE RTPLAN RTRECORD RTSTRUCT
    RWV SEG SM SMR SR SRF STAIN TEXTUREMAP TG US VA XA XC
"""
OTHER_MODALITIES = frozenset(OTHER_MODALITIES_WORDS.split())
# The standard's words for parts of the body that no chest radiograph is of (PS3.16, Annex L), letters only.
OTHER_BODY_PARTS_WORDS = """
    ABDOMEN ABDOMENPELVIS ANKLE ARM BLADDER BRAIN BREAST BUTTOCK CALCANEUS CALF CERVICALSPINE CHEEK COCCYX COLON
    CSPINE CTSPINE ELBOW EXTREMITY EYE FACE FINGER FOOT FOREARM GALLBLADDER HAND HEAD HEADNECK HIP HUMERUS JAW KIDNEY
    KNEE LARYNX LEG LSPINE LSSPINE LUMBARSPINE MANDIBLE MAXILLA NECK NOSE ORBIT PANCREAS PAROTID PATELLA PELVIS PENIS
    PROSTATE RECTUM SACRUM SCALP SCROTUM SKULL SINUS SPINE SSPINE TESTIS THIGH THORACICSPINE THUMB TIBIA TLSPINE TOE
    TONGUE TSPINE UTERUS VAGINA WRIST ZYGOMA
"""
OTHER_BODY_PARTS = frozenset(OTHER_BODY_PARTS_WORDS.split())
BURNED_IN = frozenset(("YES", "Y", "TRUE"))  # the standard has YES alone
AGE_BANDS = ((17, "0-17"), (39, "18-39"), (59, "40-59"), (79, "60-79"))
PER_YEAR = {"D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0}


@dataclass(frozen=True)
class HeaderFacts:
    """The facts.

    Attributes:
        instance, scanner: the SOP Instance UID, and manufacturer and model: free text, which only a pseudonym of may
            be kept; None where the object has none.
        view, sex, pixel_spacing_mm, photometric_interpretation: as the columns of records.tables.MANIFEST.
        age: in years.
    """

    instance: str | None
    view: str
    sex: str | None
    age: int | None
    scanner: str | None
    pixel_spacing_mm: float | None
    photometric_interpretation: str


def header_facts(dataset: Dataset) -> HeaderFacts:
    """The facts of an object; what is missing or malformed is None, a view that is not known UNKNOWN."""
    return HeaderFacts(
        instance=text(dataset, "SOPInstanceUID") or None,
        view=_view(dataset),
        sex=normal_sex(text(dataset, "PatientSex")),
        age=age_in_years(text(dataset, "PatientAge")),
        scanner=_scanner(dataset),
        pixel_spacing_mm=_spacing(dataset),
        photometric_interpretation=text(dataset, "PhotometricInterpretation"),
    )


def refuse_by_header(dataset: Dataset, allow: Collection[Objection]) -> None:
    """Take the header at its word, where it says that the object is no clean chest radiograph.

    Args:
        dataset: the object.
        allow: objections that are not raised.

    Raises:
        Refused: modality, body_part, or burned_in (Burned In Annotation, PS3.3, C.7.6.1).
    """
    modality, part, burned_in = (
        _letters(dataset, word) for word in ("Modality", "BodyPartExamined", "BurnedInAnnotation")
    )
    if "modality" not in allow and modality in OTHER_MODALITIES:
        raise Refused("modality", f"the header gives the modality {modality}: no radiograph")
    if "body_part" not in allow and part in OTHER_BODY_PARTS:
        raise Refused("body_part", f"the header gives the body part {part}: no chest")
    if "burned_in" not in allow and burned_in in BURNED_IN:
        raise Refused("burned_in", "the header says that text is burned into the pixels")


def normal_view(word: str | None) -> str:
    """A view position as an archive or a header writes it → PA, AP, LATERAL, OBLIQUE or UNKNOWN.

    Where another view is named beside a frontal one, it counts: only a frontal radiograph is to pass for one.
    """
    words = re.findall("[A-Z]+", (word or "").upper())
    if LATERAL_WORDS.intersection(words):
        return "LATERAL"
    if OBLIQUE_WORDS.intersection(words):
        return "OBLIQUE"
    return words[0] if words and words[0] in ("PA", "AP") else "UNKNOWN"


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


def _letters(dataset: Dataset, keyword: str) -> str:
    """The letters of a word however it is spelled: `l-spine` and `L SPINE` are LSPINE."""
    return "".join(filter(str.isalpha, text(dataset, keyword).upper()))


def _view(dataset: Dataset) -> str:
    view = normal_view(text(dataset, "ViewPosition"))
    codes = items(dataset, "ViewCodeSequence")
    if view == "UNKNOWN" and codes:
        return VIEW_MEANINGS.get(text(codes[0], "CodeMeaning").lower(), "UNKNOWN")
    return view


def _scanner(dataset: Dataset) -> str | None:
    return " ".join(f"{text(dataset, 'Manufacturer')} {text(dataset, 'ManufacturerModelName')}".split()) or None


def _spacing(dataset: Dataset) -> float | None:
    """Millimetres between rows: Pixel Spacing, else Imager Pixel Spacing (PS3.3, 10.7.1.1 and C.8.11.5)."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        spacing = next(iter(numbers(dataset, keyword)), None)
        if spacing is not None and 0 < spacing < 100:
            return round(spacing, 4)
    return None
