"""Decoding: every transfer syntax, and every kind of object that must be refused."""

import contextlib
import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from pydicom import uid
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from components.core.dicom import Refused, render
from components.core.dicom.pixels import read_object, stored_pixels
from components.core.records.tables import REASONS
from tests.dicom_files import IDENTIFIERS, LOSSLESS, NAME, UID_ROOT, chest, codestream, radiograph, written

WINDOW = {"WindowCenter": 2000, "WindowWidth": 3000}


def shown(content: bytes) -> npt.NDArray[np.uint8]:
    return render(content, 40, 0, (0.5, 99.5)).image_SS


def refused(content: bytes) -> Refused:
    """The refusal of an object, checked to name a known reason and nothing of the header."""
    with pytest.raises(Refused) as refusal:
        shown(content)
    assert refusal.value.reason in REASONS
    assert not any(word in refusal.value.message for word in IDENTIFIERS)
    return refusal.value


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: syntax.keyword)
def test_lossless_syntaxes_give_the_stored_values(syntax: uid.UID, bits: int, signed: bool) -> None:
    values: npt.NDArray[Any] = chest(33, 21, bits)
    if signed:
        values = (values.astype(np.int32) - (1 << (bits - 1))).astype(np.int16)
    stored = stored_pixels(read_object(radiograph(values, bits, syntax)))
    np.testing.assert_array_equal(stored.values[stored.field(stored.raw_HW)], values)
    assert stored.transfer_syntax == syntax.keyword


def test_one_image_looks_the_same_in_every_lossless_syntax() -> None:
    images = [shown(radiograph(chest(), syntax=syntax, **WINDOW)) for syntax in LOSSLESS]
    assert images[0].std() > 20
    for other in images[1:]:
        np.testing.assert_array_equal(other, images[0])


@pytest.mark.parametrize(
    ("syntax", "bits"),
    [
        (uid.JPEGBaseline8Bit, 8),
        (uid.JPEGExtended12Bit, 12),
        (uid.JPEGLSNearLossless, 12),
        (uid.JPEG2000, 12),
        (uid.JPEG2000, 8),
    ],
    ids=lambda value: getattr(value, "keyword", str(value)),
)
def test_lossy_syntaxes_stay_close(syntax: uid.UID, bits: int) -> None:
    window = {"WindowCenter": 1 << (bits - 1), "WindowWidth": 1 << bits}
    plain = shown(radiograph(chest(64, 64, bits), bits, **window)).astype(float)
    lossy = shown(radiograph(chest(64, 64, bits), bits, syntax, **window)).astype(float)
    assert 0 < np.abs(lossy - plain).mean() < 4


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_implicit.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "MR_small_padded.dcm",
    ],
)
def test_files_by_other_programs_agree_with_their_uncompressed_twin(name: str) -> None:
    twin, other = (Path(get_testdata_file(file)).read_bytes() for file in ("MR_small.dcm", name))
    np.testing.assert_array_equal(shown(other), shown(twin))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("JPEG-lossy.dcm", None),
        ("J2K_pixelrep_mismatch.dcm", None),
        ("image_dfl.dcm", None),
        ("MR_truncated.dcm", "truncated"),
        ("SC_rgb_rle.dcm", "unsupported"),
        ("examples_palette.dcm", "unsupported"),
        ("rtdose.dcm", "unsupported"),
        ("liver_1frame.dcm", "unsupported"),
        ("test-SR.dcm", "no_pixels"),
        ("no_meta.dcm", "not_dicom"),
        ("zipMR.gz", "not_dicom"),
    ],
)
def test_files_by_other_programs(name: str, reason: str | None) -> None:
    content = Path(get_testdata_file(name)).read_bytes()
    if reason is None:
        assert shown(content).std() > 5
    else:
        assert refused(content).reason == reason


@pytest.mark.parametrize("share", [0.6, 0.9, 0.99])
@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: syntax.keyword)
def test_a_file_that_is_cut_short(syntax: uid.UID, share: float) -> None:
    content = radiograph(chest(128, 128), syntax=syntax)
    assert refused(content[: int(share * len(content))]).reason == "truncated"


@pytest.mark.parametrize(
    "syntax",
    [uid.JPEGBaseline8Bit, uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEG2000Lossless],
    ids=lambda syntax: syntax.keyword,
)
def test_a_codestream_that_is_cut_short_in_a_whole_file(syntax: uid.UID) -> None:
    frame = codestream(chest(128, 128, 8).astype(np.uint8), syntax, 8)[:-40]
    content = radiograph(chest(128, 128, 8), 8, syntax, PixelData=encapsulate([frame + b"\0" * (len(frame) % 2)]))
    assert refused(content).reason == "truncated"


