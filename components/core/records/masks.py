"""Masks as text: start and length of each run of pixels, counted down the columns from 0, blank-separated.

A mask of 2 x 2 pixels whose right column is set is "2 2".
"""

import cv2
import numpy as np
import numpy.typing as npt

from components.core.records.letterbox import Letterbox


def mask_of(runs: str, rows: int, columns: int) -> npt.NDArray[np.uint8]:
    """The mask [rows, columns] of runs: 255 within, 0 elsewhere.

    Raises:
        ValueError: a run ends beyond the last pixel.
    """
    numbers = [int(number) for number in runs.split()]
    mask_N = np.zeros(rows * columns, np.uint8)
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        if start + length > len(mask_N):
            raise ValueError(f"a run of the mask ends at pixel {start + length} of {len(mask_N)}")
        mask_N[start : start + length] = 255
    return np.ascontiguousarray(mask_N.reshape(columns, rows).T)


def runs_of(mask: npt.NDArray[np.uint8] | npt.NDArray[np.bool_]) -> str:
    """The runs of a mask [rows, columns]: what `mask_of` reads; empty where no pixel is set."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.T.ravel() != 0, [0]])))
    return " ".join(f"{start} {end - start}" for start, end in zip(edges[::2], edges[1::2], strict=True))


def shard_mask_png(runs: str, letterbox: Letterbox) -> bytes:
    """The mask in shard pixels [S, S], as PNG: 255 where at least half of a pixel is covered, 0 elsewhere.

    A mask too small or thin to cover half of any pixel keeps those that it covers most, so that no finding is lost.
    """
    covered_SS = letterbox.apply(mask_of(runs, letterbox.rows, letterbox.columns).astype(np.float32))
    least = min(128, max(1, int(covered_SS.max())))
    done, png = cv2.imencode(".png", np.where(covered_SS >= least, np.uint8(255), np.uint8(0)))
    assert done
    return png.tobytes()
