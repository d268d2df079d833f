"""Pretrain MeDSLIP on images and the findings of their reports.

Reads the shards and the manifest of `pretrain.dataset`, its label tensor and the two books; writes models/pretrained,
metrics/pretrain.json and plots/pretrain. A run that was stopped goes on where its last whole epoch ended: its state
lies in the folder that MEDSLIP_STATE_DIR names (.state by default), keyed by the digest of everything that the result
depends on. MEDSLIP_DEVICE (auto, cpu, cuda) and MEDSLIP_WORKERS say where and how fast.
"""

from components.core.command import stage_command
from components.pretrain.stage import run

if __name__ == "__main__":
    stage_command("pretrain", run, __doc__)
