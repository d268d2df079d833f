"""Decoding: every transfer syntax, and every kind of object that must be refused."""

import contextlib
import io
import logging
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from pydicom import uid
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from components.core.dicom import Refused, render
from components.core.dicom.pixels import MOST_BYTES, read_object, stored_pixels
from components.core.dicom.refusal import Objection
from components.core.records.tables import REASONS
from tests.dicom_files import IDENTIFIERS, LOSSLESS, NAME, UID_ROOT, chest, codestream, radiograph, written

ANY: tuple[Objection, ...] = ("modality", "body_part")
WINDOW = {"WindowCenter": 2000, "WindowWidth": 3000}


def shown(content: bytes, allow: tuple[Objection, ...] = ()) -> npt.NDArray[np.uint8]:
    return render(content, 40, 0, (0.5, 99.5), allow).image_SS


def refused(content: bytes, allow: tuple[Objection, ...] = ()) -> Refused:
    """The refusal of an object, checked to name a known reason and nothing of the header."""
    with pytest.raises(Refused) as refusal:
        shown(content, allow)
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
    np.testing.assert_array_equal(shown(other, ANY), shown(twin, ANY))
    assert refused(other).reason == "modality"  # good pixels, but of another modality


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("JPEG-lossy.dcm", None),
        ("J2K_pixelrep_mismatch.dcm", None),
        ("image_dfl.dcm", None),
        ("MR_truncated.dcm", "truncated"),
        ("SC_rgb_rle.dcm", "colour"),
        ("examples_palette.dcm", "colour"),
        ("rtdose.dcm", "multi_frame"),
        ("liver_1frame.dcm", "unsupported"),
        ("test-SR.dcm", "no_pixels"),
        ("no_meta.dcm", "not_dicom"),
        ("zipMR.gz", "not_dicom"),
    ],
)
def test_files_by_other_programs(name: str, reason: str | None) -> None:
    content = Path(get_testdata_file(name)).read_bytes()
    if reason is None:
        assert shown(content, ANY).std() > 5
    else:
        assert refused(content, ANY).reason == reason


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


@pytest.mark.parametrize("syntax", [uid.JPEGExtended12Bit, uid.JPEGLosslessSV1], ids=lambda syntax: syntax.keyword)
def test_a_codestream_that_was_cut_short_and_closed_again(syntax: uid.UID) -> None:
    frame = codestream(chest(128, 128), syntax, 12)
    frame = frame[: len(frame) // 4 * 2] + b"\xff\xd9"
    assert refused(radiograph(chest(128, 128), syntax=syntax, PixelData=encapsulate([frame]))).reason == "truncated"


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("syntax", [uid.JPEGLossless, uid.JPEGLosslessSV1], ids=lambda syntax: syntax.keyword)
def test_an_image_that_ends_in_mid_grey_was_not_cut_short(syntax: uid.UID, bits: int) -> None:
    stored = chest(64, 64, bits)
    stored[-5:] = 1 << (bits - 1)
    np.testing.assert_array_equal(shown(radiograph(stored, bits, syntax)), shown(radiograph(stored, bits)))


def misnamed(content: bytes, syntax: uid.UID) -> bytes:
    """The same object under another transfer syntax: only its name is changed, and the length of its group."""
    start = content.index(b"\x02\0\x10\0UI")
    end = start + 8 + int.from_bytes(content[start + 6 : start + 8], "little")
    name = syntax.encode() + b"\0" * (len(syntax) % 2)
    longer = int.from_bytes(content[140:144], "little") + len(name) - (end - start - 8)
    element = content[start : start + 6] + len(name).to_bytes(2, "little") + name
    return content[:140] + longer.to_bytes(4, "little") + content[144:start] + element + content[end:]


@pytest.mark.parametrize("named", [uid.ExplicitVRLittleEndian, uid.JPEG2000Lossless, uid.RLELossless])
@pytest.mark.parametrize("true", [uid.ExplicitVRLittleEndian, uid.JPEG2000Lossless, uid.RLELossless])
def test_a_wrong_transfer_syntax_never_gives_a_wrong_image(true: uid.UID, named: uid.UID) -> None:
    content = misnamed(radiograph(chest(), syntax=true), named)
    if true == named:
        np.testing.assert_array_equal(shown(content), shown(radiograph(chest())))
    else:
        assert refused(content).reason in ("truncated", "decode_failed")


def test_a_deflated_object_that_would_fill_the_memory() -> None:
    content = radiograph(chest(), syntax=uid.DeflatedExplicitVRLittleEndian)
    end = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True).file_meta.FileMetaInformationGroupLength + 144
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    private = b"\x09\0\x10\0UN\0\0" + (8 * MOST_BYTES - 1 & 0xFFFFFFFE).to_bytes(4, "little")
    bomb = deflater.compress(private) + b"".join(deflater.compress(bytes(1 << 20)) for _ in range(MOST_BYTES >> 20))
    tracemalloc.start()
    assert refused(content[:end] + bomb + deflater.compress(bytes(1 << 20)) + deflater.flush()).reason == "too_large"
    assert tracemalloc.get_traced_memory()[1] < 3 * MOST_BYTES
    tracemalloc.stop()


