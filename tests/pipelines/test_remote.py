"""DVC's remote on a real S3 server: pushed, pulled, refused, and broken off in the middle of a push."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from components.core.tracking import PIPELINE_RUN_VARIABLE
from pipelines.scheduled import Request, prepare
from tests.finished_run import GIT
from tests.s3_server import ACCOUNT, SECRET, START, STRANGER, USER, RealS3Server

pytestmark = [pytest.mark.s3, pytest.mark.slow]
BUCKET = "medslip-dvc"
FILES = 30


def dvc(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=folder, capture_output=True, text=True)


def set_keys(folder: Path, user: str = USER, secret: str = SECRET) -> None:
    """Write the file that the remote's `credentialpath` names."""
    file = folder.with_name("dvc.aws")
    file.write_text(f"[default]\naws_access_key_id = {ACCOUNT}:{user}\naws_secret_access_key = {secret}\n")


def set_remote(folder: Path, server: RealS3Server, keys: Path) -> None:
    """What `make up` sets: in the local settings, which git does not carry, with the keys in a file."""
    (folder / ".dvc/config.local").write_text(
        "[core]\n    remote = stack\n['remote \"stack\"']\n"
        f"    url = s3://{BUCKET}\n    endpointurl = {server.address}\n    credentialpath = {keys}\n"
    )


@contextmanager
def another_bucket(*folders: Path) -> Iterator[None]:
    """The remotes of some checkouts lead to a bucket that is not there, for the time of a block."""
    files = [folder / ".dvc/config.local" for folder in folders]
    former = [file.read_text() for file in files]
    for file, text in zip(files, former, strict=True):
        file.write_text(text.replace(BUCKET, "nowhere"))
    yield
    for file, text in zip(files, former, strict=True):
        file.write_text(text)


@pytest.fixture(scope="module")
def client(s3: RealS3Server) -> Any:
    keys = s3.environment()
    made = boto3.client(
        "s3", endpoint_url=s3.address, region_name="us-east-1", aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
    )  # fmt: skip
    made.create_bucket(Bucket=BUCKET)
    return made


def objects(client: Any) -> Mapping[str, int]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return {found["Key"]: found["Size"] for page in pages for found in page.get("Contents", ())}


@pytest.fixture(scope="module")
def workspace(fresh: Path, s3: RealS3Server, client: Any) -> Iterator[Path]:
    """The workspace of a run that made some files, whose main checkout has its remote on the server."""
    set_keys(fresh)
    set_remote(fresh, s3, fresh.with_name("dvc.aws"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(fresh)
        patch.delenv("MLFLOW_TRACKING_URI")
        patch.setenv(PIPELINE_RUN_VARIABLE, "restored afterwards")
        folder = prepare(Request(run="stored", profile="tiny"))
        for number in range(FILES):
            (folder / "data/some").mkdir(parents=True, exist_ok=True)
            (folder / f"data/some/{number}").write_bytes(os.urandom(200_000))
        (folder / "dvc.yaml").write_text(
            "stages:\n  some:\n    cmd: 'true'\n    deps: [params.yaml]\n    outs: [data/some]\n", encoding="utf-8"
        )
        assert dvc("commit", "-fq", "some", folder=folder).returncode == 0
        yield folder


def archive_keys(workspace: Path) -> Path:
    """The keys of the raw archives, in the file of AWS_CONFIG_FILE: DVC's own come before them."""
    file = workspace.with_name("archives.aws")
    file.write_text("[default]\naws_access_key_id = archives\naws_secret_access_key = others\n")
    return file


def publish(workspace: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipelines", "publish", "--workspace", str(workspace)],
        cwd=workspace, capture_output=True, text=True,
        env={**os.environ, "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": str(archive_keys(workspace))},
    )  # fmt: skip


def test_a_server_with_a_slow_part_has_its_buckets_when_it_has_started(
    s3: RealS3Server, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = "import sys, time\ntime.sleep(5 if 'account' in sys.argv[2] else 0)\n"
    s3.services.stop()
    monkeypatch.setattr("tests.s3_server.START", slow + START)
    s3.services.start()
    assert client.head_bucket(Bucket=BUCKET)["ResponseMetadata"]["HTTPStatusCode"] == 200


@pytest.mark.parametrize("keys", [(USER, "wrong"), (STRANGER, SECRET)], ids=["wrong", "without rights"])
def test_wrong_keys_are_refused_with_a_sentence(fresh: Path, workspace: Path, keys: tuple[str, str]) -> None:
    set_keys(fresh, *keys)
    try:
        done = publish(workspace)
    finally:
        set_keys(fresh)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1] == (
        f"error: DVC's remote 'stack' at s3://{BUCKET} refuses the push (Forbidden): check its keys and rights, and "
        "that the bucket exists; then publish again"
    )
    assert "Traceback" not in done.stderr
    assert keys[1] not in done.stderr + done.stdout


def test_a_bucket_that_is_missing_is_named(fresh: Path, workspace: Path) -> None:
    with another_bucket(fresh, workspace):
        done = publish(workspace)
    assert done.returncode == 2
    assert "at s3://nowhere refuses the push (NoSuchBucket)" in done.stderr


@pytest.mark.hard
def test_a_store_that_stops_in_the_middle_of_a_push_loses_nothing(
    fresh: Path, workspace: Path, s3: RealS3Server, client: Any, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "pipelines", "publish", "--workspace", str(workspace)]
    pushing = subprocess.Popen(command, cwd=workspace, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 180
    while not objects(client):
        assert pushing.poll() is None
        assert time.monotonic() < deadline
    s3.services.stop()
    try:
        said = pushing.communicate(timeout=120)[0]
    finally:
        s3.services.start()
    assert pushing.returncode == 75, said
    assert "try again: " in said
    assert 0 < len(objects(client)) < FILES + 1

    done = publish(workspace)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(objects(client)) == FILES + 1  # and the folder's list of them
    assert "in sync" in dvc("status", "--cloud", "some", folder=workspace).stdout

    clone = tmp_path / "clone"
    subprocess.run([*GIT, "clone", "-q", "--branch", "runs/stored", str(fresh), str(clone)], check=True)
    (clone / "dvc.yaml").write_bytes((workspace / "dvc.yaml").read_bytes())
    set_remote(clone, s3, fresh.with_name("dvc.aws"))
    assert dvc("pull", "some", folder=clone).returncode == 0
    for number in range(FILES):
        pulled, made = (folder / f"data/some/{number}" for folder in (clone, workspace))
        assert pulled.read_bytes() == made.read_bytes()
