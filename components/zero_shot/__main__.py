"""Diagnose and point without labels of the task: the pretrained model on the frontal images of one dataset.

Reads params.yaml (zero_shot), data/images, data/findings, the phantom's truth where there is one, and
models/pretrained. Writes metrics/zero_shot/DATASET.json, predictions/zero_shot/DATASET and plots/zero_shot/DATASET.
"""

from components.core.command import stage_command
from components.zero_shot.stage import run

if __name__ == "__main__":
    stage_command("zero_shot", run, __doc__, "dataset")
