"""From stored values to grey levels: modality transform, then values of interest (PS3.3, C.11.1 and C.11.2).

A transform is a table over every value that the object can store, so that an image is mapped by one look-up whatever
the transform is: rescale or look-up table, then a linear, exact linear or sigmoid window or a look-up table. Grey
levels run from 0 (black) to 1.
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from components.core.dicom.elements import items, number, numbers, optional, text
from components.core.dicom.refusal import Refused

Floats = npt.NDArray[np.float64]
Curve = Callable[[Floats], Floats]


def modality_values(dataset: Dataset, values: npt.NDArray[np.int32]) -> Floats:
    """The stored values after the Modality LUT or the rescale, whichever the object has (PS3.3, C.11.1).

    Raises:
        Refused: decode_failed, where the Modality LUT is malformed: the values then mean nothing.
    """
    sequence = items(dataset, "ModalityLUTSequence")
    if sequence:
        try:
            entries, first, _ = _table(sequence[0], dataset)
        except ValueError as error:
            raise Refused("decode_failed", f"the Modality LUT is malformed: {error}") from None
        return entries[np.clip(values - first, 0, len(entries) - 1)]
    slope, intercept = (number(optional(dataset, f"Rescale{part}")) for part in ("Slope", "Intercept"))
    if slope is None or intercept is None or slope == 0:
        return values.astype(np.float64)
    return values.astype(np.float64) * slope + intercept


def curves(dataset: Dataset, chosen: int) -> Iterator[Curve]:
    """The object's own VOI transforms, the chosen one first, then the others in their order.

    `chosen` counts the VOI LUT Sequence where there is one, else the windows; past the end it means the last.
    """
    lookups = (_lookup(item, dataset) for item in items(dataset, "VOILUTSequence"))
    tables = [lookup for lookup in lookups if lookup is not None]
    windows = list(_windows(dataset))
    first = tables or windows
    if first:
        yield first.pop(min(chosen, len(first) - 1))
    yield from tables
    yield from windows


def percentile_window(values: Floats, counts: npt.NDArray[np.integer], percentiles: tuple[float, float]) -> Curve:
    """A linear window between two percentiles of the pixels, given as values and how many pixels have each.

    Where both percentiles fall on one value it is the whole range instead.
    """
    seen = np.flatnonzero(counts)
    seen = seen[np.argsort(values[seen], kind="stable")]
    share = np.cumsum(counts[seen]) / counts.sum()
    low, high = (values[seen][np.searchsorted(share, percentile / 100)] for percentile in percentiles)
    if low == high:
        low, high = values[seen[0]], values[seen[-1]]
    return lambda x: np.clip((x - low) / (high - low), 0, 1)


def _windows(dataset: Dataset) -> Iterator[Curve]:
    function = text(dataset, "VOILUTFunction").upper() or "LINEAR"
    smallest = {"LINEAR": 1.0, "LINEAR_EXACT": np.nextafter(0.0, 1.0), "SIGMOID": np.nextafter(0.0, 1.0)}
    for center, width in zip(numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth"), strict=False):
        if center is not None and width is not None and width >= smallest.get(function, np.inf):
            yield _window(function, center, width)


def _window(function: str, center: float, width: float) -> Curve:
    """PS3.3, C.11.2.1.2.1 (LINEAR), C.11.2.1.3.1 (SIGMOID), C.11.2.1.3.2 (LINEAR_EXACT), scaled to 0 … 1."""
    if function == "SIGMOID":
        return lambda x: 1 / (1 + np.exp(np.clip(-4 * (x - center) / width, -700, 700)))
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    if width == 0:
        return lambda x: (x > center).astype(np.float64)
    return lambda x: np.clip((x - center) / width + 0.5, 0, 1)


def _lookup(item: Dataset, dataset: Dataset) -> Curve | None:
    try:
        entries, first, depth = _table(item, dataset)
    except ValueError:
        return None
    top = max(float((1 << depth) - 1), float(entries.max()))  # some descriptors understate the depth
    return lambda x: entries[np.clip(np.rint(x).astype(np.int64) - first, 0, len(entries) - 1)] / top


def _table(item: Dataset, dataset: Dataset) -> tuple[Floats, int, int]:
    """Entries, first mapped value and depth in bits of a look-up table (PS3.3, C.11.1.1).

    Raises:
        ValueError: its descriptor or its data do not fit together.
    """
    descriptor, data = numbers(item, "LUTDescriptor"), optional(item, "LUTData")
    if data is None or len(descriptor) != 3:
        raise ValueError("the look-up table has no descriptor of three numbers or no data")
    count, first, depth = (int(part or 0) for part in descriptor)
    count = count or 1 << 16  # PS3.3, C.11.1.1.1: 0 stands for 65536
    if optional(dataset, "PixelRepresentation") == 1 and first > 0x7FFF:
        first -= 1 << 16  # written as US where SS was meant
    if isinstance(data, bytes):
        order = "<" if dataset.original_encoding[1] is not False else ">"
        wide = len(data) >= 2 * count
        data = np.frombuffer(data, np.dtype(f"{order}u2") if wide else np.dtype(np.uint8))
    entries = np.atleast_1d(np.asarray(data, np.float64))[:count]
    if len(entries) < count or not 1 <= depth <= 16:
        raise ValueError("the look-up table is shorter than its descriptor says, or has no known depth")
    return entries, first, depth
