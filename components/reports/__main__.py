"""`python -m components.reports` is the stage; `… parse IN.jsonl --out OUT.jsonl` parses any reports.

parse reads a report a line, {"id", "findings", "impression"} or {"id", "text"}, and writes a line for each:
{"id", "present": [[pathology, anatomy], …], "absent": […], "uncertain": […]}.
"""

import sys
from pathlib import Path

from components.core.command import finish, guarded, parser_of, run_stage
from components.reports import stage
from components.reports.lines import parse_file
from components.reports.reading import NOTES


def told(counts: dict[str, int]) -> str:
    """How many reports were read, and what was odd about how many of them."""
    odd = ", ".join(f"{count} {note.replace('_', ' ')}" for note, count in counts.items() if count and note in NOTES)
    return f"{counts['reports']} reports{f' ({odd})' if odd else ''}"


def main() -> None:
    """Run what the command line asks for."""
    parser = parser_of("reports", __doc__, None)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    parse = commands.add_parser("parse", help="parse the reports of a JSON-lines file")
    parse.add_argument("source", metavar="IN.jsonl", type=Path, help="a report a line")
    parse.add_argument("--out", metavar="OUT.jsonl", type=Path, required=True, help="where the triplets go")
    arguments = parser.parse_args()
    if arguments.command == "parse":
        finish(guarded(lambda: print(told(parse_file(arguments.source, arguments.out)), file=sys.stderr)))
    finish(guarded(lambda: run_stage("reports", stage.run, None)))


if __name__ == "__main__":
    main()
