"""Backup and restore of PostgreSQL databases and S3 buckets, as one folder whose every byte has a checksum.

Where they are is said in the ordinary ways: PGHOST, PGPORT, PGUSER and PGPASSFILE for PostgreSQL, AWS_ENDPOINT_URL and
AWS_SHARED_CREDENTIALS_FILE for the store. The databases are dumped before the buckets are copied: whatever a database
refers to was in its bucket by then, so that a backup taken while runs write is whole.

A backup is a folder: `manifest.json`, `databases/<name>.dump` (pg_dump's custom format), and `objects/<sha256>`, which
holds equal objects once.
"""

import argparse
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeVar

from components.core.command import guarded
from components.core.records.whole import read_json, whole_folder, write_json
from components.core.trouble import TryAgain

MANIFEST = "manifest.json"
VERSION = 1
PIECE = 1 << 20
FRESH = "_restored"

Result = TypeVar("Result")


@dataclass(frozen=True)
class Place:
    """What is saved, and where it is.

    Attributes:
        databases: their names, in one PostgreSQL server.
        buckets: their names, in one object store.
        postgres: what stands before PostgreSQL's own programs, such as `docker exec …`.
    """

    databases: tuple[str, ...]
    buckets: tuple[str, ...]
    postgres: tuple[str, ...] = ()

    def tool(
        self, program: str, *arguments: str, source: IO[bytes] | None = None, sink: IO[bytes] | None = None
    ) -> str:
        """Run one of PostgreSQL's programs, from a file and into one, and return what it prints otherwise.

        Raises:
            ValueError: it fails; with the last line that it says.
        """
        command = [*self.postgres, program, "--no-password", *arguments]
        try:
            done = subprocess.run(
                command, stdin=source or subprocess.DEVNULL, stdout=sink or subprocess.PIPE, stderr=subprocess.PIPE
            )
        except FileNotFoundError:
            raise ValueError(f"{command[0]} is not installed (Debian: apt-get install postgresql-client)") from None
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it says nothing"]
            error = next((line for line in said if "error" in line.lower()), said[-1])
            raise ValueError(f"{program} failed: {error}")
        return (done.stdout or b"").decode("utf-8", "replace").strip()

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run a statement as the superuser."""
        quiet = ("--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1")
        return self.tool("psql", *quiet, f"--dbname={database}", f"--command={statement}")

    def store(self) -> Any:
        """A client of the object store."""
        import boto3
        from botocore.config import Config

        # A session of its own: the default one remembers the keys that it saw first.
        return told(
            lambda: boto3.Session().client("s3", config=Config(retries={"max_attempts": 4, "mode": "standard"}))
        )


def told(action: Callable[[], Result], what: str = "the object store") -> Result:
    """What an action on the store gives; its errors in a sentence.

    Raises:
        ValueError: the store refuses: wrong keys, no such bucket, no rights.
        TryAgain: it does not answer.
    """
    from botocore import exceptions

    try:
        return action()
    except exceptions.ClientError as error:
        answer = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        said = f"{what}: the object store says {answer.get('Code') or status}"
        raise (TryAgain if status >= 500 else ValueError)(said) from None
    except (exceptions.HTTPClientError, exceptions.ConnectionError, exceptions.IncompleteReadError) as error:
        raise TryAgain(f"{what}: the object store does not answer ({type(error).__name__})") from None
    except (exceptions.BotoCoreError, ValueError) as error:
        raise ValueError(f"{what}: {error}") from None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _dump(place: Place, database: str, folder: Path) -> dict[str, Any]:
    path = folder / "databases" / f"{database}.dump"
    with path.open("wb") as sink:
        place.tool("pg_dump", "--format=custom", f"--dbname={database}", sink=sink)
        os.fsync(sink.fileno())
    return {"database": database, "bytes": path.stat().st_size, "sha256": _digest(path)}


def listed(client: Any, bucket: str) -> Iterator[str]:
    """The keys of a bucket.

    Raises:
        ValueError, TryAgain: see `told`.
    """
    pages = iter(client.get_paginator("list_objects_v2").paginate(Bucket=bucket))
    while (page := told(lambda: next(pages, None), f"bucket {bucket}")) is not None:
        yield from (found["Key"] for found in page.get("Contents", ()))


def _fetch(client: Any, bucket: str, key: str, folder: Path) -> dict[str, Any] | None:
    """Copy an object; None where it has been deleted since it was listed."""
    from botocore.exceptions import ClientError

    part, digest, size = folder / "objects" / "part", hashlib.sha256(), 0
    try:
        body = client.get_object(Bucket=bucket, Key=key)["Body"]
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return None
        raise
    with part.open("wb") as sink:
        for piece in body.iter_chunks(PIECE):
            sink.write(piece)
            digest.update(piece)
            size += len(piece)
        os.fsync(sink.fileno())
    part.rename(part.with_name(digest.hexdigest()))
    return {"bucket": bucket, "key": key, "bytes": size, "sha256": digest.hexdigest()}


def backup(place: Place, target: Path) -> dict[str, Any]:
    """Copy the databases and buckets of a place into a new folder, whole or not at all.

    Returns:
        The manifest.

    Raises:
        ValueError: the folder exists, or a server refuses.
        TryAgain: a server does not answer.
        OSError: the disk is full.
    """
    if target.exists():
        raise ValueError(f"{target} exists: a backup is never written over")
    os.umask(0o077)  # databases and buckets hold what only their owners may read
    with whole_folder(target) as folder:
        for name in ("databases", "objects"):
            (folder / name).mkdir()
        databases = [_dump(place, database, folder) for database in place.databases]
        client, objects = place.store(), []
        for bucket in place.buckets:
            for key in listed(client, bucket):
                entry = told(partial(_fetch, client, bucket, key, folder), f"bucket {bucket}")
                objects += [entry] if entry else []
        manifest = {
            "version": VERSION,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "databases": databases,
            "buckets": list(place.buckets),
            "objects": objects,
        }
        write_json(folder / MANIFEST, manifest)
    return manifest


def checked(folder: Path) -> dict[str, Any]:
    """The manifest of a backup whose every file is as it was written.

    Raises:
        ValueError: it is no backup, or a file is missing or damaged.
    """
    if not (folder / MANIFEST).is_file():
        raise ValueError(f"{folder} is no backup: it has no {MANIFEST}")
    try:
        manifest: dict[str, Any] = read_json(folder / MANIFEST)
        version = manifest["version"]
        files = [(folder / "databases" / f"{entry['database']}.dump", entry) for entry in manifest["databases"]]
        files += [(folder / "objects" / entry["sha256"], entry) for entry in manifest["objects"]]
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{folder / MANIFEST} is damaged") from None
    if version != VERSION:
        raise ValueError(f"{folder} is a backup of version {version}; version {VERSION} is read here")
    for path, entry in dict(files).items():
        if not path.is_file():
            raise ValueError(f"the backup is damaged: {path} is missing")
        if path.stat().st_size != entry["bytes"] or _digest(path) != entry["sha256"]:
            raise ValueError(f"the backup is damaged: {path} is not what was written")
    return manifest


def _refuse_what_holds_something(place: Place, client: Any, manifest: dict[str, Any]) -> None:
    for entry in manifest["databases"]:
        name = entry["database"]
        tables = place.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", name)
        if tables != "0":
            raise ValueError(f"the database {name} holds {tables} tables: say REPLACE=1 (--replace) to lose them")
    for bucket in manifest["buckets"]:
        if next(listed(client, bucket), None) is not None:
            raise ValueError(f"the bucket {bucket} is not empty: say REPLACE=1 (--replace) to lose what it holds")


def _restore_database(place: Place, name: str, dump: Path) -> None:
    """Read a dump into a database beside the standing one, and change places when it is whole."""
    owner = place.sql(f"SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = '{name}'")
    place.sql(f'DROP DATABASE IF EXISTS "{name}{FRESH}"')
    place.sql(f'CREATE DATABASE "{name}{FRESH}" OWNER "{owner}" TEMPLATE template0')
    with dump.open("rb") as source:
        once = ("--exit-on-error", "--single-transaction", "--no-owner", f"--role={owner}")
        place.tool("pg_restore", *once, f"--dbname={name}{FRESH}", source=source)
    place.sql(f'DROP DATABASE "{name}" WITH (FORCE)')
    place.sql(f'ALTER DATABASE "{name}{FRESH}" RENAME TO "{name}"')
    place.sql(f'REVOKE CONNECT ON DATABASE "{name}" FROM PUBLIC')


def restore(place: Place, folder: Path, replace: bool = False) -> dict[str, Any]:
    """Bring databases and buckets back as a backup has them.

    Everything is checked before anything is touched. The databases must exist, with their owners; so must the buckets.

    Args:
        place: where they are; only what the backup holds is touched.
        folder: the backup.
        replace: lose what the databases and buckets hold now.

    Returns:
        The manifest.

    Raises:
        ValueError: the backup is damaged, the place is not empty, or a server refuses.
        TryAgain: a server does not answer.
    """
    manifest, client = checked(folder), place.store()
    unknown = {entry["database"] for entry in manifest["databases"]} - set(place.databases)
    unknown |= set(manifest["buckets"]) - set(place.buckets)
    if unknown:
        raise ValueError(f"the backup holds {', '.join(sorted(unknown))}, which is not here")
    if not replace:
        _refuse_what_holds_something(place, client, manifest)
    for entry in manifest["objects"]:
        source = str(folder / "objects" / entry["sha256"])
        told(partial(client.upload_file, source, entry["bucket"], entry["key"]), f"bucket {entry['bucket']}")
    kept = {(entry["bucket"], entry["key"]) for entry in manifest["objects"]}
    for bucket in manifest["buckets"]:
        for key in [key for key in listed(client, bucket) if (bucket, key) not in kept]:
            told(partial(client.delete_object, Bucket=bucket, Key=key), f"bucket {bucket}")
    for entry in manifest["databases"]:
        _restore_database(place, entry["database"], folder / "databases" / f"{entry['database']}.dump")
    return manifest


def told_of(manifest: dict[str, Any]) -> str:
    """What a backup holds, in a line."""
    size = sum(entry["bytes"] for entry in (*manifest["databases"], *manifest["objects"]))
    names = ", ".join(entry["database"] for entry in manifest["databases"]) or "none"
    return (
        f"databases {names}; {len(manifest['objects'])} objects of {len(manifest['buckets'])} buckets; {size:,} bytes"
    )


def main() -> int:
    """`save` or `restore`, on the servers that the environment names."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.backup", description=__doc__)
    parser.add_argument("action", choices=["save", "restore"])
    parser.add_argument("folder", type=Path, help="the backup")
    parser.add_argument("--database", action="append", default=[], help="may be repeated")
    parser.add_argument("--bucket", action="append", default=[], help="may be repeated")
    parser.add_argument("--replace", action="store_true", help="restore: lose what stands there")
    arguments = parser.parse_args()
    place = Place(tuple(arguments.database), tuple(arguments.bucket))

    def act() -> None:
        if arguments.action == "save":
            print(told_of(backup(place, arguments.folder)))
        else:
            print(told_of(restore(place, arguments.folder, arguments.replace)))

    return guarded(act)


if __name__ == "__main__":
    sys.exit(main())
