"""`python -m components.reports` is the stage; `… parse` and `… explain` work on any reports.

Both read a report a line, {"id", "findings", "impression"} or {"id", "text"}. parse writes a line for each,
{"id", "present": [[pathology, anatomy], …], "absent": […], "uncertain": […]}; explain writes a page that shows each
report with its findings, their places and the cues that decided.
"""

import sys
from pathlib import Path

from components.core.command import finish, guarded, parser_of, run_stage
from components.reports import stage
from components.reports.explain import MOST_REPORTS, explain_file
from components.reports.lines import parse_file
from components.reports.reading import NOTES

MOST_COMPLAINTS = 20


def told(counts: dict[str, int]) -> str:
    """How many reports were read, and what was odd about how many of them."""
    odd = ", ".join(f"{count} {note.replace('_', ' ')}" for note, count in counts.items() if count and note in NOTES)
    return f"{counts['reports']} reports{f' ({odd})' if odd else ''}"


def _refuse_same(source: Path, out: Path) -> None:
    """The reports are not to be lost to what is made of them."""
    if out.exists() and source.exists() and out.samefile(source):
        raise ValueError(f"--out {out} is the file of the reports itself: give another name")


def parse(source: Path, out: Path) -> None:
    """Parse a file and say what was odd about it."""
    _refuse_same(source, out)
    refused: list[str] = []
    counts = parse_file(source, out, refused)
    complain(refused)
    print(told(counts), file=sys.stderr)


def explain(source: Path, out: Path) -> None:
    """Write a page and say what is not on it."""
    _refuse_same(source, out)
    refused: list[str] = []
    left_out = explain_file(source, out, refused)
    complain(refused)
    if left_out:
        print(f"{left_out} reports left out: the page shows the first {MOST_REPORTS}", file=sys.stderr)


def complain(refused: list[str]) -> None:
    """Name the first lines that were passed over, and count them."""
    for message in refused[:MOST_COMPLAINTS]:
        print(f"passed over: {message}", file=sys.stderr)
    if refused:
        print(f"{len(refused)} lines passed over", file=sys.stderr)


def main() -> None:
    """Run what the command line asks for."""
    parser = parser_of("reports", __doc__, None)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, to, help_text, content in (
        ("parse", "OUT.jsonl", "parse the reports of a JSON-lines file", "triplets"),
        ("explain", "page.html", "show the reports of a JSON-lines file with what was found", "page"),
    ):
        command = commands.add_parser(name, help=help_text)
        command.add_argument("source", metavar="IN.jsonl", type=Path, help="a report a line")
        command.add_argument("--out", metavar=to, type=Path, required=True, help=f"where the {content} goes")
    arguments = parser.parse_args()
    if arguments.command == "parse":
        finish(guarded(lambda: parse(arguments.source, arguments.out)))
    if arguments.command == "explain":
        finish(guarded(lambda: explain(arguments.source, arguments.out)))
    finish(guarded(lambda: run_stage("reports", stage.run, None)))


if __name__ == "__main__":
    main()
