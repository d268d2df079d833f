"""Grey levels against pydicom's own modality and VOI transforms: two implementations of PS3.3, C.11."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from pydicom import uid
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from components.core.dicom import Refused, render
from tests.dicom_files import chest, radiograph, written

SIZE = 64
PERCENTILES = (0.0, 100.0)


def ours(content: bytes, window: int = 0, percentiles: tuple[float, float] = PERCENTILES) -> npt.NDArray[np.uint8]:
    """Grey levels without any resampling: the source has the size of the result."""
    return render(content, SIZE, window, percentiles).image_SS


def pydicoms(content: bytes, window: int = 0) -> npt.NDArray[np.float64]:
    """Grey levels 0 … 255 by pydicom, whose own output runs over the range of the modality values."""
    dataset = pydicom.dcmread(io.BytesIO(content))
    grey = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset, window).astype(np.float64)
    if "VOILUTSequence" in dataset:
        low, high = 0.0, float((1 << dataset.VOILUTSequence[window].LUTDescriptor[2]) - 1)
    elif "ModalityLUTSequence" in dataset:
        low, high = 0.0, float((1 << dataset.ModalityLUTSequence[0].LUTDescriptor[2]) - 1)
    else:
        half = (1 << (dataset.BitsStored - 1)) if dataset.PixelRepresentation else 0
        ends = np.array([-half, (1 << dataset.BitsStored) - 1 - half]) * float(dataset.get("RescaleSlope", 1))
        low, high = sorted(ends + float(dataset.get("RescaleIntercept", 0)))
    scaled = 255 * (grey - low) / (high - low)
    return 255 - scaled if dataset.PhotometricInterpretation == "MONOCHROME1" else scaled


def lookup(count: int, first: int, depth: int, entries: npt.NDArray[Any], kind: str) -> Dataset:
    """An item of a VOI or Modality LUT Sequence."""
    item = Dataset()
    item.LUTDescriptor = [count % (1 << 16), first, depth]
    item["LUTDescriptor"].VR = "US"
    item.LUTData = entries.astype("<u2").tobytes() if kind == "OW" else [int(entry) for entry in entries]
    item["LUTData"].VR = kind
    return item


def image(bits: int = 12, signed: bool = False) -> npt.NDArray[Any]:
    """Stored values [SIZE, SIZE]."""
    values = chest(SIZE, SIZE, bits)
    return (values.astype(np.int32) - (1 << (bits - 1))).astype(np.int16) if signed else values


def same(content: bytes, window: int = 0) -> None:
    expected = pydicoms(content, window)
    assert expected.std() > 5
    np.testing.assert_allclose(ours(content, window), expected, atol=0.503)  # half a level, and half of its 256th


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 15, 16])
def test_every_depth_signed_and_unsigned(bits: int, signed: bool) -> None:
    middle = 0 if signed else 1 << (bits - 1)
    same(radiograph(image(bits, signed), bits, WindowCenter=middle + 3, WindowWidth=(1 << bits) * 2 // 3))


@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_every_window_function_and_photometric_interpretation(function: str | None, photometric: str) -> None:
    elements = {} if function is None else {"VOILUTFunction": function}
    same(radiograph(image(), WindowCenter=2100, WindowWidth=1500, PhotometricInterpretation=photometric, **elements))


def test_linear_and_exact_windows_differ_by_half_a_step_at_the_edge() -> None:
    stored = np.full((SIZE, SIZE), 4, np.uint16)
    stored[:, SIZE // 2 :] = 12
    linear, exact = (
        ours(radiograph(stored, WindowCenter=8, WindowWidth=16, VOILUTFunction=function))
        for function in ("LINEAR", "LINEAR_EXACT")
    )
    assert linear[0, 0] == round(255 * ((4 - 7.5) / 15 + 0.5))
    assert exact[0, 0] == round(255 * ((4 - 8) / 16 + 0.5))


@pytest.mark.parametrize(("slope", "intercept"), [(1, -1024), (2.5, 7), (0.5, 0), (1, 0)])
@pytest.mark.parametrize("function", ["LINEAR", "SIGMOID"])
def test_rescale_comes_before_the_window(slope: float, intercept: float, function: str) -> None:
    center, width = 2000 * slope + intercept, 2500 * slope
    same(
        radiograph(
            image(),
            RescaleSlope=slope,
            RescaleIntercept=intercept,
            WindowCenter=center,
            WindowWidth=width,
            VOILUTFunction=function,
        )
    )


@pytest.mark.parametrize("window", [0, 1, 2])
def test_the_parameter_chooses_among_several_windows(window: int) -> None:
    same(radiograph(image(), WindowCenter=[1500, 2000, 2500], WindowWidth=[1000, 2000, 3000]), window)


def test_a_window_past_the_last_means_the_last() -> None:
    content = radiograph(image(), WindowCenter=[1500, 2500], WindowWidth=[1000, 3000])
    np.testing.assert_array_equal(ours(content, window=9), ours(content, window=1))


@pytest.mark.parametrize(
    ("count", "first", "depth", "kind"),
    [(4096, 0, 12, "OW"), (4096, 0, 12, "US"), (2000, 900, 16, "OW"), (1000, 1500, 10, "US"), (65536, 0, 16, "OW")],
)
def test_voi_look_up_tables(count: int, first: int, depth: int, kind: str) -> None:
    entries = np.round(np.linspace(0, 1, count) ** 1.7 * ((1 << depth) - 1))
    bits = 16 if count == 65536 else 12
    same(radiograph(image(bits), bits, VOILUTSequence=[lookup(count, first, depth, entries, kind)]))


def test_the_parameter_chooses_among_several_tables_and_tables_come_before_windows() -> None:
    curves = [lookup(4096, 0, 12, 4095 * np.linspace(0, 1, 4096) ** power, "OW") for power in (1.0, 3.0)]
    content = radiograph(image(), VOILUTSequence=curves, WindowCenter=100, WindowWidth=100)
    same(content, 0)
    same(content, 1)


def test_entries_of_eight_bits_may_be_packed() -> None:
    entries = np.round(255 * np.linspace(0, 1, 4096) ** 2)
    packed = lookup(4096, 0, 8, entries, "OW")
    packed.LUTData = entries.astype(np.uint8).tobytes()
    wide = radiograph(image(), VOILUTSequence=[lookup(4096, 0, 8, entries, "OW")])
    np.testing.assert_array_equal(ours(radiograph(image(), VOILUTSequence=[packed])), ours(wide))


def test_modality_look_up_table_comes_before_the_window() -> None:
    entries = np.round(65535 * np.linspace(0, 1, 4000) ** 0.5)
    modality = [lookup(4000, 50, 16, entries, "OW")]
    same(radiograph(image(), ModalityLUTSequence=modality, WindowCenter=40000, WindowWidth=50000))


def test_big_endian_tables_are_read_in_their_order() -> None:
    entries = np.round(4095 * np.linspace(0, 1, 4096) ** 2)
    little = ours(radiograph(image(), VOILUTSequence=[lookup(4096, 0, 12, entries, "US")]))
    big = radiograph(image(), syntax=uid.ExplicitVRBigEndian, VOILUTSequence=[lookup(4096, 0, 12, entries, "US")])
    np.testing.assert_array_equal(ours(big), little)


def test_bits_above_bits_stored_are_ignored() -> None:
    clean = image(10)
    dirty = clean | np.uint16(0b101 << 10)
    window = {"WindowCenter": 512, "WindowWidth": 900}
    expected = ours(radiograph(clean, 10, **window))
    header = {"BitsStored": 10, "HighBit": 9}
    np.testing.assert_array_equal(ours(radiograph(dirty, 16, **header, **window)), expected)


def test_bits_below_the_value_are_ignored() -> None:
    clean = image(10)
    shifted = (clean << 6) | np.uint16(0b010101)
    window = {"WindowCenter": 512, "WindowWidth": 900}
    np.testing.assert_array_equal(
        ours(radiograph(shifted, 16, BitsStored=10, HighBit=15, **window)), ours(radiograph(clean, 10, **window))
    )


def test_without_a_window_percentiles_are_used() -> None:
    stored = image()
    low, high = np.percentile(stored, [5, 95], method="inverted_cdf")
    expected = np.clip((stored - float(low)) / (float(high) - float(low)), 0, 1) * 255
    np.testing.assert_allclose(
        ours(radiograph(stored), percentiles=(5, 95)), expected, atol=0.503
    )  # half a level, and half of its 256th


def test_percentiles_leave_padding_out() -> None:
    stored = image()
    stored[:20] = 0
    padded = ours(radiograph(stored, PixelPaddingValue=0), percentiles=(1, 99))
    field = stored[20:]
    low, high = (float(edge) for edge in np.percentile(field, [1, 99], method="inverted_cdf"))
    np.testing.assert_allclose(
        padded[20:], np.clip((field - low) / (high - low), 0, 1) * 255, atol=0.503
    )  # half a level, and half of its 256th


@pytest.mark.parametrize(
    "unusable",
    [
        {"WindowCenter": 60000, "WindowWidth": 10},
        {"WindowCenter": 2000, "WindowWidth": 0},
        {"WindowCenter": 2000, "WindowWidth": 900, "VOILUTFunction": "CURVED"},
        {"WindowCenter": 2000},
    ],
    ids=["shows nothing", "no width", "unknown function", "no width at all"],
)
def test_a_window_that_cannot_be_used_gives_way_to_percentiles(unusable: dict[str, Any]) -> None:
    np.testing.assert_array_equal(ours(radiograph(image(), **unusable)), ours(radiograph(image())))


def test_a_window_that_shows_nothing_gives_way_to_the_next() -> None:
    good = radiograph(image(), WindowCenter=2000, WindowWidth=2000)
    both = radiograph(image(), WindowCenter=[60000, 2000], WindowWidth=[10, 2000])
    np.testing.assert_array_equal(ours(both), ours(good))


def test_a_short_table_gives_way_to_the_window() -> None:
    short = lookup(4096, 0, 12, np.arange(100), "OW")
    good = radiograph(image(), WindowCenter=2000, WindowWidth=2000)
    broken = radiograph(image(), VOILUTSequence=[short], WindowCenter=2000, WindowWidth=2000)
    np.testing.assert_array_equal(ours(broken), ours(good))


def test_a_malformed_modality_table_is_refused() -> None:
    with pytest.raises(Refused) as refusal:
        ours(radiograph(image(), ModalityLUTSequence=[lookup(4096, 0, 12, np.arange(100), "OW")]))
    assert refusal.value.reason == "decode_failed"


@pytest.mark.parametrize("keyword", ["VOILUTSequence", "ModalityLUTSequence", "ViewCodeSequence"])
@pytest.mark.parametrize(("kind", "value"), [("US", 7), ("DS", "1.5"), ("PN", "A^B"), ("AT", 0x00080008)])
def test_a_sequence_that_is_none_counts_as_lacking(keyword: str, kind: str, value: Any) -> None:
    dataset = pydicom.dcmread(io.BytesIO(radiograph(image(), WindowCenter=2000, WindowWidth=2000, ViewPosition=None)))
    good = ours(written(dataset, uid.ExplicitVRLittleEndian))
    dataset.add(DataElement(tag_for_keyword(keyword) or 0, kind, value))
    np.testing.assert_array_equal(ours(written(dataset, uid.ExplicitVRLittleEndian)), good)
