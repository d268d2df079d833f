"""`python -m components.ingest DATASET`."""

from components.core.command import stage_command
from components.ingest import stage

if __name__ == "__main__":
    stage_command("ingest", stage.run, stage.__doc__, item="dataset")
