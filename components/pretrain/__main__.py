"""Pretrain MeDSLIP on images and the findings of their reports.

Reads the shards and the manifest of `pretrain.dataset`, its label tensor and the two books; writes models/pretrained,
metrics/pretrain.json and plots/pretrain. A run that was stopped goes on from its last checkpoint: they
lie in the folder that MEDSLIP_STATE_DIR names (.state by default; several machines must share it), keyed by the digest
of everything that the result depends on. MEDSLIP_DEVICE (auto, cpu, cuda), MEDSLIP_PROCESSES (on this machine),
MEDSLIP_NODES and MEDSLIP_WORKERS say where and how fast; MEDSLIP_SAVE_STEPS, how many steps a kill may cost.
"""

import os
import time
from typing import Any

from components.core import params, paths
from components.core.command import finish, guarded, stage_command
from components.core.stopping import ended_by_term, held_back

PATIENCE_SECONDS = 30.0


def follows() -> bool:
    """Whether this process trains beside another, which alone writes and tracks what comes out.

    Fabric, torchrun and SLURM each number their processes by a variable of their own.
    """
    return any(os.environ.get(name, "0") != "0" for name in ("LOCAL_RANK", "RANK", "NODE_RANK", "SLURM_PROCID"))


def run(settings: params.Params, item: str) -> dict[str, Any]:
    """The stage. Torch is imported here: that takes seconds, in which a stop is heard already."""
    with held_back():
        from components.pretrain import stage

    return stage.run(settings, item)


def follow() -> None:
    """Train beside the process that writes what comes out, and leave it to that one to tell what stops them all.

    Fabric kills the process that started this one as soon as this one ends with an error: it may be saving still.
    """
    starter = os.getppid()
    try:
        with ended_by_term():
            with held_back():
                from components.pretrain.stage import trained

            trained(params.load(paths.PARAMS).pretrain)
    except (Exception, KeyboardInterrupt):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while os.getppid() == starter:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


if __name__ == "__main__":
    if follows():
        finish(guarded(follow))
    stage_command("pretrain", run, __doc__)
