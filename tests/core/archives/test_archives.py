"""Opening an archive, and reading its reports."""

from pathlib import Path

import pytest

from components.core.archives import LAYOUTS, open_archive
from tests.archive_files import write, write_mimic


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_root_that_is_no_folder(tmp_path: Path, layout: str) -> None:
    with pytest.raises(ValueError, match="nowhere is not a folder"):
        open_archive(layout, str(tmp_path / "nowhere"))


def test_an_unknown_layout() -> None:
    with pytest.raises(ValueError, match="allowed are mimic_cxr, nih_cxr14"):
        open_archive("nih", "/")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16"])
def test_reports_of_any_encoding_and_line_end(tmp_path: Path, encoding: str) -> None:
    text = "FINDINGS: Épanchement à gauche, 5 µm.\nIMPRESSION: oedème.\n"
    write_mimic(tmp_path)
    write(tmp_path, "files/p10/p10000032/s50414267.txt", text.replace("\n", "\r\n").encode(encoding))
    archive = open_archive("mimic_cxr", str(tmp_path))
    assert archive.read_text("files/p10/p10000032/s50414267.txt") == text


def test_a_report_of_any_bytes_is_read(tmp_path: Path) -> None:
    write_mimic(tmp_path)
    write(tmp_path, "files/any.txt", bytes(range(256)))
    assert len(open_archive("mimic_cxr", str(tmp_path)).read_text("files/any.txt")) == 256
