"""Draw a synthetic archive for every dataset whose root lies below data/phantom/archives.

Reads `datasets` and `phantom` of params.yaml. MEDSLIP_WORKERS says how many processes work; the bytes do not depend
on it.
"""

from components.core.command import stage_command
from components.phantom.stage import run

if __name__ == "__main__":
    stage_command("phantom", run, __doc__)
