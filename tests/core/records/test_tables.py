"""Tables carry their schema, and a reader refuses another one."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.core.records.tables import SCHEMAS, VERSION, read_metadata, read_table, write_table

ROW = {
    "study_id": "s1", "section": "findings", "sentence": 0, "start": 3, "end": 9, "pathology": "effusion",
    "anatomy": "left_pleural", "presence": "absent", "cue": "no",
}  # fmt: skip


def test_rows_and_frames_give_the_same_bytes(tmp_path: Path) -> None:
    write_table(tmp_path / "rows.parquet", [ROW, ROW], "findings")
    write_table(tmp_path / "frame.parquet", pd.DataFrame([ROW, ROW]), "findings")
    assert (tmp_path / "rows.parquet").read_bytes() == (tmp_path / "frame.parquet").read_bytes()
    assert read_table(tmp_path / "rows.parquet", "findings").to_dict("records") == [ROW, ROW]


def test_an_empty_table_keeps_its_columns(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", [], "findings")
    assert list(read_table(tmp_path / "t.parquet", "findings").columns) == SCHEMAS["findings"].names


def test_metadata_stand_beside_the_rows(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", [ROW], "findings", {"key_fingerprint": "ab"})
    assert read_metadata(tmp_path / "t.parquet", "findings")["key_fingerprint"] == "ab"


@pytest.mark.parametrize(
    "change", [{"sentence": "first"}, {"start": 2**40}, {"presence": 3}], ids=["text", "too_large", "number"]
)
def test_a_value_of_another_type_is_refused(tmp_path: Path, change: dict) -> None:
    for rows in ([{**ROW, **change}], pd.DataFrame([{**ROW, **change}])):
        with pytest.raises((pa.ArrowInvalid, pa.ArrowTypeError, OverflowError)):
            write_table(tmp_path / "t.parquet", rows, "findings")
    assert not (tmp_path / "t.parquet").exists()


def test_a_missing_column_is_refused(tmp_path: Path) -> None:
    less = {key: value for key, value in ROW.items() if key != "cue"}
    with pytest.raises(AssertionError):
        write_table(tmp_path / "t.parquet", [less], "findings")
    with pytest.raises((KeyError, pa.ArrowInvalid)):
        write_table(tmp_path / "t.parquet", pd.DataFrame([less]), "findings")


def test_another_schema_and_another_version_are_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", [ROW], "findings")
    with pytest.raises(ValueError, match=f"holds schema 'findings' version '{VERSION}', expected 'manifest' version"):
        read_table(tmp_path / "t.parquet", "manifest")
    table = pq.read_table(tmp_path / "t.parquet")
    pq.write_table(table.replace_schema_metadata({"schema": "findings", "schema_version": "0"}), tmp_path / "o.parquet")
    with pytest.raises(ValueError, match=f"version '0', expected 'findings' version '{VERSION}'"):
        read_table(tmp_path / "o.parquet", "findings")


def test_a_damaged_page_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_table(path, [{**ROW, "study_id": f"s{number}"} for number in range(500)], "findings")
    content = path.read_bytes()
    path.write_bytes(content[:300] + b"\xff" * 100 + content[400:])
    with pytest.raises(ValueError, match=r"t\.parquet is not a Parquet table, or corrupt: ") as refusal:
        read_table(path, "findings")
    assert "\n" not in str(refusal.value)


def test_a_file_without_a_column_of_its_schema_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", [ROW], "findings")
    pq.write_table(pq.read_table(tmp_path / "t.parquet").drop_columns(["cue", "end"]), tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"t\.parquet lacks end, cue of the schema 'findings': run the stage"):
        read_table(tmp_path / "t.parquet", "findings")


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist: run the stage that makes it first"):
        read_table(tmp_path / "t.parquet", "findings")
    (tmp_path / "t.parquet").write_bytes(b"text")
    with pytest.raises(ValueError, match="is not a Parquet table"):
        read_table(tmp_path / "t.parquet", "findings")
