"""`python -m components.ingest DATASET` is the stage; `… folder DIR --out OUT` works on any folder of DICOM files."""

import argparse
import sys
from pathlib import Path
from typing import get_args

from components.core.command import finish, guarded, stage_command
from components.core.params import Objection
from components.ingest import stage
from components.ingest.folder import NAME, ingest_folder


def folder_command() -> None:
    """The command line of `folder`."""
    parser = argparse.ArgumentParser(
        prog=f"python -m components.ingest {NAME}",
        description="Decode a tree of DICOM files into de-identified shards, a manifest, and what was refused and why.",
    )
    parser.add_argument("root", metavar="DIR", help="the folder, or s3://bucket/prefix")
    parser.add_argument("--out", metavar="OUT", type=Path, required=True, help="the folder that is made or replaced")
    parser.add_argument("--size", type=int, default=512, help="side of the square images in pixels (512)")
    parser.add_argument("--window", type=int, default=0, help="which VOI window of the header is used, from 0 (0)")
    parser.add_argument(
        "--allow", nargs="+", default=(), choices=get_args(Objection), help="what a header may say without refusal"
    )
    given = parser.parse_args(sys.argv[2:])
    finish(guarded(lambda: ingest_folder(given.root, given.out, given.size, given.window, given.allow)))


if __name__ == "__main__":
    if sys.argv[1:2] == [NAME]:
        folder_command()
    stage_command(
        "ingest", stage.run, f"{stage.__doc__}\n`python -m components.ingest folder -h`: any folder.", item="dataset"
    )
