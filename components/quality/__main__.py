"""Check the tables of a dataset against expectations, before anything is trained on them.

Reads what inventory, ingest and, for the pretraining dataset, reports wrote; writes Data Docs to
data/quality/DATASET/docs and, if every expectation holds, data/quality/DATASET/verdict.json. A failed expectation ends
with status 3 and names itself and the rows.
"""

from components.core.command import stage_command
from components.quality.stage import run

if __name__ == "__main__":
    stage_command("quality", run, __doc__, "dataset")
