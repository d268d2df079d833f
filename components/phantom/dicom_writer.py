"""Radiographs as DICOM objects, as scanners write them: pixel module, display pipeline, and an identifying header."""

import io
from dataclasses import dataclass

import imagecodecs
import numpy as np
import numpy.typing as npt
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from components.phantom.identity import Person, Visit
from components.phantom.scanner import Codec, Scanner, expose

Rng = np.random.Generator

# The writer's own identity, below the root that the pydicom project hands out; fixed, so that bytes are.
UID_ROOT = "1.2.826.0.1.3680043.8.498."
IMPLEMENTATION = generate_uid(UID_ROOT, ["medslip phantom"])
PRIVATE_CREATOR = "PHANTOM ARCHIVE"

TRANSFER_SYNTAX = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "rle": RLELossless,
    "jpeg2000": JPEG2000Lossless,
    "jpegls": JPEGLSLossless,
    "jpeg": JPEGBaseline8Bit,
}
JPEG_QUALITY = 93


@dataclass(frozen=True)
class Shot:
    """One image of a study: whose, when, on what, and what the tables call it."""

    person: Person
    visit: Visit
    unit: Scanner
    codec: Codec
    view: str
    patient_id: str  # as the archive's folders and tables name them
    study_id: str
    image_id: str
    number: int  # of the image in its study, from 1


def rle_frame(stored_HW: npt.NDArray[np.integer]) -> bytes:
    """A frame in DICOM RLE, PS3.5 Annex G: one PackBits segment a byte plane, most significant first."""
    planes = stored_HW.astype(stored_HW.dtype.newbyteorder(">")).view(np.uint8).reshape(*stored_HW.shape, -1)
    segments = [imagecodecs.packbits_encode(np.ascontiguousarray(planes[..., byte])) for byte in range(planes.shape[2])]
    segments = [segment + b"\0" * (len(segment) % 2) for segment in segments]
    offsets = np.cumsum([64, *map(len, segments)])[:-1]
    header = np.zeros(16, "<u4")
    header[: len(segments) + 1] = [len(segments), *offsets]
    return header.tobytes() + b"".join(segments)


def encode(stored_HW: npt.NDArray[np.integer], codec: Codec, bits: int) -> bytes:
    """The value of Pixel Data for a frame of stored values."""
    match codec:
        case "explicit" | "implicit":
            raw = stored_HW.astype(stored_HW.dtype.newbyteorder("<")).tobytes()
            return raw + b"\0" * (len(raw) % 2)
        case "rle":
            frame: bytes | bytearray = rle_frame(stored_HW)
        case "jpeg2000":
            frame = imagecodecs.jpeg2k_encode(
                stored_HW, level=0, codecformat="j2k", reversible=True, bitspersample=bits, numthreads=1
            )
        case "jpegls":
            frame = imagecodecs.jpegls_encode(stored_HW)
        case "jpeg":
            frame = imagecodecs.jpeg8_encode(stored_HW, level=JPEG_QUALITY)
        case _:
            raise AssertionError(codec)
    encapsulated: bytes = encapsulate([bytes(frame)])
    return encapsulated


def _person_module(dataset: Dataset, shot: Shot) -> None:
    person, visit = shot.person, shot.visit
    dataset.PatientName = person.name
    dataset.PatientID = person.hospital_id
    dataset.OtherPatientIDs = shot.patient_id
    dataset.PatientBirthDate = person.birth_date.strftime("%Y%m%d")
    dataset.PatientSex = person.sex
    dataset.PatientAge = f"{visit.age:03d}Y"
    dataset.PatientAddress = person.address
    dataset.PatientTelephoneNumbers = person.telephone
    dataset.ReferringPhysicianName = visit.referring
    dataset.NameOfPhysiciansReadingStudy = visit.reading
    dataset.OperatorsName = visit.operator
    dataset.InstitutionName = visit.institution
    dataset.InstitutionAddress = visit.institution_address
    dataset.InstitutionalDepartmentName = visit.department
    dataset.StationName = f"{visit.department[:4].upper()}{shot.unit.model[-1]}"
    dataset.PatientComments = f"seen {visit.day.isoformat()} for {person.name.split('^')[0]}"
    block = dataset.private_block(0x0029, PRIVATE_CREATOR, create=True)
    block.add_new(0x10, "LO", person.name.replace("^", " "))
    block.add_new(0x11, "DA", dataset.PatientBirthDate)


def _study_module(dataset: Dataset, shot: Shot) -> None:
    visit, portable = shot.visit, shot.view == "AP"
    dataset.StudyInstanceUID = generate_uid(UID_ROOT, ["study", shot.patient_id, shot.study_id])
    dataset.SeriesInstanceUID = generate_uid(UID_ROOT, ["series", shot.patient_id, shot.study_id, str(shot.number)])
    dataset.StudyID = shot.study_id[:16]
    dataset.AccessionNumber = visit.accession
    for kind in ("Study", "Series", "Acquisition", "Content"):
        setattr(dataset, f"{kind}Date", visit.dicom_date)
        setattr(dataset, f"{kind}Time", visit.dicom_time)
    dataset.StudyDescription = "CHEST (PORTABLE AP)" if portable else "CHEST (PA AND LAT)"
    dataset.SeriesDescription = f"view: {shot.view}"
    dataset.SeriesNumber = shot.number
    dataset.InstanceNumber = 1
    dataset.Modality = shot.unit.modality
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = shot.view
    dataset.PatientOrientation = ["L", "F"]
    dataset.Manufacturer = shot.unit.manufacturer
    dataset.ManufacturerModelName = shot.unit.model
    dataset.SoftwareVersions = shot.unit.software
    dataset.DeviceSerialNumber = generate_uid(UID_ROOT, [shot.unit.model])[-6:]


