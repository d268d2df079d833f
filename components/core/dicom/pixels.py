"""One object's bytes → its stored pixel values, or the reason why it is refused."""

import io
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
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    RLELossless,
)

from components.core.dicom.codecs import CODECS, PLUGIN
from components.core.dicom.elements import number, optional, text
from components.core.dicom.refusal import Refused
from components.core.part10 import inflated, silence_pydicom

silence_pydicom()

LARGEST = 1 << 26  # pixels: four times the finest radiograph; a header that claims more lies
MOST_BYTES = 3 * LARGEST  # of a whole object: what its largest image and a generous header take
SLIMMEST = 5  # the longer side over the shorter one; radiographs of a chest stay below 1.5, whole spines below 4
LONGEST_PADDING = 1 << 12  # bytes at the end of a frame in which its end marker must stand
MORE_DATA = bytes(range(1, 128))
END_OF_CODESTREAM = b"\xff\xd9"  # EOI of JPEG and JPEG-LS (ITU-T T.81, B.1.1.3), EOC of JPEG 2000 (T.800, A.4.4)
COLOUR = ("RGB", "PALETTE COLOR", "HSV", "ARGB", "CMYK", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
T81_SYNTAXES = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1)
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
        Refused: too_large; not_dicom; truncated, where it ends within its compressed pixel data or its deflated data
            set.
    """
    if len(content) > MOST_BYTES:
        raise Refused("too_large", f"the file holds {len(content)} bytes, more than any radiograph")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they quote the header
        try:
            plain = inflated(content, MOST_BYTES)
            if len(plain) > MOST_BYTES:  # before it is parsed: millions of empty elements take a minute
                raise Refused("too_large", f"the deflated data set holds more than {MOST_BYTES} bytes")
            dataset = pydicom.dcmread(io.BytesIO(plain))
            len(dataset)
        except Refused:
            raise
        except zlib.error:
            raise Refused("truncated", "the deflated data set is damaged or ends early") from None
        except InvalidDicomError:
            raise Refused("not_dicom", "the file has no DICOM file meta information") from None
        except MemoryError:
            raise Refused("too_large", "the data set takes more memory than any radiograph") from None
        except Exception as error:  # noqa: BLE001 - pydicom meets damaged bytes with whatever they lead to
            raise Refused("not_dicom", f"the data set cannot be parsed ({type(error).__name__})") from None
    if plain is not content:
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    if "PixelData" not in dataset and any(start in content for start in ENCAPSULATED_START):
        raise Refused("truncated", "the file ends within its compressed pixel data")
    return dataset


def stored_pixels(dataset: FileDataset) -> Stored:
    """Decode the pixels of a single greyscale frame.

    Raises:
        Refused: no_pixels, colour, multi_frame, unsupported, too_large, truncated or decode_failed.
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
        except MemoryError:
            raise Refused("too_large", "the pixels take more memory than any radiograph") from None
        except NotImplementedError:  # what pydicom says of a syntax that it has no decoder for
            raise Refused("unsupported", "the transfer syntax is not one of DICOM's for still images") from None
        except Exception as error:  # noqa: BLE001 - codecs and pydicom meet damaged data with whatever it leads to
            raise Refused("decode_failed", f"the pixel data cannot be decoded ({type(error).__name__})") from None
    unsigned = np.dtype(f"u{decoded.dtype.itemsize}")
    raw_HW = np.ascontiguousarray(decoded.astype(decoded.dtype.newbyteorder("="), copy=False)).view(unsigned)
    if syntax in T81_SYNTAXES and _ends_early(dataset, syntax, raw_HW, bits):
        raise Refused("truncated", "the compressed pixel data end before the last row")
    return Stored(raw_HW, bits, high_bit, signed, syntax.keyword)


