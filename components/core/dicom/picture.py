"""A PNG or JPEG file → the same as a DICOM object gives; its metadata are not looked at.

Colours become grey by their luma (ITU-R BT.601), an opacity channel is dropped: some published PNG files of grey
radiographs have such channels. In a PNG file of 16 bits white is the largest number of as many bits as the largest
value takes: files of 12 bits in 16 are common, and nothing in them says so.
"""

import struct

import cv2
import imagecodecs
import numpy as np
import numpy.typing as npt

from components.core.dicom.header import HeaderFacts
from components.core.dicom.pixels import END_OF_CODESTREAM, refuse_shape
from components.core.dicom.refusal import Refused
from components.core.dicom.render import FINER, Radiograph
from components.core.records.letterbox import Letterbox

PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xae\x42\x60\x82"
JPEG_START = b"\xff\xd8\xff"
# Start-of-frame markers: C0 to CF but for DHT, JPG and DAC (ITU-T T.81, table B.1).
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def render_picture(content: bytes, size: int) -> Radiograph:
    """Decode a picture and bring it to `size` x `size` grey levels.

    Args:
        content: the bytes of the file.
        size: side S of the result in pixels.

    Raises:
        Refused: not_a_picture, truncated, unsupported, colour, too_large, decode_failed or constant.
    """
    if content.startswith(PNG_START):
        kind, bits, shape = "PNG", *_png_header(content)
    elif content.startswith(JPEG_START):
        kind, bits, shape = "JPEG", 8, _jpeg_shape(content)
    else:
        raise Refused("not_a_picture", "the file is neither PNG nor JPEG")
    refuse_shape(*shape)
    letterbox = Letterbox.of(*shape, size)
    image_SS = letterbox.apply(_grey(content, kind), FINER)
    if letterbox.inside(image_SS).min() == letterbox.inside(image_SS).max():
        raise Refused("constant", "all pixels have the same value")
    nothing = HeaderFacts(None, "UNKNOWN", None, None, None, None, "MONOCHROME2")
    return Radiograph(image_SS, letterbox, nothing, kind, bits)


def _png_header(content: bytes) -> tuple[int, tuple[int, int]]:
    """Bits a channel, and height and width (PNG, third edition, 11.2.1)."""
    if PNG_END not in content[25:]:  # some programs write more after the end
        raise Refused("truncated", "the PNG file lacks its end")
    width, height, bits = struct.unpack(">IIB", content[16:25])
    if bits not in (8, 16):
        raise Refused("unsupported", f"a PNG file of {bits} bits a channel is not supported")
    return bits, (height, width)


def _jpeg_shape(content: bytes) -> tuple[int, int]:
    """Height and width as the start of the frame has them (ITU-T T.81, B.2.2)."""
    place = 2
    while place + 9 <= len(content) and content[place] == 0xFF:
        marker, length = content[place + 1], int.from_bytes(content[place + 2 : place + 4], "big")
        if marker in FRAMES:
            # Compressed data never hold the marker; some programs write more after it, and thumbnails stand before.
            if END_OF_CODESTREAM not in content[place:]:
                raise Refused("truncated", "the JPEG file lacks its end marker")
            height, width = struct.unpack(">HH", content[place + 5 : place + 9])
            return height, width
        place += 2 + length
    if END_OF_CODESTREAM not in content[place:]:
        raise Refused("truncated", "the JPEG file ends before its frame")
    raise Refused("decode_failed", "the JPEG file has no frame")


def _grey(content: bytes, kind: str) -> npt.NDArray[np.uint16]:
    """Grey levels [H, W] in steps of 1/`FINER`."""
    try:
        image = imagecodecs.png_decode(content) if kind == "PNG" else imagecodecs.jpeg8_decode(content)
    except MemoryError:
        raise Refused("too_large", "the picture takes more memory than any radiograph") from None
    except Exception as error:  # noqa: BLE001 - codecs meet damaged data with whatever it leads to
        raise Refused("decode_failed", f"the picture cannot be decoded ({type(error).__name__})") from None
    if kind == "JPEG" and image.shape[2:] == (4,):
        raise Refused("colour", "the JPEG file holds printing inks (CMYK)")
    if image.ndim == 3:
        image = image[..., :3] if image.shape[-1] >= 3 else image[..., 0]
    if image.ndim == 3:
        image = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    if image.dtype == np.uint16:
        white = (1 << max(8, int(image.max()).bit_length())) - 1
        return (image.astype(np.uint32) * (255 * FINER) // white).astype(np.uint16)
    return image.astype(np.uint16) * FINER
