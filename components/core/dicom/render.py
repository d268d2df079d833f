"""One object's bytes → a letterboxed 8-bit image [S, S] as a radiologist would see it, with its facts."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from components.core.dicom.elements import number, optional
from components.core.dicom.grey import curves, modality_values, percentile_window
from components.core.dicom.header import HeaderFacts, header_facts
from components.core.dicom.pixels import Stored, read_object, stored_pixels
from components.core.dicom.refusal import Refused
from components.core.records.letterbox import Letterbox


@dataclass(frozen=True)
class Radiograph:
    """An image with what is known of it.

    Attributes:
        image_SS: uint8 [S, S], 0 black, MONOCHROME1 turned over.
        letterbox: where the source lies in it.
        header: what is kept of the header.
        transfer_syntax: the standard's keyword.
    """

    image_SS: npt.NDArray[np.uint8]
    letterbox: Letterbox
    header: HeaderFacts
    transfer_syntax: str


def render(content: bytes, size: int, window: int, percentiles: tuple[float, float]) -> Radiograph:
    """Decode an object and bring it to `size` x `size` grey levels.

    Args:
        content: the bytes of the DICOM file.
        size: side S of the result in pixels.
        window: which of the header's VOI tables or windows is used (see `grey.curves`).
        percentiles: the window where the header has none that shows anything.

    Raises:
        Refused: the object gives no image; its reason is a code of records.tables.REASONS.
    """
    dataset = read_object(content)
    stored = stored_pixels(dataset)
    rows, columns = stored.raw_HW.shape
    letterbox = Letterbox.of(rows, columns, size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's quote the header
        header = header_facts(dataset)
        image_SS = _image(dataset, stored, letterbox, window, percentiles)
    return Radiograph(image_SS, letterbox, header, stored.transfer_syntax)


def _image(
    dataset: Dataset, stored: Stored, letterbox: Letterbox, window: int, percentiles: tuple[float, float]
) -> npt.NDArray[np.uint8]:
    """The image [S, S] by the first transform that shows more than one grey level."""
    field = stored.field(np.arange(1 << (8 * stored.raw_HW.dtype.itemsize)))
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    for grey in _tables(dataset, stored, window, percentiles):
        table = (255 * (1 - grey if inverted else grey)).astype(np.float32)[field]
        image_SS = letterbox.apply(cv2.LUT(stored.raw_HW, table))
        shown = letterbox.inside(image_SS)
        if shown.min() < shown.max():
            return image_SS
    raise Refused("constant", "all pixels have the same value")


def _tables(
    dataset: Dataset, stored: Stored, window: int, percentiles: tuple[float, float]
) -> Iterator[npt.NDArray[np.float64]]:
    """Grey level 0 to 1 of every value that can be stored: by the header's transforms, then by percentiles."""
    values = modality_values(dataset, stored.values)
    for curve in curves(dataset, window):
        yield curve(values)
    counts = np.bincount(stored.field(stored.raw_HW.ravel()), minlength=len(values))
    counts[_padding(dataset, stored.values)] = 0
    if np.count_nonzero(counts) > 1:
        yield percentile_window(values, counts, percentiles)(values)


def _padding(dataset: Dataset, values: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """Which values stand for pixels outside the exposed field (Pixel Padding Value, PS3.3, C.7.5.1.1.2)."""
    first = number(optional(dataset, "PixelPaddingValue"))
    if first is None:
        return np.zeros(values.shape, np.bool_)
    last = number(optional(dataset, "PixelPaddingRangeLimit"))
    last = first if last is None else last
    return (values >= min(first, last)) & (values <= max(first, last))
