"""`python -m components.inventory DATASET`."""

from components.core.command import stage_command
from components.inventory import stage

if __name__ == "__main__":
    stage_command("inventory", stage.run, stage.__doc__, item="dataset")
