"""DICOM files as scanners write them, made by pydicom alone: for any test that needs real objects."""

import io
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders import RLELosslessEncoder

NAME, BIRTH_DATE, STUDY_DATE = "Planted^Henrietta", "19480229", "20170613"
PATIENT_ID, ACCESSION = "MRN887766", "ACC55443"
INSTITUTION, UID_ROOT = "Saint Elsewhere General", "1.2.826.0.1.3680043.8.498.777"
IDENTIFIERS = ("Planted", "Henrietta", BIRTH_DATE, STUDY_DATE, PATIENT_ID, ACCESSION, INSTITUTION, UID_ROOT)

LOSSLESS = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.RLELossless,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEG2000Lossless,
)


def chest(
    rows: int = 48, columns: int = 40, bits: int = 12, seed: int = 0, noise: float = 0.02
) -> npt.NDArray[np.uint16]:
    """Smooth structure with noise, over most of the range of `bits` bits: unsigned values [rows, columns]."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:rows, 0:columns] / max(rows, columns)
    shape = 0.55 + 0.3 * np.sin(5 * x + seed) * np.cos(4 * y) + 0.15 * y
    noisy = np.clip(shape + random.normal(0, noise, shape.shape), 0, 1)
    return np.round(noisy * ((1 << bits) - 1)).astype(np.uint16)


def codestream(stored_HW: npt.NDArray[Any], syntax: uid.UID, bits: int) -> bytes:
    """One frame of stored values in a compressed transfer syntax."""
    if syntax == uid.RLELossless:
        return RLELosslessEncoder.encode(
            stored_HW,
            rows=stored_HW.shape[0],
            columns=stored_HW.shape[1],
            samples_per_pixel=1,
            number_of_frames=1,
            bits_allocated=8 * stored_HW.itemsize,
            bits_stored=8 * stored_HW.itemsize,
            pixel_representation=int(np.issubdtype(stored_HW.dtype, np.signedinteger)),
            photometric_interpretation="MONOCHROME2",
        )
    if syntax in (uid.JPEGLossless, uid.JPEGLosslessSV1):
        predictor = 1 if syntax == uid.JPEGLosslessSV1 else 4
        return bytes(imagecodecs.jpeg8_encode(stored_HW, lossless=True, predictor=predictor, bitspersample=bits))
    if syntax in (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit):
        return bytes(imagecodecs.jpeg8_encode(stored_HW, 95, bitspersample=bits))
    if syntax in (uid.JPEGLSLossless, uid.JPEGLSNearLossless):
        return bytes(imagecodecs.jpegls_encode(stored_HW, 0 if syntax == uid.JPEGLSLossless else 2))
    if syntax in (uid.JPEG2000Lossless, uid.JPEG2000):
        reversible = syntax == uid.JPEG2000Lossless
        level = None if reversible else 45
        return bytes(
            imagecodecs.jpeg2k_encode(stored_HW, level, codecformat="J2K", bitspersample=bits, reversible=reversible)
        )
    raise AssertionError(f"no encoder for {syntax}")


def radiograph(
    stored_HW: npt.NDArray[Any], bits: int = 12, syntax: uid.UID = uid.ExplicitVRLittleEndian, **elements: Any
) -> bytes:
    """A CR object with planted identifiers; `elements` are set last, by their keywords (None removes one).

    Args:
        stored_HW: stored values [H, W]; a signed type makes a signed object.
        bits: Bits Stored; up to 8 bits are stored in bytes, more in words.
        syntax: the transfer syntax.
    """
    signed = bool(np.issubdtype(stored_HW.dtype, np.signedinteger))
    words = stored_HW.astype(np.dtype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}"))
    dataset = Dataset()
    dataset.SOPClassUID = uid.ComputedRadiographyImageStorage
    dataset.SOPInstanceUID = f"{UID_ROOT}.{int(words.astype(np.int64).sum())}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{UID_ROOT}.1", f"{UID_ROOT}.2"
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = NAME, PATIENT_ID, BIRTH_DATE
    dataset.StudyDate, dataset.AccessionNumber, dataset.InstitutionName = STUDY_DATE, ACCESSION, INSTITUTION
    dataset.PatientSex, dataset.PatientAge, dataset.ViewPosition = "F", "058Y", "PA"
    dataset.Modality, dataset.Manufacturer, dataset.ManufacturerModelName = "CR", "Acme", "Ray 3"
    dataset.ImagerPixelSpacing = [0.2, 0.2]
    dataset.PhotometricInterpretation, dataset.SamplesPerPixel = "MONOCHROME2", 1
    dataset.Rows, dataset.Columns = words.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8 * words.itemsize, bits, bits - 1
    dataset.PixelRepresentation = int(signed)
    if syntax.is_encapsulated:
        # As scanners do: the bits of a signed value are handed to the codec as an unsigned one.
        frame = codestream(
            words.view(f"u{words.itemsize}") & np.array((1 << bits) - 1, f"u{words.itemsize}"), syntax, bits
        )
        dataset.PixelData = encapsulate([frame + b"\0" * (len(frame) % 2)])
        dataset["PixelData"].VR = "OB"
    else:
        order = ">" if syntax == uid.ExplicitVRBigEndian else "<"
        plain = words.astype(words.dtype.newbyteorder(order)).tobytes()
        dataset.PixelData = plain + b"\0" * (len(plain) % 2)
        dataset["PixelData"].VR = "OW" if words.itemsize == 2 or syntax == uid.ImplicitVRLittleEndian else "OB"
    return written(dataset, syntax, **elements)


def written(dataset: Dataset, syntax: uid.UID, **elements: Any) -> bytes:
    """The bytes of a file that holds a data set."""
    for keyword, value in elements.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()
