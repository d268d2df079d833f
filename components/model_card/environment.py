"""With what the figures were computed."""

import hashlib
import platform
import re
from importlib.metadata import version
from pathlib import Path

LOCK = Path("requirements/components.lock")
# Those whose versions can move a figure; all others stand in the lock file.
PACKAGES = (
    "torch",
    "transformers",
    "lightning",
    "torchmetrics",
    "monai",
    "numpy",
    "opencv-python-headless",
    "scikit-learn",
)
DECODERS = ("pydicom", "imagecodecs")  # what learns reads shards: where it runs in a container, they are not there


def environment() -> dict[str, str]:
    """Versions by name, and the digest of the lock file that says all of them."""
    lock = LOCK.read_bytes()
    locked = dict(re.findall(r"^(\S+)==(\S+)", lock.decode(), re.MULTILINE))
    return {
        "Python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        **{name: locked[name] for name in DECODERS},
        "lock file": hashlib.sha256(lock).hexdigest(),
    }
