"""The contact sheet shows every pathology, legibly and in few bytes."""

import cv2
import pytest

from components.phantom.contact_sheet import CAPTION, COLUMNS, SEVERITIES, TILE, write_contact_sheet
from components.phantom.study import OCCURRENCES


@pytest.fixture(scope="module")
def sheets(tmp_path_factory):
    path = tmp_path_factory.mktemp("sheet") / "contact_sheet.png"
    write_contact_sheet(path, 7)
    return path, path.with_name("contact_sheet_masks.png")


def test_there_is_a_row_of_normals_and_a_tile_for_each_severity(sheets):
    page = cv2.imread(str(sheets[0]), cv2.IMREAD_GRAYSCALE)
    rows = 1 + -(-len(OCCURRENCES) * len(SEVERITIES) // COLUMNS)
    assert page.shape == (rows * (TILE + CAPTION), COLUMNS * TILE)
    for row in range(rows):
        for column in range(COLUMNS):
            tile = page[row * (TILE + CAPTION) :, column * TILE :][: TILE + CAPTION, :TILE]
            assert tile[:CAPTION].max() > 200, "the caption"
            assert tile[CAPTION:].std() > 20, "the image"


def test_the_sheets_are_small_and_leave_nothing_else_behind(sheets):
    assert sorted(sheets) == sorted(sheets[0].parent.iterdir())
    assert all(path.stat().st_size < 300_000 for path in sheets)


def test_outlines_mark_the_masks(sheets):
    plain, outlined = (cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sheets)
    findings = plain[TILE + CAPTION :]
    assert findings.shape == outlined.shape
    assert (outlined.astype(int) - findings > 60).mean() > 0.01
