"""With what the figures were computed."""

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path

LOCK = Path("requirements/components.lock")
# Those whose versions can move a figure; all others stand in the lock file.
PACKAGES = (
    "torch",
    "transformers",
    "lightning",
    "numpy",
    "opencv-python-headless",
    "scikit-learn",
    "pydicom",
    "imagecodecs",
)


def environment() -> dict[str, str]:
    """Versions by name, and the digest of the lock file that says all of them."""
    named = {"Python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    return {**named, "lock file": hashlib.sha256(LOCK.read_bytes()).hexdigest()}
