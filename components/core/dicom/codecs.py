"""imagecodecs as pydicom's decoder plugin: pydicom's API stays, the codecs are faster and may be shipped.

Interface: https://pydicom.github.io/pydicom/stable/guides/decoding/decoder_plugins.html
"""

from collections.abc import Callable

import imagecodecs
import numpy as np
from pydicom import uid
from pydicom.pixels import get_decoder
from pydicom.pixels.decoders.base import DecodeRunner

PLUGIN = "imagecodecs"
Codec = Callable[[bytes], np.ndarray]

CODECS: dict[uid.UID, Codec] = {
    uid.JPEGBaseline8Bit: imagecodecs.jpeg8_decode,
    uid.JPEGExtended12Bit: imagecodecs.jpeg8_decode,
    uid.JPEGLossless: imagecodecs.jpeg8_decode,
    uid.JPEGLosslessSV1: imagecodecs.jpeg8_decode,
    uid.JPEGLSLossless: imagecodecs.jpegls_decode,
    uid.JPEGLSNearLossless: imagecodecs.jpegls_decode,
    uid.JPEG2000Lossless: imagecodecs.jpeg2k_decode,
    uid.JPEG2000: imagecodecs.jpeg2k_decode,
    uid.HTJ2KLossless: imagecodecs.htj2k_decode,
    uid.HTJ2KLosslessRPCL: imagecodecs.htj2k_decode,
    uid.HTJ2K: imagecodecs.htj2k_decode,
}
DECODER_DEPENDENCIES = dict.fromkeys((*CODECS, uid.RLELossless), ("imagecodecs",))


def is_available(uid: str) -> bool:
    """Whether the plugin decodes a transfer syntax (asked by pydicom)."""
    return uid in DECODER_DEPENDENCIES


def decode_frame(source: bytes, runner: DecodeRunner) -> bytes | memoryview:
    """One frame of one sample a pixel, in pydicom's form: little-endian bytes, with `bits_allocated` set to theirs.

    Raises:
        ValueError: the codestream has another size than the header says.
        Exception: whatever the codec says to damaged data; pydicom turns it into a RuntimeError.
    """
    if runner.transfer_syntax == uid.RLELossless:
        return bytes(imagecodecs.dicomrle_decode(source, runner.pixel_dtype.str))
    frame_HW = CODECS[runner.transfer_syntax](source)
    if frame_HW.shape != (runner.rows, runner.columns):
        raise ValueError(f"the codestream holds {frame_HW.shape} pixels, the header says {runner.rows, runner.columns}")
    runner.set_option("bits_allocated", 8 * frame_HW.dtype.itemsize)
    little = np.ascontiguousarray(frame_HW.astype(frame_HW.dtype.newbyteorder("<"), copy=False))
    return little.reshape(-1).view(np.uint8).data


for _syntax in DECODER_DEPENDENCIES:
    get_decoder(_syntax).add_plugin(PLUGIN, (__name__, "decode_frame"))
