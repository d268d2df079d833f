"""What lies in an image's layers, also in those whose files a later layer hides."""

import io
import re
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

FORBIDDEN = re.compile(
    r"(^|/)(\.git|\.state|\.dvc|\.aws|\.ssh|workspaces|mlartifacts|mlruns)(/|$)"
    r"|(^|/)(\.netrc|\.pypirc|pip\.conf|mlflow\.db.*|.*passwords?(\.json|\.txt)?|.*\.forgotten|.*\.dcm|id_(rsa|ed25519))$"
    r"|^(data|models|predictions|plots|metrics|model_card)/"
    r"|(^|/)pseudonym[^/]*\.key$",
    re.IGNORECASE,
)
NOT_SECRET = re.compile(
    r"/site-packages/(pydicom/data|botocore|django)/|^(usr/share|usr/lib|etc/pam\.d|usr/sbin|var/lib/dpkg)/"
)
KEYS = re.compile(r"\.(pem|key)$")
PRIVATE = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----|^[0-9a-f]{32,}\s*$")


def _layers(client: Any, image: str) -> Iterator[tarfile.TarFile]:
    """The layers of an image, as its archive holds them."""
    file = io.BytesIO(b"".join(client.get_image(image)))
    with tarfile.open(fileobj=file) as archive:
        for member in archive.getmembers():
            if member.isfile() and (member.name.endswith("layer.tar") or member.name.startswith("blobs/")):
                content = archive.extractfile(member)
                assert content is not None
                with suppress(tarfile.ReadError), tarfile.open(fileobj=content) as layer:  # else a description in JSON
                    yield layer


def secrets_in(client: Any, image: str) -> list[str]:
    """The paths in an image's layers that are secrets or a user's own files."""
    found = []
    for layer in _layers(client, image):
        for member in layer:
            path = member.name.removeprefix("./")
            if FORBIDDEN.search(path) and not NOT_SECRET.search(path):
                found.append(path)
            elif KEYS.search(path) and member.isfile():
                content = layer.extractfile(member)
                if content is not None and PRIVATE.search(content.read()):
                    found.append(path)
    return found
