"""The benchmark of the report parser runs, on phantom reports and on a file of them."""

import json
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from benchmarks.reports import phantom_reports, run, wall_seconds


def test_phantom_reports_are_all_different() -> None:
    texts = phantom_reports(50)
    assert len(set(texts)) == 50


def test_the_tables_are_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDSLIP_WORKERS", "1")
    lines = [json.dumps({"id": number, "text": text}) for number, text in enumerate(phantom_reports(5))]
    Path("in.jsonl").write_text("\n".join(lines), encoding="utf-8")
    run(Path("in.jsonl"))
    printed = capsys.readouterr().out
    assert "5 different reports of in.jsonl" in printed
    assert "medspaCy" in printed
    assert "not set up: make benchmark-medspacy" in printed
    assert "processes" in printed


def test_a_process_that_dies_ends_the_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "components").mkdir()
    (tmp_path / "components/__init__.py").touch()  # where the new processes will look for the parser
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BrokenProcessPool):
        wall_seconds(["No effusion."], 1)


def test_a_file_without_reports_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(ValueError, match=r"in\.jsonl holds no report"):
        run(tmp_path / "in.jsonl")
