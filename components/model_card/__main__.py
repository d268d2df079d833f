"""Gathers every figure and picture of the run in one page that needs nothing else.

Reads params.yaml, metrics, plots, comparisons and models/pretrained. Writes model_card/index.html, the same content as
model_card/card.json, and metrics/model_card.json.
"""

from components.core.command import stage_command
from components.model_card.stage import run

if __name__ == "__main__":
    stage_command("model_card", run, __doc__)
