"""Compare the cells of a grid: FOLDER is the grid's, as `python -m pipelines grid` leaves it."""

import argparse
from pathlib import Path

from components.core.command import guarded
from components.core.comparison.paired import compared
from components.core.comparison.table import in_words, write_comparison


def main() -> int:
    """Write comparisons/<name>.json and .md, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m components.core.comparison", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=Path, required=True, help="data/images of a workspace of the grid")
    parser.add_argument("--out", type=Path, default=Path("comparisons"), help="default: %(default)s")
    arguments = parser.parse_args()

    def act() -> None:
        comparison = compared(arguments.folder, arguments.images)
        write_comparison(comparison, arguments.out)
        print(in_words(comparison), flush=True)

    return guarded(act)


if __name__ == "__main__":
    raise SystemExit(main())
