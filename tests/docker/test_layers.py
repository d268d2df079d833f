"""No secret and no file of a user's is in a layer, and one that is planted is found."""

import io
import subprocess
import tarfile
from typing import Any

import pytest

from tests.docker.layers import secrets_in

pytestmark = [pytest.mark.docker, pytest.mark.slow]

PLANTED = {
    "srv/pseudonym.key": b"0" * 64,
    "opt/app/.git/config": b"[core]",
    "root/.netrc": b"machine",
    "etc/pip.conf": b"[global]",
    "etc/server.pem": b"-----BEGIN RSA PRIVATE KEY-----",
    "opt/passwords.json": b"{}",
    "data/images/shard-00000.npy": b"",
    "models/model.safetensors": b"",
    "srv/.state/x": b"",
    "srv/mlflow.db": b"",
    "srv/patient.dcm": b"",
}


def archive(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as made:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
    return file.getvalue()


def test_no_secret_is_in_a_layer(stage_images: list[str]) -> None:
    assert {image: secrets_in(image) for image in stage_images} == {image: [] for image in stage_images}


def test_a_planted_secret_is_found(docker_engine: Any) -> None:
    image = docker_engine.import_image_from_data(archive({**PLANTED, "etc/ca.pem": b"-----BEGIN CERTIFICATE-----"}))
    name = image.strip().splitlines()[-1].split('"')[-2]
    try:
        assert sorted(secrets_in(name)) == sorted(PLANTED)
    finally:
        docker_engine.remove_image(name)


def test_the_image_says_what_it_is_and_runs_as_nobody_in_particular(
    docker_engine: Any, stage_images: list[str]
) -> None:
    for image in stage_images:
        config = docker_engine.inspect_image(image)["Config"]
        assert config["User"] == "1000:1000"
        subprocess.run(["docker", "run", "--rm", "--network", "none", image, "test", "-x", "/root"], check=True)
        assert {"org.opencontainers.image.version", "org.opencontainers.image.revision"} <= set(config["Labels"])
