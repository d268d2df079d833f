"""The tables that flow between stages: their schemas, and reading and writing them as Parquet.

Every file carries the name and the version of its schema; a reader refuses another one.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from components.core.records.whole import whole_file

VERSION = "3"
BATCH = 10_000  # rows that are Python objects at once, where a table may have millions

_box = pa.struct([("name", pa.string()), *((axis, pa.float64()) for axis in ("x", "y", "width", "height"))])
_mask = pa.struct([("name", pa.string()), ("runs", pa.string()), ("rows", pa.int32()), ("columns", pa.int32())])
_label = pa.struct([("name", pa.string()), ("value", pa.int8())])

# One row an image of an archive, or a study without one (uri is then empty). It knows real names: never pushed.
INVENTORY = pa.schema(
    [
        ("uri", pa.string()),  # relative to the archive's root
        ("bytes", pa.int64()),  # -1 where the file is missing
        ("version", pa.string()),  # sha256:…, etag:… or stat:…
        ("image", pa.string()),  # names as in the archive
        ("study", pa.string()),
        ("patient", pa.string()),
        ("image_id", pa.string()),  # pseudonyms of the three
        ("study_id", pa.string()),
        ("patient_id", pa.string()),
        ("report_uri", pa.string()),  # null where the layout or the study has none
        ("report_version", pa.string()),
        ("split", pa.string()),  # train, validate or test
        ("view", pa.string()),  # as the archive's tables name it, else null
        ("sex", pa.string()),  # F, M or null, where the archive's tables have it
        ("age", pa.int16()),  # years, or null
        ("origin", pa.string()),  # the collection that a compiled archive took the image from, else null
        ("labels", pa.list_(_label)),  # the layout's own labels: 1 present, 0 absent; -1 not labelled
        ("boxes", pa.list_(_box)),  # in source pixels
        ("masks", pa.list_(_mask)),  # in source pixels: start and length of runs down the columns, see records.masks
        ("problem", pa.string()),  # a reason code (REASONS) that the listing already knows, else null
    ]
)

# One row an accepted image.
MANIFEST = pa.schema(
    [
        ("image_id", pa.string()),
        ("study_id", pa.string()),
        ("patient_id", pa.string()),
        ("split", pa.string()),
        ("view", pa.string()),  # one of records.views.VIEWS
        ("sex", pa.string()),  # F, M or null
        ("age_band", pa.string()),  # 0-17, 18-39, 40-59, 60-79, 80+ or null
        ("scanner", pa.string()),  # pseudonym of manufacturer and model, null where unknown
        ("origin", pa.string()),  # as in the inventory
        ("shard", pa.int32()),
        ("row", pa.int32()),
        ("source_sha256", pa.string()),
        ("rows", pa.int32()),  # source height in pixels
        ("columns", pa.int32()),
        ("pixel_spacing_mm", pa.float64()),  # of the source, null where unknown
        ("bits_stored", pa.int16()),
        ("transfer_syntax", pa.string()),  # the standard's keyword; PNG or JPEG for a picture
        ("photometric_interpretation", pa.string()),
        ("pixels_sha256", pa.string()),  # of the image in the shard and the source's height and width
        ("identical_to", pa.string()),  # the image_id of an earlier image with the same pixels, else null
        ("same_instance_as", pa.string()),  # of an earlier image with the same SOP Instance UID, else null
        ("affine", pa.list_(pa.float64(), 6)),  # 2x3, row-major: shard (x, y) = A · (x, y, 1) of the source
    ]
)

# One row a label, box or mask of an image, in shard pixels.
ANNOTATIONS = pa.schema(
    [
        ("image_id", pa.string()),
        ("kind", pa.string()),  # label, box or mask
        ("name", pa.string()),  # the dataset's own class name
        ("value", pa.int8()),  # labels: 1, 0 or -1; boxes and masks: 1
        ("x", pa.float64()),
        ("y", pa.float64()),
        ("width", pa.float64()),
        ("height", pa.float64()),
        ("mask_png", pa.binary()),
    ]
)

# One row a refused object or study; the inventory maps the id back to the file.
REJECTED = pa.schema([("id", pa.string()), ("kind", pa.string()), ("reason", pa.string()), ("message", pa.string())])

# The closed list of reasons for which an object or a study is refused.
REASONS = {
    "file_missing": "the archive's tables name a file that is not there",
    "outside": "the archive names a file outside its root",
    "unplaced": "neither a table nor its place says whose the file is",
    "repeated": "the archive's tables name the image twice, or it lies in two places: the first counts",
    "unreadable": "the file cannot be read",
    "image_missing": "the study has a report but no image",
    "report_missing": "the study has images but no report",
    "report_empty": "the report holds no text",
    "report_language": "the report is not in English",
    "radgraph_missing": "RadGraph's file has no entry for the report",
    "not_dicom": "the file is not a DICOM object",
    "not_a_picture": "the file is neither PNG nor JPEG",
    "truncated": "the pixel data end early",
    "decode_failed": "the pixel data cannot be decoded",
    "no_pixels": "the object has no pixel data",
    "colour": "the image has colours",
    "multi_frame": "the object holds several frames",
    "unsupported": "the object is of a kind that is not a single radiograph",
    "too_large": "the file or its image is larger than any radiograph",
    "modality": "the header gives a modality that makes no radiographs",
    "body_part": "the header gives a part of the body that is not the chest",
    "burned_in": "the header says that text is burned into the pixels",
    "duplicate": "another file holds the same SOP instance in the same transfer syntax, with the same pixels",
    "mask_misfit": "the archive's mask of the image does not fit its size",
    "not_a_file": "no plain file (a folder, a link to one, a pipe), or its name is not UTF-8",
    "crashed": "the decoder crashed on the object",
    "too_slow": "the object took too long to decode",
    "constant": "all pixels have the same value",
    "changed": "the file changed after it was listed",
}

# One row a mention of a finding in a report; never the text itself.
FINDINGS = pa.schema(
    [
        ("study_id", pa.string()),
        ("section", pa.string()),  # findings, impression, addendum or text
        ("sentence", pa.int32()),
        ("start", pa.int32()),  # offsets of the mention in the report, in characters
        ("end", pa.int32()),
        ("pathology", pa.string()),
        ("anatomy", pa.string()),
        ("presence", pa.string()),  # present, absent or uncertain
        ("cue", pa.string()),  # the words that decided the presence, empty where none did
    ]
)

# One row a word that stands beside a known phrase in reports and that the lexicon does not know: what may be missing
# there. Only words in lower case that reports of `reports.min_patients` patients or more have.
UNMATCHED = pa.schema(
    [
        ("word", pa.string()),
        ("beside", pa.string()),  # the phrase of the lexicon that it stands beside most often
        ("reports", pa.int32()),
    ]
)

# One row a prediction.
PREDICTIONS = pa.schema(
    [
        ("image_id", pa.string()),
        ("patient_id", pa.string()),
        ("split", pa.string()),
        ("view", pa.string()),
        ("sex", pa.string()),
        ("age_band", pa.string()),
        ("scanner", pa.string()),
        ("origin", pa.string()),
        ("name", pa.string()),  # the class
        ("truth_kind", pa.string()),  # drawn, report or label
        ("truth", pa.int8()),  # 1, 0, or -1 unknown
        ("severity", pa.float64()),  # drawn truth only: 0 to 1, null elsewhere
        ("score", pa.float64()),
    ]
)

# One row a place of a finding in a test image: how well the finding's map shows it.
PLACES = pa.schema(
    [
        ("image_id", pa.string()),
        ("patient_id", pa.string()),
        ("name", pa.string()),  # the finding
        ("hit", pa.bool_()),  # the pointing game
        ("iou", pa.float64()),  # at the threshold chosen on validation patients, null where there is none
        ("dice", pa.float64()),
    ]
)

# One row an image of the validation or test split of a segmentation, in shard pixels.
SEGMENTATIONS = pa.schema(
    [
        *(PREDICTIONS.field(place) for place in range(7)),  # the image, and the groups that it belongs to
        ("truth_pixels", pa.int32()),
        ("predicted_pixels", pa.int32()),
        ("dice", pa.float64()),  # null where the truth is empty
        ("iou", pa.float64()),
        ("runs", pa.string()),  # the predicted mask, see records.masks
    ]
)

# What the phantom drew, outside the archive: one row a finding of an image, in source pixels. `source_sha256` is the
# digest of the DICOM file, by which evaluation finds the image.
DRAWN = pa.schema(
    [
        ("source_sha256", pa.string()),
        ("image", pa.string()),
        ("study", pa.string()),
        ("patient", pa.string()),
        ("pathology", pa.string()),
        ("anatomy", pa.string()),
        ("severity", pa.float64()),  # 0 to 1
        ("grade", pa.string()),  # subtle, mild, moderate or severe
        ("x", pa.float64()),
        ("y", pa.float64()),
        ("width", pa.float64()),
        ("height", pa.float64()),
        ("mask_png", pa.binary()),
    ]
)

# Every image that the phantom drew, with or without findings.
DRAWN_IMAGES = pa.schema(
    [
        ("source_sha256", pa.string()),
        ("image", pa.string()),
        ("study", pa.string()),
        ("patient", pa.string()),
        ("view", pa.string()),
        ("rows", pa.int32()),
        ("columns", pa.int32()),
    ]
)

# What a phantom's report asserts, by the archive's own study name.
ASSERTED = pa.schema(
    [("study", pa.string()), ("pathology", pa.string()), ("anatomy", pa.string()), ("presence", pa.string())]
)

SCHEMAS = {
    "inventory": INVENTORY,
    "manifest": MANIFEST,
    "annotations": ANNOTATIONS,
    "rejected": REJECTED,
    "findings": FINDINGS,
    "unmatched": UNMATCHED,
    "predictions": PREDICTIONS,
    "places": PLACES,
    "segmentations": SEGMENTATIONS,
    "drawn": DRAWN,
    "drawn_images": DRAWN_IMAGES,
    "asserted": ASSERTED,
}


class Gathered:
    """Rows of a schema as they come, held as Arrow columns: a tenth of the memory that Python objects take."""

    def __init__(self, schema: str) -> None:
        self._schema = SCHEMAS[schema]
        self._rows: list[dict[str, Any]] = []
        self._tables = [self._schema.empty_table()]

    def add(self, row: dict[str, Any]) -> None:
        """Add a row, which has every column of the schema and no other."""
        assert set(row) == set(self._schema.names)
        self._rows.append(row)
        if len(self._rows) == BATCH:
            self._flush()

    def _flush(self) -> None:
        self._tables.append(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows = []

    def table(self) -> pa.Table:
        """All rows so far, in the order in which they came."""
        self._flush()
        return pa.concat_tables(self._tables)


class Rows(Sequence[dict[str, Any]]):
    """A table as a sequence of rows: few of them are Python objects at once."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table.combine_chunks()

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, place: Any) -> Any:
        return self._table.slice(place, 1).to_pylist()[0]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self._table.to_batches(max_chunksize=BATCH):
            yield from batch.to_pylist()

    def take(self, places: Sequence[int]) -> "Rows":
        """The rows at some places, in that order."""
        return Rows(self._table.take(pa.array(places, pa.int64())))


