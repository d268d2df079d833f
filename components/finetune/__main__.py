"""Learn a task from few labels: from the pretrained trunk and from scratch, at each share of the labelled patients.

TASK is one of finetune.tasks in params.yaml. Reads params.yaml (finetune), data/images and models/pretrained. Writes
metrics/finetune/TASK.json, models/finetuned/TASK, predictions/finetune/TASK and plots/finetune/TASK.
"""

from components.core.command import stage_command
from components.finetune.stage import run

if __name__ == "__main__":
    stage_command("finetune", run, __doc__, "task")
