"""Registers the pretrained model in MLflow, and gives it the alias if its gates hold.

Reads params.yaml (register), metrics and models/pretrained. Writes models/registration.json and metrics/register.json.
Doing it again changes nothing: a model is known by the digest of its files.
"""

from components.core.command import stage_command
from components.register.stage import run

if __name__ == "__main__":
    stage_command("register", run, __doc__)