def test_a_deflated_object_that_is_too_large_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    content = radiograph(chest(), syntax=uid.DeflatedExplicitVRLittleEndian)
    monkeypatch.setattr("components.core.dicom.pixels.MOST_BYTES", len(content))
    monkeypatch.setattr(pydicom, "dcmread", lambda _: pytest.fail("parsed"))
    assert refused(content).reason == "too_large"


def test_sequences_nested_without_end() -> None:
    start = b"\x08\0\x15\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff"
    meta = radiograph(chest()).partition(b"\x08\0\x16\0")[0]
    assert refused(meta + start * 20_000).reason == "not_dicom"


@pytest.mark.parametrize("padding", [b"\0", b"\xff", b"\0\0\0", b"  \n"])
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
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "colour"),
        ({"PhotometricInterpretation": None}, "unsupported"),
        ({"NumberOfFrames": 2}, "multi_frame"),
        ({"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31}, "unsupported"),
        ({"BitsStored": 0}, "unsupported"),
        ({"Rows": 0}, "unsupported"),
        ({"Rows": 65535, "Columns": 65535}, "too_large"),
        ({"Rows": 8, "Columns": 200}, "unsupported"),
        ({"Rows": 160}, "truncated"),
        ({"Rows": 24}, "decode_failed"),
        ({"Rows": None, "Columns": None}, "unsupported"),
        ({"BitsAllocated": None}, "unsupported"),
        ({"PixelRepresentation": None}, "unsupported"),
    ],
)
def test_objects_that_are_not_a_single_whole_radiograph(elements: dict[str, Any], reason: str) -> None:
    assert refused(radiograph(chest(), **elements)).reason == reason


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.RLELossless, uid.JPEG2000Lossless])
@pytest.mark.parametrize("elements", [{"NumberOfFrames": 0}, {"SamplesPerPixel": None}])
def test_what_is_not_said_of_frames_and_samples_is_one(syntax: uid.UID, elements: dict[str, Any]) -> None:
    content = radiograph(chest(), syntax=syntax, **elements)
    np.testing.assert_array_equal(shown(content), shown(radiograph(chest())))


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


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"Modality": "CT"}, "modality"),
        ({"BodyPartExamined": "HAND"}, "body_part"),
        ({"BodyPartExamined": "L-SPINE"}, "body_part"),
        ({"BodyPartExamined": "T spine"}, "body_part"),
        ({"BurnedInAnnotation": "YES"}, "burned_in"),
        ({"BurnedInAnnotation": " yes"}, "burned_in"),
        ({"BurnedInAnnotation": "Y"}, "burned_in"),
    ],
)
def test_the_header_is_taken_at_its_word_unless_allowed(elements: dict[str, str], reason: Objection) -> None:
    content = radiograph(chest(), **elements)
    assert refused(content).reason == reason
    np.testing.assert_array_equal(shown(content, (reason,)), shown(radiograph(chest())))


def test_words_that_the_standard_does_not_know_say_nothing_against_an_object() -> None:
    shown(radiograph(chest(), Modality="DR", BodyPartExamined="PORT CHEST", BurnedInAnnotation="NO"))


def test_high_throughput_jpeg_2000() -> None:
    frame = imagecodecs.htj2k_encode(chest())
    content = radiograph(chest(), syntax=uid.JPEG2000Lossless, PixelData=encapsulate([frame]))
    dataset = pydicom.dcmread(io.BytesIO(content))
    for syntax in (uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K):
        dataset.file_meta.TransferSyntaxUID = syntax
        file = io.BytesIO()
        dataset.save_as(file)
        np.testing.assert_array_equal(shown(file.getvalue()), shown(radiograph(chest())))


@pytest.mark.parametrize("bits", [8, 12])
def test_bits_above_bits_stored_and_values_in_the_upper_bits(bits: int) -> None:
    values = chest(bits=bits)
    stray = values | np.uint16(0xA5 << bits & 0xFFFF)
    shifted = values << np.uint16(16 - bits)
    plain = radiograph(values, bits, BitsAllocated=16, PixelData=values.astype("<u2").tobytes())
    for content in (
        radiograph(values, bits, BitsAllocated=16, PixelData=stray.astype("<u2").tobytes()),
        radiograph(values, bits, BitsAllocated=16, HighBit=15, PixelData=shifted.astype("<u2").tobytes()),
    ):
        np.testing.assert_array_equal(shown(content), shown(plain))


def test_big_endian_bytes_in_words() -> None:
    values = chest(bits=8)
    words = values.astype("<u1").view(">u2").astype("<u2").tobytes()
    dataset = pydicom.dcmread(io.BytesIO(radiograph(values, 8, uid.ExplicitVRBigEndian, PixelData=words)))
    dataset["PixelData"].VR = "OW"
    file = io.BytesIO()
    dataset.save_as(file)
    np.testing.assert_array_equal(shown(file.getvalue()), shown(radiograph(values, 8)))
