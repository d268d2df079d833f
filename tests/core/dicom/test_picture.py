"""PNG and JPEG files: right pixels, or refused with the reason."""

import io
import zlib

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from components.core.dicom import Refused, render_picture
from components.core.dicom.header import HeaderFacts
from tests.archive_files import picture, png


def shown(content: bytes) -> np.ndarray:
    return render_picture(content, 64).image_SS[:, 6:57]


@pytest.mark.parametrize("channels", [None, 3, 4])
def test_channels_that_say_the_same_are_one(channels: int | None) -> None:
    grey = picture(1)
    pixels = grey if channels is None else np.dstack([grey] * 3 + [np.full_like(grey, 255)] * (channels - 3))
    np.testing.assert_array_equal(shown(png(pixels)), shown(png(grey)))
    assert render_picture(png(grey), 48).image_SS[:, 4:44].tolist() == grey.tolist()


def test_twelve_bits_in_sixteen_are_as_bright_as_in_eight() -> None:
    grey = picture(2)
    grey[0, 0] = 255
    twelve = render_picture(png(grey.astype(np.uint16) * 16), 64).image_SS
    assert np.abs(twelve.astype(int) - render_picture(png(grey), 64).image_SS).max() <= 1


def test_sixteen_bits_and_jpeg() -> None:
    grey = picture(2)
    sixteen = render_picture(png(grey.astype(np.uint16) * 257), 64)
    assert np.abs(sixteen.image_SS[:, 6:57].astype(int) - shown(png(grey))).max() <= 1
    assert (sixteen.bits, sixteen.transfer_syntax) == (16, "PNG")
    jpeg = render_picture(bytes(imagecodecs.jpeg8_encode(grey, 95)), 64)
    assert np.abs(jpeg.image_SS[:, 6:57].astype(int) - shown(png(grey))).mean() < 2
    assert jpeg.header == HeaderFacts(None, "UNKNOWN", None, None, None, None, "MONOCHROME2")


@pytest.mark.parametrize("content", [png(picture(1)), bytes(imagecodecs.jpeg8_encode(picture(1), 95))])
def test_what_a_program_wrote_after_the_end_is_no_fault(content: bytes) -> None:
    np.testing.assert_array_equal(shown(content + b"\nmade by a program"), shown(content))


def inks() -> bytes:
    """A JPEG file of four printing inks."""
    file = io.BytesIO()
    Image.fromarray(picture(1)).convert("CMYK").save(file, "JPEG")
    return file.getvalue()


def lying_png(height: int, width: int) -> bytes:
    """A PNG file whose header says another size."""
    content = bytearray(png(picture(1)))
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


def lying_jpeg(height: int, width: int) -> bytes:
    """A JPEG file whose frame says another size."""
    content = bytearray(imagecodecs.jpeg8_encode(picture(1), 90))
    start = content.index(b"\xff\xc0") + 5
    content[start : start + 4] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"GIF89a", "not_a_picture"),
        (b"", "not_a_picture"),
        (png(picture(1))[:-30], "truncated"),
        (png(picture(1))[:20], "truncated"),
        (bytes(imagecodecs.jpeg8_encode(picture(1), 90))[:-30], "truncated"),
        (inks(), "colour"),
        (lying_png(65535, 65535), "too_large"),
        (lying_png(2**31 - 1, 2**31 - 1), "too_large"),
        (lying_jpeg(65535, 65535), "too_large"),
        (lying_png(90, 40), "decode_failed"),
        (lying_png(2, 400), "unsupported"),
        (png(np.full((40, 40), 7, np.uint8)), "constant"),
        (b"\xff\xd8\xff" + b"\0" * 50 + b"\xff\xd9", "decode_failed"),
    ],
)  # fmt: skip
def test_what_is_no_radiograph(content: bytes, reason: str) -> None:
    with pytest.raises(Refused) as refusal:
        render_picture(content, 64)
    assert refusal.value.reason == reason
