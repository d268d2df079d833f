"""`python -m components.reports parse`: reports as lines of JSON to triplets as lines of JSON."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from components.reports.lines import parse_file


def parse_command(folder: Path, repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    command = [sys.executable, "-m", "components.reports", "parse", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def refused_of(folder: Path) -> list[str]:
    """The sentences on lines that were passed over."""
    refused: list[str] = []
    parse_file(folder / "in.jsonl", folder / "out.jsonl", refused)
    return refused


def parsed(folder: Path) -> list[str]:
    """The reports that were parsed, by their ids."""
    refused_of(folder)
    return [json.loads(line)["id"] for line in (folder / "out.jsonl").read_text().splitlines()]


def test_reports_of_either_shape_end_to_end(tmp_path: Path, repository: Path) -> None:
    reports = [
        {"id": "a", "findings": "Left effusion. No edema.", "impression": "Possible pneumonia."},
        {"id": 2, "text": "HISTORY: edema.\nIMPRESSION: Cardiomegaly."},
        {"id": "c", "findings": None, "impression": ""},
    ]
    source = "\n".join(json.dumps(report) for report in reports) + "\n\n"
    (tmp_path / "in.jsonl").write_text(source, encoding="utf-8")
    done = parse_command(tmp_path, repository, "in.jsonl", "--out", "out.jsonl")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == [
        {
            "id": "a",
            "present": [["effusion", "left_pleural"]],
            "absent": [["edema", "pulmonary"]],
            "uncertain": [["pneumonia", "pulmonary"]],
        },
        {"id": 2, "present": [["cardiomegaly", "heart_size"]], "absent": [], "uncertain": []},
        {"id": "c", "present": [], "absent": [], "uncertain": []},
    ]


def test_a_pair_said_in_several_ways_counts_once(tmp_path: Path) -> None:
    report = {"id": "a", "findings": "No left effusion.", "impression": "Small left effusion. Possible left effusion."}
    (tmp_path / "in.jsonl").write_text(json.dumps(report), encoding="utf-8")
    parse_file(tmp_path / "in.jsonl", tmp_path / "out.jsonl", [])
    result = json.loads((tmp_path / "out.jsonl").read_text())
    assert result == {"id": "a", "present": [["effusion", "left_pleural"]], "absent": [], "uncertain": []}


LAST = '{"id": "z", "text": "Clear lungs."}\n'
GOOD = '{"id": "a", "text": "Clear lungs."}\n'
BAD_LINES = {
    "not JSON": ("{", "line 2 is not JSON"),
    "a list": ("[1]", "line 2 is not an object with an id"),
    "no id": ('{"text": "x"}', "line 2 is not an object with an id"),
    "no report": ('{"id": 1}', "line 2 holds no report"),
    "a number for a text": ('{"id": 1, "findings": 3}', "line 2: findings is not a text"),
    "a number that is no number for an id": ('{"id": NaN, "text": "x"}', "line 2: the id is neither a text nor a"),
    "an id twice": ('{"id": "a", "text": "x"}', "line 2: the id stands in line 1 already"),
    "nested without an end": ('{"id": 1, "text": ' + "[" * 99_999, "line 2 is not JSON"),
    "null for the whole text": ('{"id": 1, "text": null}', "line 2: text is not a text"),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_bad_line_is_named_and_passed_over(name: str, tmp_path: Path) -> None:
    line, message = BAD_LINES[name]
    (tmp_path / "in.jsonl").write_text(GOOD + line + "\n" + LAST, encoding="utf-8")
    assert parsed(tmp_path) == ["a", "z"]
    (refused,) = refused_of(tmp_path)
    assert message in refused


def test_a_file_without_a_report_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("{\n[]\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"no line can be read: .*line 1 is not JSON"):
        parse_file(tmp_path / "in.jsonl", tmp_path / "out.jsonl", [])
    assert not (tmp_path / "out.jsonl").exists()


def test_lines_passed_over_are_counted_at_the_end(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "in.jsonl").write_text(GOOD + "{\n" + GOOD, encoding="utf-8")
    done = parse_command(tmp_path, repository, "in.jsonl", "--out", "out.jsonl")
    assert (done.returncode, done.stderr.splitlines()[-2:]) == (0, ["2 lines passed over", "1 reports (1 no heading)"])


def test_a_byte_order_mark_and_odd_ids_are_taken(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(b'\xef\xbb\xbf{"id": "\\ud800", "text": "Cardiomegaly."}\n')
    parse_file(tmp_path / "in.jsonl", tmp_path / "out.jsonl", [])
    assert json.loads((tmp_path / "out.jsonl").read_text())["id"] == "\ud800"


def test_a_line_in_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(GOOD.encode() + '{"id": "é", "text": ""}'.encode("latin-1"))
    assert parsed(tmp_path) == ["a"]
    (refused,) = refused_of(tmp_path)
    assert "line 2 is not UTF-8" in refused


def test_an_output_below_a_file_is_refused_in_a_sentence(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "in.jsonl").write_text(GOOD, encoding="utf-8")
    done = parse_command(tmp_path, repository, "in.jsonl", "--out", "in.jsonl/out.jsonl")
    assert (done.returncode, done.stderr.startswith("error: "), "Traceback" in done.stderr) == (2, True, False)


@pytest.mark.parametrize("content", [None, "{\n"])
def test_bad_input_is_one_sentence_and_status_2(content: str | None, tmp_path: Path, repository: Path) -> None:
    if content is not None:
        (tmp_path / "in.jsonl").write_text(content, encoding="utf-8")
    done = parse_command(tmp_path, repository, "in.jsonl", "--out", "out.jsonl")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "in.jsonl" in done.stderr
    assert "Traceback" not in done.stderr