def _transfer_syntax(dataset: FileDataset) -> UID:
    named = dataset.file_meta.get("TransferSyntaxUID")
    if named:
        return UID(named)
    implicit, little = dataset.original_encoding
    return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _layout(dataset: Dataset) -> tuple[int, int, bool]:
    """Bits Stored, High Bit and whether values are signed, of an object that is a single radiograph."""
    if not any(optional(dataset, keyword) for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise Refused("no_pixels", "the object has no pixel data")
    photometric = text(dataset, "PhotometricInterpretation")
    if optional(dataset, "SamplesPerPixel") is None:
        dataset.SamplesPerPixel = 1  # pydicom wants it said
    if optional(dataset, "SamplesPerPixel") != 1 or photometric in COLOUR:
        raise Refused("colour", "the image has colours: only MONOCHROME1 and MONOCHROME2 are radiographs")
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise Refused("unsupported", "the image is not MONOCHROME1 or MONOCHROME2")
    frames = number(optional(dataset, "NumberOfFrames"))
    if frames not in (0, 1, None):  # some programs write 0 where they mean that there are no others
        raise Refused("multi_frame", f"the object holds {frames:g} frames: a radiograph is one")
    allocated, bits = int(dataset.get("BitsAllocated") or 0), int(dataset.get("BitsStored") or 0)
    high_bit = optional(dataset, "HighBit")
    high_bit = bits - 1 if high_bit is None else int(high_bit)
    if "PixelData" not in dataset or allocated not in (8, 16) or not 1 <= bits <= high_bit + 1 <= allocated:
        raise Refused("unsupported", f"pixels of {bits} bits up to bit {high_bit} in {allocated} are not supported")
    refuse_shape(int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0))
    representation = optional(dataset, "PixelRepresentation")
    if representation not in (0, 1):
        raise Refused("unsupported", "the object does not say whether its values are signed")
    return bits, high_bit, representation == 1


def refuse_shape(rows: int, columns: int) -> None:
    """Refuse, before anything is decoded, what has no pixel, more than any radiograph, or the shape of a strip."""
    if rows * columns > LARGEST:
        raise Refused("too_large", f"an image of {rows} x {columns} pixels is more than any radiograph")
    if not (rows and columns and max(rows, columns) <= SLIMMEST * min(rows, columns)):
        raise Refused("unsupported", f"an image of {rows} x {columns} pixels is not supported")


def _ends_early(dataset: Dataset, syntax: UID, raw_HW: npt.NDArray[np.integer], bits: int) -> bool:
    """Whether a codestream of ITU-T T.81 was cut short and closed again.

    libjpeg fills what it lacks with mid-grey, without a word. Some images end in mid-grey, too: those stay the same
    when more data stand before the end marker.
    """
    if not (raw_HW[-1] == 1 << (bits - 1)).all():
        return False
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    end = frame.rindex(END_OF_CODESTREAM)
    try:
        longer_HW = CODECS[syntax](frame[:end] + MORE_DATA + frame[end:])
    except Exception:  # noqa: BLE001 - codecs meet damaged data with whatever it leads to
        return True
    return not np.array_equal(longer_HW.view(raw_HW.dtype), raw_HW)


def _refuse_truncated(dataset: Dataset, syntax: UID) -> None:
    if not syntax.is_encapsulated:
        expected = int(dataset.Rows) * int(dataset.Columns) * int(dataset.BitsAllocated) // 8
        given = len(dataset.PixelData)
        if given < expected:
            raise Refused("truncated", f"the pixel data hold {given} of {expected} bytes")
        if dataset["PixelData"].is_undefined_length or given >= 2 * expected:
            raise Refused("decode_failed", f"the pixel data are not what the header says: {given} bytes for {expected}")
        return
    try:
        frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    except (ValueError, struct.error):
        raise Refused("truncated", "the fragments of the compressed pixel data end early") from None
    # Most codecs decode a codestream that was cut short without a word. Compressed data never hold the marker.
    if syntax != RLELossless and END_OF_CODESTREAM not in frame[-LONGEST_PADDING:]:
        raise Refused("truncated", "the compressed pixel data lack their end marker")