@pytest.mark.parametrize("padding", [b"\0", b"\xff", b"\0\0\0"])
def test_padding_after_the_end_marker_is_no_fault(padding: bytes) -> None:
    frame = codestream(chest(32, 32, 8).astype(np.uint8), uid.JPEGBaseline8Bit, 8) + padding
    shown(radiograph(chest(32, 32, 8), 8, uid.JPEGBaseline8Bit, PixelData=encapsulate([frame])))


def test_a_frame_in_several_fragments() -> None:
    frame = codestream(chest(), uid.JPEG2000Lossless, 12)
    content = radiograph(chest(), syntax=uid.JPEG2000Lossless, PixelData=encapsulate([frame], fragments_per_frame=3))
    np.testing.assert_array_equal(shown(content), shown(radiograph(chest())))


@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.JPEGLosslessSV1, uid.JPEG2000Lossless])
def test_a_damaged_codestream(syntax: uid.UID) -> None:
    frame = bytearray(codestream(chest(64, 64), syntax, 12))
    frame[2 : len(frame) // 2] = b"\x01" * (len(frame) // 2 - 2)
    content = radiograph(chest(64, 64), syntax=syntax, PixelData=encapsulate([bytes(frame)]))
    assert refused(content).reason == "decode_failed"


def test_a_codestream_of_another_size_than_the_header_says() -> None:
    content = radiograph(chest(64, 64), syntax=uid.JPEG2000Lossless, Rows=32, Columns=128)
    assert refused(content).reason == "decode_failed"


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\0" * 132, b"\0" * 128 + b"DICM" + b"\xff" * 300])
def test_a_file_that_is_no_dicom(content: bytes) -> None:
    assert refused(content).reason in ("not_dicom", "no_pixels")


def test_noise_after_the_prefix_never_ends_in_another_error() -> None:
    random = np.random.default_rng(3)
    good = radiograph(chest(), **WINDOW)
    for _ in range(150):
        content = bytearray(good)
        for place in random.integers(132, 900, 6):
            content[place] = random.integers(256)
        with contextlib.suppress(Refused):
            assert shown(bytes(content)).shape == (40, 40)


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"PixelData": None}, "no_pixels"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "unsupported"),
        ({"PhotometricInterpretation": None}, "unsupported"),
        ({"NumberOfFrames": 2}, "unsupported"),
        ({"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31}, "unsupported"),
        ({"BitsStored": 0}, "unsupported"),
        ({"Rows": 0}, "unsupported"),
        ({"Rows": 65535, "Columns": 65535}, "unsupported"),
        ({"Rows": 8, "Columns": 200}, "unsupported"),
        ({"Rows": 160}, "truncated"),
    ],
)
def test_objects_that_are_not_a_single_whole_radiograph(elements: dict[str, Any], reason: str) -> None:
    assert refused(radiograph(chest(), **elements)).reason == reason


def test_a_constant_image() -> None:
    assert refused(radiograph(np.full((40, 40), 700, np.uint16), **WINDOW)).reason == "constant"


def test_an_unknown_transfer_syntax_is_refused_without_its_name() -> None:
    content = radiograph(chest())
    dataset = pydicom.dcmread(io.BytesIO(content))
    private = uid.UID(f"{UID_ROOT}.9")
    dataset.file_meta.TransferSyntaxUID = private
    file = io.BytesIO()
    dataset.save_as(file, implicit_vr=False, little_endian=True)
    assert refused(file.getvalue()).reason == "unsupported"


def test_nothing_of_the_header_reaches_a_log_or_a_warning(
    caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder, capfd: pytest.CaptureFixture[str]
) -> None:
    frame = b"\0" * 200 + b"\xff\xd9"
    contents = (
        radiograph(chest(), PatientAge=NAME, WindowCenter=5, WindowWidth=3),
        radiograph(chest(), syntax=uid.JPEG2000Lossless, PixelData=encapsulate([frame])),
        radiograph(chest(128, 128), syntax=uid.RLELossless)[:-900],
    )
    caplog.set_level(logging.DEBUG)
    recwarn.clear()
    for content in contents:
        with contextlib.suppress(Refused):  # `refused` looks at its words
            shown(content)
    printed = capfd.readouterr()
    said = " ".join([caplog.text, printed.out, printed.err, *(str(warning.message) for warning in recwarn)])
    assert not any(word in said for word in IDENTIFIERS)


def test_a_report_object_has_no_pixels() -> None:
    report = Dataset()
    report.SOPClassUID, report.SOPInstanceUID = uid.BasicTextSRStorage, f"{UID_ROOT}.5"
    assert refused(written(report, uid.ExplicitVRLittleEndian)).reason == "no_pixels"
