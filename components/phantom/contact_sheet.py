"""One picture of what the phantom draws: normal chests, then each pathology at rising severity."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from components.core.records.whole import whole_file
from components.phantom.draw import Drawing, draw
from components.phantom.study import OCCURRENCES, Finding, Patient, Study, grade

TILE = 132
PIXELS = 2 * TILE
CAPTION = 13
COLUMNS = 6
SEVERITIES = (0.3, 0.6, 0.95)
GREYS = 24  # few grey levels keep the file small

Tile = tuple[str, Drawing]


def _drawn(study: Study, seed: int, number: int) -> Drawing:
    return draw(study, PIXELS, PIXELS, np.random.default_rng([seed, number]))


def _normals(seed: int) -> Iterator[Tile]:
    """One row of chests without findings: both sexes, both views, slender to stout."""
    for number in range(COLUMNS):
        view, sex = ("PA", "PA", "AP")[number % 3], "FM"[number % 2]
        patient = Patient(sex, 60, 3 * number / (COLUMNS - 1) - 1.5)
        yield f"normal {view} {sex}", _drawn(Study(patient, view, ()), seed, number)


def _findings(seed: int) -> Iterator[Tile]:
    """Each pathology, going through its places as it grows; a pathology keeps its patient."""
    for number, (pathology, occurrence) in enumerate(OCCURRENCES.items()):
        places = list(occurrence.places)
        patient = Patient("FM"[number % 2], 60, 0.0)
        for step, severity in enumerate(SEVERITIES):
            finding = Finding(pathology, places[step % len(places)], severity)
            yield f"{pathology} {grade(severity)}", _drawn(Study(patient, "PA", (finding,)), seed, 100 + number)


def _outlined(drawing: Drawing) -> np.ndarray:
    """The image [H, W] as uint8 with the outlines of its findings' masks."""
    image_HW = np.rint(drawing.image_HW * 255).astype(np.uint8)
    for drawn in drawing.findings:
        contours, _ = cv2.findContours(drawn.mask_HW.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(image_HW, contours, -1, 255, 2, cv2.LINE_AA)
    return image_HW


def _page(tiles: Sequence[tuple[str, np.ndarray]]) -> np.ndarray:
    """Tiles with their captions above them, in rows: uint8 [H, W]."""
    rows = -(-len(tiles) // COLUMNS)
    page_HW = np.zeros((rows * (TILE + CAPTION), COLUMNS * TILE), dtype=np.uint8)
    for index, (caption, image_HW) in enumerate(tiles):
        y, x = (index // COLUMNS) * (TILE + CAPTION), (index % COLUMNS) * TILE
        small = cv2.resize(image_HW, (TILE, TILE), interpolation=cv2.INTER_AREA)
        page_HW[y + CAPTION : y + CAPTION + TILE, x : x + TILE] = (
            (small.astype(int) * GREYS // 256) * 255 // (GREYS - 1)
        )
        origin = (x + 2, y + CAPTION - 3)
        cv2.putText(page_HW, caption, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.34, 255, 1, cv2.LINE_AA)
    return page_HW


def write_contact_sheet(path: Path, seed: int) -> None:
    """Write the contact sheet, and beside it one with the outlines of the masks (`<name>_masks.png`).

    Equal seeds give equal bytes.
    """
    tiles = [*_normals(seed), *_findings(seed)]
    plain = [(caption, np.rint(drawing.image_HW * 255).astype(np.uint8)) for caption, drawing in tiles]
    outlined = [(caption, _outlined(drawing)) for caption, drawing in tiles[COLUMNS:]]
    for target, page in ((path, plain), (path.with_name(f"{path.stem}_masks.png"), outlined)):
        done, encoded = cv2.imencode(".png", _page(page), [cv2.IMWRITE_PNG_COMPRESSION, 9])
        assert done, target
        with whole_file(target) as temporary:
            temporary.write_bytes(encoded.tobytes())
