"""`python -m components.inventory DATASET` is the stage; `… forget PATIENT` removes a patient from everything."""

import argparse
import sys

from components.core import params as parameters
from components.core import paths
from components.core.command import finish, guarded, stage_command
from components.inventory import stage

FORGET = "forget"


def forget_command() -> None:
    """The command line of `forget`."""
    parser = argparse.ArgumentParser(
        prog=f"python -m components.inventory {FORGET}",
        description="Remove a patient from every table and shard of this workspace and of `ingest folder`, "
        "keep them out of later listings, "
        "and name the runs and model versions that saw them.",
    )
    parser.add_argument("patient", metavar="PATIENT", help="as the archive calls them")
    patient = parser.parse_args(sys.argv[2:]).patient

    def forget() -> None:
        from components.inventory import forget as room  # MLflow and pandas cost seconds, and a listing needs neither

        # Outputs of `ingest folder` are found without a workspace, too.
        room.forget(parameters.load(paths.PARAMS).datasets if paths.PARAMS.exists() else {}, patient)

    finish(guarded(forget))


if __name__ == "__main__":
    if sys.argv[1:2] == [FORGET]:
        forget_command()
    about = f"{stage.__doc__}\n`python -m components.inventory forget -h`: remove a patient from everything."
    stage_command("inventory", stage.run, about, item="dataset")
