"""One object's bytes → its stored pixel values, or the reason why it is refused."""

import io
import logging
import struct
import warnings
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import get_frame
from pydicom.errors import InvalidDicomError
from pydicom.pixels import get_decoder
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from components.core.dicom.codecs import PLUGIN
from components.core.dicom.refusal import Refused

# What pydicom logs quotes the header: names and dates must not reach a log.
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)

LARGEST = 1 << 27  # pixels: ten times the finest radiograph; a header that claims more lies
SLIMMEST = 5  # the longer side over the shorter one; radiographs of a chest stay below 1.5, whole spines below 4
END_OF_CODESTREAM = b"\xff\xd9"  # EOI of JPEG and JPEG-LS (ITU-T T.81, B.1.1.3), EOC of JPEG 2000 (T.800, A.4.4)
ENCAPSULATED_START = tuple(b"\xe0\x7f\x10\x00" + kind + b"\0\0\xff\xff\xff\xff" for kind in (b"OB", b"OW"))


@dataclass(frozen=True)
class Stored:
    """Pixels as the object stores them, and how to read them (PS3.5, 8.1.1).

    Attributes:
        raw_HW: uint8 or uint16; a value fills `bits` bits up to bit `high_bit`, the others hold anything.
        bits, high_bit, signed: Bits Stored, High Bit, Pixel Representation.
        transfer_syntax: the standard's keyword, such as JPEG2000Lossless.
    """

    raw_HW: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    bits: int
    high_bit: int
    signed: bool
    transfer_syntax: str

    def field(self, raw: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
        """The `bits` bits of the value, as an index from 0, of raw words."""
        return (raw >> (self.high_bit + 1 - self.bits)) & ((1 << self.bits) - 1)

    @property
    def values(self) -> npt.NDArray[np.int32]:
        """The value of every index that `field` may give."""
        values = np.arange(1 << self.bits, dtype=np.int32)
        return np.where(values >> (self.bits - 1), values - (1 << self.bits), values) if self.signed else values


def read_object(content: bytes) -> FileDataset:
    """Parse an object.

    Raises:
        Refused: not_dicom; truncated, where it ends within its compressed pixel data or its deflated data set.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they quote the header
        try:
            dataset = pydicom.dcmread(io.BytesIO(content))
            len(dataset)
        except InvalidDicomError:
            raise Refused("not_dicom", "the file has no DICOM file meta information") from None
        except zlib.error:
            raise Refused("truncated", "the deflated data set ends early") from None
        except Exception as error:  # noqa: BLE001 - pydicom meets damaged bytes with whatever they lead to
            raise Refused("not_dicom", f"the data set cannot be parsed ({type(error).__name__})") from None
    if "PixelData" not in dataset and any(start in content for start in ENCAPSULATED_START):
        raise Refused("truncated", "the file ends within its compressed pixel data")
    return dataset


def stored_pixels(dataset: FileDataset) -> Stored:
    """Decode the pixels of a single greyscale frame.

    Raises:
        Refused: no_pixels, unsupported, truncated or decode_failed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            syntax = _transfer_syntax(dataset)
            decoder = get_decoder(syntax)
            bits, high_bit, signed = _layout(dataset)
            _refuse_truncated(dataset, syntax)
            decoded, _ = decoder.as_array(
                dataset,
                index=0,
                raw=True,
                decoding_plugin=PLUGIN if syntax.is_encapsulated else "",
                correct_unused_bits=False,
                view_only=True,
            )
        except Refused:
            raise
        except NotImplementedError:
            raise Refused("unsupported", "the transfer syntax is not one of DICOM's for still images") from None
        except Exception as error:  # noqa: BLE001 - codecs and pydicom meet damaged data with whatever it leads to
            raise Refused("decode_failed", f"the pixel data cannot be decoded ({type(error).__name__})") from None
    unsigned = np.dtype(f"u{decoded.dtype.itemsize}")
    raw_HW = np.ascontiguousarray(decoded.astype(decoded.dtype.newbyteorder("="), copy=False)).view(unsigned)
    return Stored(raw_HW, bits, high_bit, signed, syntax.keyword)


def _transfer_syntax(dataset: FileDataset) -> UID:
    named = dataset.file_meta.get("TransferSyntaxUID")
    if named:
        return UID(named)
    implicit, little = dataset.original_encoding
    return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _layout(dataset: Dataset) -> tuple[int, int, bool]:
    """Bits Stored, High Bit and whether values are signed, of an object that is a single radiograph."""
    if not any(keyword in dataset for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise Refused("no_pixels", "the object has no pixel data")
    if dataset.get("SamplesPerPixel", 1) != 1 or dataset.get("PhotometricInterpretation") not in (
        "MONOCHROME1",
        "MONOCHROME2",
    ):
        raise Refused("unsupported", "the image is not MONOCHROME1 or MONOCHROME2")
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        raise Refused("unsupported", f"the object holds {int(dataset.NumberOfFrames)} frames, not one")
    allocated, bits = int(dataset.get("BitsAllocated") or 0), int(dataset.get("BitsStored") or 0)
    high_bit = int(dataset.get("HighBit", bits - 1))
    if "PixelData" not in dataset or allocated not in (8, 16) or not 1 <= bits <= high_bit + 1 <= allocated:
        raise Refused("unsupported", f"pixels of {bits} bits up to bit {high_bit} in {allocated} are not supported")
    rows, columns = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    if not (rows and columns and rows * columns <= LARGEST and max(rows, columns) <= SLIMMEST * min(rows, columns)):
        raise Refused("unsupported", f"an image of {rows} x {columns} pixels is not supported")
    return bits, high_bit, dataset.get("PixelRepresentation", 0) == 1


def _refuse_truncated(dataset: Dataset, syntax: UID) -> None:
    if not syntax.is_encapsulated:
        expected = int(dataset.Rows) * int(dataset.Columns) * int(dataset.BitsAllocated) // 8
        if len(dataset.PixelData) < expected:
            raise Refused("truncated", f"the pixel data hold {len(dataset.PixelData)} of {expected} bytes")
        return
    try:
        frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    except (ValueError, struct.error):
        raise Refused("truncated", "the fragments of the compressed pixel data end early") from None
    # Most codecs decode a codestream that was cut short without a word. Some encoders pad with either byte.
    if syntax != RLELossless and not frame.rstrip(b"\0\xff").endswith(END_OF_CODESTREAM):
        raise Refused("truncated", "the compressed pixel data lack their end marker")
