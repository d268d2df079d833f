"""One object's bytes → a letterboxed 8-bit image [S, S] as a radiologist would see it, with its facts."""

import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from components.core.dicom.elements import number, optional
from components.core.dicom.grey import curves, modality_values, percentile_window
from components.core.dicom.header import HeaderFacts, Objection, header_facts, refuse_by_header
from components.core.dicom.pixels import Stored, read_object, stored_pixels
from components.core.dicom.refusal import Refused
from components.core.records.letterbox import Letterbox

FINER = 256  # grey levels are averaged in steps of 1/256


@dataclass(frozen=True)
class Radiograph:
    """An image with what is known of it.

    Attributes:
        image_SS: uint8 [S, S], 0 black, MONOCHROME1 turned over.
        letterbox: where the source lies in it.
        header: what is kept of the header.
        transfer_syntax: the standard's keyword.
        bits: Bits Stored.
    """

    image_SS: npt.NDArray[np.uint8]
    letterbox: Letterbox
    header: HeaderFacts
    transfer_syntax: str
    bits: int


def render(
    content: bytes, size: int, window: int, percentiles: tuple[float, float], allow: Collection[Objection] = ()
) -> Radiograph:
    """Decode an object and bring it to `size` x `size` grey levels.

    Args:
        content: the bytes of the DICOM file.
        size: side S of the result in pixels.
        window: which of the header's VOI tables or windows is used (see `grey.curves`).
        percentiles: the window where the header has none that shows anything.
        allow: what the header may say without the object being refused (see `header.refuse_by_header`).

    Raises:
        Refused: the object gives no image; its reason is a code of records.tables.REASONS.
    """
    dataset = read_object(content)
    refuse_by_header(dataset, allow)
    stored = stored_pixels(dataset)
    rows, columns = stored.raw_HW.shape
    letterbox = Letterbox.of(rows, columns, size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's quote the header
        header = header_facts(dataset)
        image_SS = _image(dataset, stored, letterbox, window, percentiles)
    return Radiograph(image_SS, letterbox, header, stored.transfer_syntax, stored.bits)


def _image(
    dataset: Dataset, stored: Stored, letterbox: Letterbox, window: int, percentiles: tuple[float, float]
) -> npt.NDArray[np.uint8]:
    """The image [S, S] by the first transform that shows more than one grey level."""
    field = stored.field(np.arange(1 << (8 * stored.raw_HW.dtype.itemsize)))
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    for grey in _tables(dataset, stored, field, window, percentiles):
        table = np.rint(255 * FINER * (1 - grey if inverted else grey)).astype(np.uint16)[field]
        image_SS = letterbox.apply(cv2.LUT(stored.raw_HW, table), FINER)
        shown = letterbox.inside(image_SS)
        if shown.min() < shown.max():
            return image_SS
    raise Refused("constant", "all pixels have the same value")


def _tables(
    dataset: Dataset,
    stored: Stored,
    field: npt.NDArray[np.integer],
    window: int,
    percentiles: tuple[float, float],
) -> Iterator[npt.NDArray[np.float64]]:
    """Grey level 0 to 1 of every value that can be stored: by the header's transforms, then by percentiles."""
    values = modality_values(dataset, stored.values)
    for curve in curves(dataset, window):
        yield curve(values)
    counts = np.bincount(field, weights=_histogram(stored.raw_HW), minlength=len(values)).astype(np.int64)
    counts[_padding(dataset, stored.values)] = 0
    if np.count_nonzero(counts) > 1:
        yield percentile_window(values, counts, percentiles)(values)


def _histogram(raw_HW: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
    """How many pixels have each raw word; OpenCV counts in float32, which is exact below 2^24."""
    words = 1 << (8 * raw_HW.dtype.itemsize)
    if raw_HW.size < 1 << 24:
        return np.asarray(cv2.calcHist([raw_HW], [0], None, [words], [0, words])).ravel()
    return np.bincount(raw_HW.ravel(), minlength=words).astype(np.float32)


def _padding(dataset: Dataset, values: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """Which values stand for pixels outside the exposed field (Pixel Padding Value, PS3.3, C.7.5.1.1.2)."""
    first = number(optional(dataset, "PixelPaddingValue"))
    if first is None:
        return np.zeros(values.shape, np.bool_)
    last = number(optional(dataset, "PixelPaddingRangeLimit"))
    last = first if last is None else last
    return (values >= min(first, last)) & (values <= max(first, last))
