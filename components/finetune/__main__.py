"""Fine-tune with few labels: from the pretrained trunk and from scratch, at each share of the labelled patients.

TASK is a dataset with labels of its own. Reads params.yaml (finetune), data/images and models/pretrained. Writes
metrics/finetune/TASK.json, models/finetuned/TASK, predictions/finetune/TASK and plots/finetune/TASK.
"""

from components.core.command import stage_command
from components.finetune.stage import run

if __name__ == "__main__":
    stage_command("finetune", run, __doc__, "task")
