"""The tables that come with an archive: CSV, plain or gzipped, by whatever program they were saved."""

import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterator, Sequence

from components.core.archives.base import Box
from components.core.archives.source import Source


def has_table(source: Source, name: str) -> str | None:
    """The uri of the table `<name>.csv.gz` or `<name>.csv`, None where there is neither."""
    return next((uri for uri in (f"{name}.csv.gz", f"{name}.csv") if source.exists(uri)), None)


def box_of(name: str, fields: Sequence[str], place: str) -> Box:
    """The box of a row: left upper corner, width and height.

    Raises:
        ValueError: the fields are not four numbers, or the box has no area; the message begins with `place`.
    """
    try:
        x, y, width, height = map(float, fields)
    except ValueError:
        raise ValueError(f"{place} holds a box that is not four numbers") from None
    if not (math.isfinite(x + y) and 0 < width < math.inf and 0 < height < math.inf):
        raise ValueError(f"{place} holds a box without an area")
    return Box(name, x, y, width, height)


def read_rows(source: Source, name: str, columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """The rows of the table `<name>.csv.gz` or `<name>.csv`, one at a time, only the named columns, stripped.

    Raises:
        ValueError: the table is missing, is damaged, is not UTF-8, or lacks a column; a row lacks a field.
    """
    uri = has_table(source, name)
    if uri is None:
        raise ValueError(f"the archive at {source.root} has no table {name}.csv.gz or {name}.csv")
    place = f"{source.root}/{uri}"
    try:
        with source.open(uri) as file:
            plain = gzip.GzipFile(fileobj=file) if uri.endswith(".gz") else file
            lines = csv.reader(io.TextIOWrapper(plain, encoding="utf-8-sig", newline=""), strict=True)
            header = [field.strip() for field in next(lines, [])]
            while header and not header[-1]:  # some tables end every line with commas, others only the first
                header.pop()
            missing = [column for column in columns if column not in header]
            if missing:
                raise ValueError(f"{place} has no column {missing[0]!r}: it needs {', '.join(columns)}")
            wanted = [(column, header.index(column)) for column in columns]
            for fields in lines:
                if not any(fields):
                    continue
                if len(fields) < len(header):
                    raise ValueError(f"{place}, line {lines.line_num}: {len(fields)} fields, expected {len(header)}")
                yield {column: fields[index].strip() for column, index in wanted}
    except UnicodeDecodeError:
        raise ValueError(f"{place} is not UTF-8 text") from None
    except (gzip.BadGzipFile, EOFError, zlib.error, csv.Error) as error:
        raise ValueError(f"{place} is damaged: {error}") from None
