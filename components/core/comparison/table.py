"""A comparison as a file: its schema, its reader, and its table in words."""

from pathlib import Path

from pydantic import Field, ValidationError

from components.core.explain import explain
from components.core.params import Section
from components.core.records.whole import read_json, whole_file, write_json


class Archive(Section):
    """An archive that the cells were trained or judged on."""

    digest: str = Field(description="SHA-256 of its manifest, which names the source of every image.")
    studies: int = Field(ge=1, description="Studies with images in shards.")
    images: int = Field(ge=1, description="Images in shards.")
    synthetic: bool = Field(description="Whether the phantom drew it.")


class MadeOn(Section):
    """What a comparison rests on."""

    revision: str = Field(description="The commit that every cell ran at.")
    archives: dict[str, Archive] = Field(description="The archives by the name of their dataset.")


class FigureKind(Section):
    """A figure that the cells are compared by; the larger is the better."""

    name: str = Field(description="Such as `zero_shot mimic_cxr macro AUROC`.")
    over: str = Field(description="What it is the mean of: the declared classes, or the places of findings.")


class Row(Section):
    """One cell in one figure, and the paired difference to the reference cell."""

    cell: str
    figure: str
    value: float
    low: float | None = Field(description="95 % bootstrap interval over patients and seeds.")
    high: float | None
    difference: float = Field(description="Cell minus reference, on the same patients and seeds; 0 for the reference.")
    difference_low: float | None
    difference_high: float | None
    differs: bool = Field(description="Whether the interval of the difference leaves 0 out.")
    patients: int = Field(ge=1)
    seeds: int = Field(ge=1, description="How many seeds the value is the mean of.")


class Comparison(Section):
    """The content of comparisons/<name>.json."""

    name: str
    made_on: MadeOn
    seeds: tuple[int, ...] = Field(min_length=1, description="The seeds of the grid; a row says how many it has.")
    reference: str
    figures: tuple[FigureKind, ...]
    rows: tuple[Row, ...]

    def row(self, cell: str, figure: str) -> Row | None:
        """The row of a cell and a figure, None where the cell has no such figure."""
        return next((row for row in self.rows if (row.cell, row.figure) == (cell, figure)), None)

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells in their order."""
        return tuple(dict.fromkeys(row.cell for row in self.rows))


def read_comparison(path: Path) -> Comparison:
    """Read a comparison.

    Raises:
        ValueError: the file is missing, or not of this form.
    """
    try:
        return Comparison.model_validate(read_json(path), strict=False)
    except ValidationError as error:
        raise ValueError(explain(Comparison, error, str(path))) from None


def write_comparison(comparison: Comparison, folder: Path) -> None:
    """Write comparisons/<name>.json, and the same as a table in Markdown beside it."""
    write_json(folder / f"{comparison.name}.json", comparison.model_dump(mode="json"))
    with whole_file(folder / f"{comparison.name}.md") as temporary:
        temporary.write_text(in_words(comparison), encoding="utf-8")


def _interval(value: float, low: float | None, high: float | None, sign: str = "") -> str:
    bounds = "no interval" if low is None or high is None else f"{low:{sign}.3f} to {high:{sign}.3f}"
    return f"{value:{sign}.3f} ({bounds})"


def _verdict(row: Row, reference: str) -> str:
    if row.cell == reference:
        return "reference"
    if not row.differs:
        return "does not differ"
    return "better" if row.difference > 0 else "worse"


def in_words(comparison: Comparison) -> str:
    """One Markdown table a figure: value, paired difference, and a verdict; what does not differ is said not to."""
    made = comparison.made_on
    archives = ", ".join(
        f"{name} ({archive.studies:,} {'synthetic ' if archive.synthetic else ''}studies)"
        for name, archive in made.archives.items()
    )
    lines = [
        f"# Comparison {comparison.name}",
        "",
        f"Archives: {archives}. Commit {made.revision[:12]}. Seeds {', '.join(map(str, comparison.seeds))}.",
        "95 % bootstrap intervals over patients and seeds; differences are paired: cell minus "
        f"{comparison.reference}, same patients, same seeds.",
    ]
    for figure in comparison.figures:
        lines += [
            "",
            f"## {figure.name}",
            "",
            f"Mean over {figure.over}.",
            "",
            "| cell | value | difference | | patients | seeds |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for row in comparison.rows:
            if row.figure == figure.name:
                difference = _interval(row.difference, row.difference_low, row.difference_high, "+")
                shown = "" if row.cell == comparison.reference else difference
                lines.append(
                    f"| {row.cell} | {_interval(row.value, row.low, row.high)} | {shown} | "
                    f"{_verdict(row, comparison.reference)} | {row.patients} | {row.seeds} |"
                )
    return "\n".join(lines) + "\n"
