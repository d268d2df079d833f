"""What lies in an image's layers, also in those whose files a later layer hides."""

import re
import subprocess
import tarfile
from collections.abc import Iterator

FORBIDDEN = re.compile(
    r"(^|/)(\.git|\.state|\.dvc|\.aws|\.ssh|workspaces|mlartifacts|mlruns)(/|$)"
    r"|(^|/)(\.netrc|\.pypirc|pip\.conf|mlflow\.db.*|.*passwords?(\.json|\.txt)?|.*\.forgotten|.*\.dcm|id_(rsa|ed25519))$"
    r"|^(data|models|predictions|plots|metrics|model_card)/"
    r"|(^|/)pseudonym[^/]*\.key$",
    re.IGNORECASE,
)
NOT_SECRET = re.compile(
    r"/site-packages/(pydicom/data|botocore|django)/|^(usr/share|usr/lib|etc/pam\.d|usr/sbin|var/lib/(dpkg|pam))/"
)
KEYS = re.compile(r"\.(pem|key)$")
KEY_BYTES = 1 << 16
PRIVATE = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----|^[0-9a-f]{32,}\s*$")
BLOCK = 1 << 20


def _layers(archive: tarfile.TarFile) -> Iterator[tarfile.TarFile]:
    """The layers in an image's archive, in one pass."""
    for member in archive:
        if member.isfile() and (member.name.endswith("layer.tar") or member.name.startswith("blobs/")):
            content = archive.extractfile(member)
            try:
                layer = tarfile.open(fileobj=content, mode="r|*", bufsize=BLOCK)  # noqa: SIM115 (closed below)
            except tarfile.ReadError:  # a description in JSON
                continue
            with layer:
                yield layer


def _is_secret(layer: tarfile.TarFile, member: tarfile.TarInfo) -> bool:
    path = member.name.removeprefix("./")
    if FORBIDDEN.search(path):
        return not NOT_SECRET.search(path)
    if not (KEYS.search(path) and member.isfile() and member.size <= KEY_BYTES):
        return False
    content = layer.extractfile(member)
    assert content is not None
    return PRIVATE.search(content.read()) is not None


def secrets_in(image: str) -> list[str]:
    """The paths in an image's layers that are secrets or a user's own files."""
    with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saving:
        with tarfile.open(fileobj=saving.stdout, mode="r|", bufsize=BLOCK) as archive:
            found = [
                member.name.removeprefix("./")
                for layer in _layers(archive)
                for member in layer
                if _is_secret(layer, member)
            ]
        assert saving.stdout is not None
        saving.stdout.read()
    assert saving.returncode == 0
    return found
