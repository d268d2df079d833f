"""`python -m components.serve predict --model DIR IMAGE --out DIR`: what a model sees in one radiograph, and where.

Research use only: this is no medical device.
"""

import argparse
from pathlib import Path
from typing import get_args

from components.core.command import finish, guarded
from components.core.params import Objection
from components.serve.predict import predict


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m components.serve", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command = parser.add_subparsers(required=True, metavar="COMMAND").add_parser(
        "predict", help="findings.json and overlay.png of one radiograph"
    )
    command.add_argument("image", metavar="IMAGE", type=Path, help="a DICOM, PNG or JPEG file; its pixels as stored")
    command.add_argument(
        "--model", metavar="DIR", type=Path, required=True, help="models/pretrained, or a registered model downloaded"
    )
    command.add_argument("--out", metavar="DIR", type=Path, required=True, help="the folder that is made or replaced")
    command.add_argument("--window", type=int, default=0, help="which VOI window of the header, from 0 to the last (0)")
    command.add_argument(
        "--show", metavar="P", type=float, default=0.5, help="least probability that the overlay shows (0.5)"
    )
    command.add_argument(
        "--allow", nargs="+", default=(), choices=get_args(Objection), help="what a header may say without refusal"
    )
    return parser


if __name__ == "__main__":
    given = _parser().parse_args()
    finish(guarded(lambda: predict(given.image, given.model, given.out, given.window, given.show, given.allow)))
