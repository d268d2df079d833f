"""Backup and restore, between a real PostgreSQL and a real S3 server: whole, refused, damaged, while others write."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from pipelines.backup import Place, backup, checked, restore
from tests.postgres_server import PostgresServer
from tests.s3_server import RealS3Server

pytestmark = [pytest.mark.s3, pytest.mark.postgres]
DATABASES, BUCKET = ("lab", "runs"), "kept"
STRANGE = {"a/../b": b"one", "ü/ leading and trailing /": b"two", "empty": b"", "twin": b"one", "large": bytes(9 << 20)}


@pytest.fixture
def place(s3: RealS3Server, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Two databases of a user of their own and a bucket, all with something in them; gone afterwards."""
    for name, value in {**s3.environment(), **postgres.environment()}.items():
        monkeypatch.setenv(name, value)
    postgres.sql("CREATE ROLE owner LOGIN PASSWORD 'owner'")
    for database in DATABASES:
        postgres.sql(f"CREATE DATABASE {database} OWNER owner")
        figures = ("CREATE TABLE figures (name text)", f"INSERT INTO figures VALUES ('{database}')")
        postgres.sql(["SET ROLE owner", *figures], database)
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    for key, body in STRANGE.items():
        client.put_object(Bucket=BUCKET, Key=key, Body=body)
    yield Place(DATABASES, (BUCKET,))
    for database in DATABASES:
        postgres.sql(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
    postgres.sql("DROP ROLE owner")
    empty(client)
    client.delete_bucket(Bucket=BUCKET)


def empty(client: Any) -> None:
    for key in contents(client):
        client.delete_object(Bucket=BUCKET, Key=key)


def contents(client: Any) -> dict[str, bytes]:
    found = client.list_objects_v2(Bucket=BUCKET).get("Contents", ())
    return {entry["Key"]: client.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read() for entry in found}


def lose_everything(postgres: PostgresServer) -> None:
    """What a new machine has: empty databases with their owner, an empty bucket."""
    for database in DATABASES:
        postgres.sql([f"DROP DATABASE {database} WITH (FORCE)", f"CREATE DATABASE {database} OWNER owner"])
    empty(boto3.client("s3"))


def test_what_was_lost_comes_back(place: Place, postgres: PostgresServer, tmp_path: Path) -> None:
    manifest = backup(place, tmp_path / "one")
    assert sorted(entry["key"] for entry in manifest["objects"]) == sorted(STRANGE)
    assert len(list((tmp_path / "one/objects").iterdir())) == len(set(STRANGE.values()))  # equal objects once
    assert (tmp_path / "one").stat().st_mode & 0o077 == 0
    lose_everything(postgres)
    restore(place, tmp_path / "one")
    assert contents(boto3.client("s3")) == STRANGE
    for database in DATABASES:
        assert postgres.sql("SELECT name FROM figures", database) == database
        assert postgres.sql("SELECT tableowner FROM pg_tables WHERE tablename = 'figures'", database) == "owner"
        assert postgres.sql(f"SELECT has_database_privilege('public', '{database}', 'CONNECT')") == "f"


def test_what_stands_there_is_lost_only_when_that_is_said(
    place: Place, postgres: PostgresServer, tmp_path: Path
) -> None:
    backup(place, tmp_path / "one")
    with pytest.raises(ValueError, match=r"one exists: a backup is never written over"):
        backup(place, tmp_path / "one")
    client = boto3.client("s3")
    client.put_object(Bucket=BUCKET, Key="newer", Body=b"newer")
    postgres.sql("INSERT INTO figures VALUES ('newer')", "lab")
    with pytest.raises(ValueError, match="the database lab holds 1 tables"):
        restore(place, tmp_path / "one")
    assert "newer" in contents(client)
    with subprocess.Popen(  # a server that still has a connection open
        ["psql", "--quiet", "--dbname=lab", "--command=SELECT pg_sleep(60)"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as connected:  # fmt: skip
        restore(place, tmp_path / "one", replace=True)
        assert connected.wait(20) != 0
    assert contents(client) == STRANGE
    assert postgres.sql("SELECT name FROM figures", "lab") == "lab"


def test_a_damaged_backup_changes_nothing(place: Place, postgres: PostgresServer, tmp_path: Path) -> None:
    folder = tmp_path / "one"
    backup(place, folder)
    client = boto3.client("s3")
    client.put_object(Bucket=BUCKET, Key="newer", Body=b"newer")
    dump = folder / "databases/lab.dump"
    whole = dump.read_bytes()
    dump.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ValueError, match=r"the backup is damaged: .*lab\.dump is not what was written"):
        restore(place, folder, replace=True)
    dump.write_bytes(whole)
    (folder / "objects" / next(entry["sha256"] for entry in checked(folder)["objects"])).unlink()
    with pytest.raises(ValueError, match=r"the backup is damaged: .* is missing"):
        restore(place, folder, replace=True)
    (folder / "manifest.json").write_text(json.dumps({"version": 1}))
    with pytest.raises(ValueError, match=r"manifest\.json is damaged"):
        restore(place, folder, replace=True)
    with pytest.raises(ValueError, match=r"is no backup: it has no manifest\.json"):
        restore(place, tmp_path, replace=True)
    assert "newer" in contents(client)
    assert postgres.sql("SELECT name FROM figures", "lab") == "lab"


def test_a_backup_while_others_write_has_all_that_its_databases_refer_to(
    place: Place, postgres: PostgresServer, tmp_path: Path
) -> None:
    client, ended = boto3.client("s3"), threading.Event()

    def write() -> None:  # as MLflow does: the artifact, then its row
        for number in range(10_000):
            if ended.is_set():
                return
            client.put_object(Bucket=BUCKET, Key=f"run/{number}", Body=str(number).encode())
            postgres.sql(f"INSERT INTO figures VALUES ('run/{number}')", "lab")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while postgres.sql("SELECT count(*) FROM figures", "lab") < "3":
            pass
        backup(place, tmp_path / "one")
    finally:
        ended.set()
        writer.join()
    lose_everything(postgres)
    restore(place, tmp_path / "one")
    named = set(postgres.sql("SELECT name FROM figures WHERE name LIKE 'run/%'", "lab").split())
    assert named
    assert named <= set(contents(client))


def test_refusals_are_sentences(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def save(*arguments: str, **environment: str) -> str:
        command = [sys.executable, "-m", "pipelines.backup", "save", str(tmp_path / "new"), *arguments]
        done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert not list(tmp_path.iterdir())  # nothing half is left
        return done.stderr

    said = save("--database", "lab", PGPASSWORD="wrong")
    assert "password authentication failed" in said
    assert "wrong" not in said
    said = save("--database", "lab", "--bucket", BUCKET, AWS_SECRET_ACCESS_KEY="wrong")
    assert said == f"error: bucket {BUCKET}: the object store says SignatureDoesNotMatch\n"
    assert "NoSuchBucket" in save("--bucket", "nowhere")
    assert "nowhere" in save("--database", "nowhere")


def test_a_disk_that_takes_no_more_leaves_nothing_half(place: Place, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipelines.backup", "save", str(tmp_path / "new"), "--bucket", BUCKET]
    limited = ["bash", "-c", 'ulimit -f 1024; trap "" XFSZ; exec "$@"', "bash", *command]  # files of 1 MiB at most
    done = subprocess.run(limited, capture_output=True, text=True)
    assert done.returncode != 0
    assert not list(tmp_path.iterdir())
