"""One file of a user's as the model sees it, and as the user sees it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.core.dicom import Radiograph, Refused, render, render_picture
from components.core.dicom.picture import JPEG_START, PNG_START
from components.core.params import Objection
from components.core.records.letterbox import Letterbox
from components.core.records.views import FRONTAL

LEAST_SIDE = 64  # pixels; less than that shows no findings
PERCENTILES = (0.5, 99.5)  # where the header has no window that shows anything, as params.yaml has them


@dataclass(frozen=True)
class Opened:
    """A frontal radiograph.

    Attributes:
        small_SS: uint8 [S, S], letterboxed to the model's side, as ingest makes it.
        letterbox: where the source lies in it.
        large_HW: uint8 [H, W], the same grey levels on the source's own pixels, which are taken for squares.
        view: PA, AP or UNKNOWN.
        pixel_spacing_mm: millimetres between the source's rows, or None.
    """

    small_SS: npt.NDArray[np.uint8]
    letterbox: Letterbox
    large_HW: npt.NDArray[np.uint8]
    view: str
    pixel_spacing_mm: float | None


def open_radiograph(path: Path, size: int, window: int, allow: Sequence[Objection]) -> Opened:
    """Read a DICOM, PNG or JPEG file.

    Args:
        path: the file.
        size: side S of the model's images.
        window, allow: see `core.dicom.render`.

    Raises:
        ValueError: the file is missing, gives no image (with the reason's code), is smaller than `LEAST_SIDE`, or
            shows a view that is not frontal.
    """
    if not path.is_file():
        raise ValueError(f"{path} is not a file")
    content = path.read_bytes()
    picture = content.startswith((PNG_START, JPEG_START))

    def at(side: int) -> Radiograph:
        if picture:
            return render_picture(content, side)
        return render(content, side, window, PERCENTILES, allow)

    try:
        small = at(size)
        if small.header.view not in FRONTAL:
            raise ValueError(f"{path} shows the view {small.header.view}: the model knows frontal views only")
        box = small.letterbox
        if min(box.rows, box.columns) < LEAST_SIDE:
            raise ValueError(
                f"{path} has {box.rows} x {box.columns} pixels: at least {LEAST_SIDE} x {LEAST_SIDE} are wanted"
            )
        large = at(max(box.rows, box.columns))
    except Refused as refused:
        wanted = "; a DICOM, PNG or JPEG file is wanted" if refused.reason == "not_dicom" else ""
        raise ValueError(f"{path} is refused ({refused.reason}): {refused.message}{wanted}") from None
    return Opened(
        small_SS=small.image_SS,
        letterbox=box,
        large_HW=large.letterbox.inside(large.image_SS).copy(),
        view=small.header.view,
        pixel_spacing_mm=small.header.pixel_spacing_mm,
    )