def write_table(
    path: Path, rows: pa.Table | pd.DataFrame | list[dict], schema: str, extra: dict[str, str] | None = None
) -> None:
    """Write a table whole, checked against its schema; `extra` goes into the file's metadata.

    Equal rows give equal bytes. Raises a pyarrow error where a column is missing or has another type.
    """
    declared = SCHEMAS[schema].with_metadata({"schema": schema, "schema_version": VERSION, **(extra or {})})
    if isinstance(rows, pd.DataFrame):
        table = pa.Table.from_pandas(rows, schema=declared, preserve_index=False, safe=True)
        table = table.replace_schema_metadata(declared.metadata)
    elif isinstance(rows, pa.Table):
        table = rows.cast(declared).combine_chunks()  # where the chunks end would be seen in the bytes
    else:
        assert all(set(row) == set(declared.names) for row in rows), f"rows of {path} do not fit the schema {schema}"
        table = pa.Table.from_pylist(rows, schema=declared)
    with whole_file(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_arrow(path: Path, schema: str) -> pa.Table:
    """Read a table and check that it is the one expected.

    Raises:
        ValueError: the file is missing, is not Parquet, holds another schema or version, or lacks a column of it.
    """
    if not path.is_file():
        raise ValueError(f"{path} does not exist: run the stage that makes it first")
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the system; Arrow's own, of damaged pages, have no number
        raise ValueError(f"{path} is not a Parquet table, or corrupt: {' '.join(str(error).split())[:200]}") from None
    metadata = table.schema.metadata or {}
    found = (metadata.get(b"schema", b"").decode(), metadata.get(b"schema_version", b"").decode())
    if found != (schema, VERSION):
        raise ValueError(
            f"{path} holds schema {found[0]!r} version {found[1]!r}, expected {schema!r} version {VERSION!r}"
        )
    lacking = [name for name in SCHEMAS[schema].names if name not in table.column_names]
    if lacking:
        raise ValueError(
            f"{path} lacks {', '.join(lacking)} of the schema {schema!r}: run the stage that makes it again"
        )
    return table


def read_table(path: Path, schema: str) -> pd.DataFrame:
    """Read a table as a pandas frame (see `read_arrow`)."""
    return read_arrow(path, schema).to_pandas()


def read_metadata(path: Path, schema: str) -> dict[str, str]:
    """The metadata that was written beside the rows."""
    metadata = read_arrow(path, schema).schema.metadata or {}
    return {key.decode(): value.decode() for key, value in metadata.items()}
