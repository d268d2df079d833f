"""Pretrain MeDSLIP on images and the findings of their reports.

Reads the shards and the manifest of `pretrain.dataset`, its label tensor and the two books; writes models/pretrained,
metrics/pretrain.json and plots/pretrain. A run that was stopped goes on from its last checkpoint: they
lie in the folder that MEDSLIP_STATE_DIR names (.state by default; several machines must share it), keyed by the digest
of everything that the result depends on. MEDSLIP_DEVICE (auto, cpu, cuda), MEDSLIP_PROCESSES (on this machine),
MEDSLIP_NODES and MEDSLIP_WORKERS say where and how fast; MEDSLIP_SAVE_STEPS, how many steps a kill may cost.
"""

from components.core import params, paths
from components.core.command import finish, guarded, stage_command
from components.pretrain.stage import follows, run, trained


def follow() -> None:
    """Train beside the process that writes what comes out."""
    trained(params.load(paths.PARAMS).pretrain)


if __name__ == "__main__":
    if follows():
        finish(guarded(follow))
    stage_command("pretrain", run, __doc__)
