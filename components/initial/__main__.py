"""Bring the weights that pretraining starts from into the workspace, where `pretrain.init` names any.

Reads a model folder, or a version of the MLflow registry; writes models/initial. It runs every time, so that an alias
that moved, or a folder that changed, is seen; pretrain runs again only if the weights are other ones.
"""

from components.core.command import stage_command
from components.initial.stage import run

if __name__ == "__main__":
    stage_command("initial", run, __doc__)