def _modality(stored: float, unit: Scanner) -> float:
    return stored if unit.rescale is None else unit.rescale.slope * stored + unit.rescale.intercept


def _display_range(unit: Scanner) -> tuple[float, float]:
    """The modality values that the unit means to be shown as black and white (white and black in MONOCHROME1)."""
    low, high = unit.range
    if unit.stored.photometric == "MONOCHROME1":
        low, high = 1.0 - high, 1.0 - low
    top = (1 << unit.stored.bits) - 1
    offset = 1 << (unit.stored.bits - 1) if unit.stored.signed else 0
    return _modality(low * top - offset, unit), _modality(high * top - offset, unit)


def _window(dataset: Dataset, unit: Scanner, rng: Rng) -> None:
    """VOI windows, DICOM PS3.3 C.11.2: one, or three with names; or one with a sigmoid function."""
    low, high = _display_range(unit)
    center = (low + high) / 2 + (high - low) * rng.uniform(-0.03, 0.03)
    width = (high - low) * rng.uniform(0.98, 1.12)
    if unit.voi == "sigmoid":
        dataset.VOILUTFunction = "SIGMOID"
        dataset.WindowCenter, dataset.WindowWidth = f"{center:.1f}", f"{width * 0.85:.1f}"
    elif rng.random() < 0.5:
        dataset.WindowCenter, dataset.WindowWidth = f"{center:.0f}", f"{width:.0f}"
    else:
        dataset.WindowCenter = [f"{center:.0f}"] * 3
        dataset.WindowWidth = [f"{width * share:.0f}" for share in (1.0, 0.8, 1.25)]
        dataset.WindowCenterWidthExplanation = ["NORMAL", "HARDER", "SOFTER"]


def _voi_table(dataset: Dataset, unit: Scanner, rng: Rng) -> None:
    """A VOI LUT sequence of one table over the whole range: a soft S between the ends of the display range."""
    low, high = _display_range(unit)
    entries = 1 << unit.stored.bits
    place = (np.arange(entries) - (low + high) / 2) / (high - low)
    table = 4095 / (1 + np.exp(-rng.uniform(4.6, 5.6) * place))
    item = Dataset()
    item.add_new(0x00283002, "US", [entries, 0, 12])
    item.LUTExplanation = "CHEST S1"
    item.add_new(0x00283006, "OW", np.rint(table).astype("<u2").tobytes())
    dataset.VOILUTSequence = [item]


def _pixel_module(dataset: Dataset, shot: Shot, stored_HW: npt.NDArray[np.integer], rng: Rng) -> None:
    unit = shot.unit
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = unit.stored.photometric
    dataset.Rows, dataset.Columns = stored_HW.shape
    dataset.BitsAllocated = unit.stored.allocated
    dataset.BitsStored = unit.stored.bits
    dataset.HighBit = unit.stored.bits - 1
    dataset.PixelRepresentation = int(unit.stored.signed)
    spacing_mm = unit.field_mm / stored_HW.shape[0]
    for keyword in unit.spacing:
        setattr(dataset, keyword, [f"{spacing_mm:.4f}"] * 2)
    if unit.rescale is not None:
        dataset.RescaleSlope, dataset.RescaleIntercept = f"{unit.rescale.slope:g}", f"{unit.rescale.intercept:g}"
        dataset.RescaleType = "US"
    if unit.voi in ("windows", "sigmoid"):
        _window(dataset, unit, rng)
    elif unit.voi == "table":
        _voi_table(dataset, unit, rng)
    dataset.BurnedInAnnotation = "NO"
    dataset.LossyImageCompression = "01" if shot.codec == "jpeg" else "00"
    if shot.codec == "jpeg":
        dataset.LossyImageCompressionMethod = "ISO_10918_1"
    if unit.modality == "DX":
        dataset.PresentationIntentType = "FOR PRESENTATION"
        dataset.PixelIntensityRelationship = "LOG"
        dataset.PixelIntensityRelationshipSign = -1 if unit.stored.photometric == "MONOCHROME2" else 1
        dataset.PresentationLUTShape = "INVERSE" if unit.stored.photometric == "MONOCHROME1" else "IDENTITY"
    dataset.PixelData = encode(stored_HW, shot.codec, unit.stored.bits)
    dataset["PixelData"].VR = "OB" if shot.codec not in ("explicit", "implicit") or unit.stored.bits == 8 else "OW"


def write_dicom(image_HW: npt.NDArray[np.float32], shot: Shot, rng: Rng) -> bytes:
    """A DICOM file's bytes for a radiograph in [0, 1], bright for dense; equal arguments give equal bytes."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = (
        DigitalXRayImageStorageForPresentation if shot.unit.modality == "DX" else ComputedRadiographyImageStorage
    )
    meta.MediaStorageSOPInstanceUID = generate_uid(UID_ROOT, ["image", shot.patient_id, shot.image_id])
    meta.TransferSyntaxUID = TRANSFER_SYNTAX[shot.codec]
    meta.ImplementationClassUID = IMPLEMENTATION
    meta.ImplementationVersionName = "PHANTOM_1"
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    _person_module(dataset, shot)
    _study_module(dataset, shot)
    _pixel_module(dataset, shot, expose(image_HW, shot.unit, rng), rng)
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()
