"""Keyed pseudonyms and splits: HMACs under the project's key, which lies outside the repository."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

KEY_FILE_VARIABLE = "MEDSLIP_PSEUDONYM_KEY_FILE"


def key_file() -> Path:
    """Where the key lies: the file that MEDSLIP_PSEUDONYM_KEY_FILE names, else the user's configuration folder."""
    named = os.environ.get(KEY_FILE_VARIABLE)
    if named:
        return Path(named)
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "medslip" / "pseudonym.key"


def make_key() -> Path:
    """Make the key once, readable by its owner only; an existing key is left as it is."""
    path = key_file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32) + "\n")
    return path


def forgotten_file() -> Path:
    """Where the pseudonyms of forgotten patients stand: beside the key, which outlives every table."""
    path = key_file()
    return path.with_name(f"{path.stem}.forgotten")


def forgotten_patients() -> frozenset[str]:
    """The pseudonyms of patients who are to be in no listing any more."""
    try:
        return frozenset(forgotten_file().read_text("ascii").split())
    except FileNotFoundError:
        return frozenset()


class Pseudonyms:
    """Turns names of an archive into ids that nobody without the key can compute or turn back."""

    def __init__(self, key: bytes) -> None:
        assert len(key) >= 16
        self._key = key

    @classmethod
    def from_key_file(cls) -> "Pseudonyms":
        """Read the project's key.

        Raises:
            ValueError: there is no key file, or it holds less than 16 bytes.
        """
        path = key_file()
        try:
            key = path.read_bytes().strip()
        except OSError:
            raise ValueError(
                f"no pseudonym key at {path}: make one with `make setup` or set {KEY_FILE_VARIABLE}"
            ) from None
        if len(key) < 16:
            raise ValueError(f"the pseudonym key at {path} is too short: it needs at least 16 bytes")
        return cls(key)

    def _digest(self, *parts: str) -> bytes:
        return hmac.new(self._key, "\0".join(parts).encode(), hashlib.sha256).digest()

    @property
    def fingerprint(self) -> str:
        """Tells one key from another without giving anything away."""
        return self._digest("fingerprint").hex()[:16]

    def name(self, kind: str, dataset: str, original: str) -> str:
        """The pseudonym of a patient, study or image: 24 hexadecimal digits."""
        return self._digest("name", kind, dataset, original).hex()[:24]

    def fraction(self, purpose: str, dataset: str, patient: str) -> float:
        """A number in [0, 1) that belongs to the patient for good: splits and nested subsets cut it into ranges."""
        return int.from_bytes(self._digest("fraction", purpose, dataset, patient)[:8], "big") / 2**64

    def split(self, dataset: str, patient: str, validate_share: float, test_share: float) -> str:
        """The split of a patient where the archive has no official one: train, validate or test."""
        fraction = self.fraction("split", dataset, patient)
        if fraction < test_share:
            return "test"
        return "validate" if fraction < test_share + validate_share else "train"


if __name__ == "__main__":
    make_key()
