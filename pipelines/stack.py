"""The services of a lab's server in containers (`docker/compose.yaml`): up, down, backup, restore.

Secrets are made once, beside the pseudonym key, outside the repository: files that only their owner may read, mounted
where they are needed and nowhere else.
"""

import argparse
import base64
import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import requests

from components.core.command import guarded
from components.core.pseudonyms import KEY_FILE_VARIABLE, key_file, make_key
from components.core.tracking import main_checkout
from pipelines.backup import Place, backup, restore, told, told_of
from pipelines.containers import share_key
from pipelines.services import port_of
from pipelines.workspace import dvc

PROJECT = "medslip"
PORTS = {"AIRFLOW": 8080, "MLFLOW": 5000, "POSTGRES": 5432, "S3": 7070}
SERVICES = {"AIRFLOW": "airflow-api-server", "MLFLOW": "mlflow", "POSTGRES": "postgres", "S3": "store"}
DATABASES = ("airflow", "mlflow")
READ = ("s3:GetObject",)
WRITE = (*READ, "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
# Each bucket, and what the one user whose name it ends in may do with its objects.
RIGHTS = {"medslip-dvc": WRITE, "medslip-mlflow": WRITE, "medslip-archives": READ}
UNPRIVILEGED = 1000
HEALTHY_SECONDS = 300.0


def user_of(bucket: str) -> str:
    """The user of a bucket."""
    return bucket.removeprefix("medslip-")


def policy_of(bucket: str) -> dict[str, Any]:
    """The bucket policy that gives a bucket's user its rights, and nobody else any."""
    objects = {"Action": list(RIGHTS[bucket]), "Resource": f"arn:aws:s3:::{bucket}/*"}
    whole = {"Action": ["s3:ListBucket"], "Resource": f"arn:aws:s3:::{bucket}"}
    allow = {"Effect": "Allow", "Principal": {"AWS": [user_of(bucket)]}}
    return {"Version": "2012-10-17", "Statement": [{**allow, **objects}, {**allow, **whole}]}


class Secrets:
    """Every secret of the stack: made once, kept in a folder that only its owner may read.

    Args:
        folder: where they are kept.
        owner: user and group id of whom the containers run as.
    """

    def __init__(self, folder: Path, owner: tuple[int, int]) -> None:
        self.folder, self.owner = folder, owner

    def make(self) -> None:
        """Make what is missing; what stands there stays as it is."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._once("postgres_password", secrets.token_urlsafe(24))
        for user in DATABASES:
            self._once(f"{user}_pgpass", f"*:*:*:{user}:{secrets.token_urlsafe(24)}\n")
        for name in ("airflow_api_key", "airflow_jwt_key", "store_root_key"):
            self._once(name, secrets.token_urlsafe(48))
        self._once("airflow_fernet_key", base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
        self._once("passwords/passwords.json", json.dumps({"admin": secrets.token_urlsafe(12)}))
        for bucket in RIGHTS:
            self._once(f"{user_of(bucket)}.aws", _aws(user_of(bucket), secrets.token_urlsafe(30)))
        self._once("root.aws", _aws("root", self.text("store_root_key")))
        self._once("users/users.json", json.dumps(self._accounts()))
        for path in (self.folder, *self.folder.rglob("*")):
            path.chmod(0o700 if path.is_dir() else 0o600)
            if os.getuid() == 0:
                os.chown(path, *self.owner)

    def text(self, name: str) -> str:
        """A secret."""
        return (self.folder / name).read_text(encoding="ascii")

    def _once(self, name: str, content: str) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(content)

    def _accounts(self) -> dict[str, Any]:
        """The store's users, as it reads them."""
        accounts = {}
        for bucket in RIGHTS:
            user = user_of(bucket)
            secret = self.text(f"{user}.aws").rpartition(" = ")[2].strip()
            accounts[user] = {"access": user, "secret": secret, "role": "user", "userID": 0, "groupID": 0}
        return {"accessAccounts": accounts}


def _aws(user: str, secret: str) -> str:
    return f"[default]\naws_access_key_id = {user}\naws_secret_access_key = {secret}\n"


class Stack:
    """The stack of a checkout.

    Args:
        main: the main checkout.

    Raises:
        ValueError: a port is no number.
    """

    def __init__(self, main: Path) -> None:
        self.main = main.resolve()
        owner = self.main.stat()
        self.owner = (owner.st_uid, owner.st_gid) if owner.st_uid else (UNPRIVILEGED, UNPRIVILEGED)
        self.secrets = Secrets(key_file().absolute().parent / "stack", self.owner)
        self.ports = {name: port_of(f"MEDSLIP_{name}_PORT", port) for name, port in PORTS.items()}
        self.store = f"http://127.0.0.1:{self.ports['S3']}"

    def environment(self) -> dict[str, str]:
        """What the compose file is filled with: places and numbers, never a secret."""
        socket_file = os.environ.get("DOCKER_HOST", "").removeprefix("unix://") or "/var/run/docker.sock"
        group = Path(socket_file).stat().st_gid if Path(socket_file).exists() else 0
        return {
            **os.environ,
            **{f"MEDSLIP_{name}_PORT": str(port) for name, port in self.ports.items()},
            "MEDSLIP_CHECKOUT": str(self.main),
            "MEDSLIP_DOCKER_GROUP": str(group),
            "MEDSLIP_DOCKER_SOCKET": socket_file,
            "MEDSLIP_SECRETS": str(self.secrets.folder),
            "MEDSLIP_USER": ":".join(map(str, self.owner)),
            KEY_FILE_VARIABLE: str(key_file().absolute()),
        }

    @cached_property
    def program(self) -> tuple[str, ...]:
        """Compose, and what it is about.

        Raises:
            ValueError: there is none, or no engine.
        """
        for program in (("docker", "compose"), ("docker-compose",)):
            if shutil.which(program[0]) and subprocess.run([*program, "version"], capture_output=True).returncode == 0:
                break
        else:
            raise ValueError("neither `docker compose` nor docker-compose is installed")
        if shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True).returncode:
            raise ValueError("no Docker engine answers: start it, or set DOCKER_HOST")
        return (*program, "--project-name", PROJECT, "--file", str(self.main / "docker/compose.yaml"))

    def compose(self, *arguments: str, show: bool = False) -> str:
        """Run compose, and return what it prints where it is not shown.

        Raises:
            ValueError: it fails; with the end of what it says.
        """
        sink = None if show else subprocess.PIPE
        done = subprocess.run([*self.program, *arguments], env=self.environment(), stdout=sink, stderr=sink, text=True)
        if done.returncode:
            said = (done.stderr or "see above").strip().splitlines()[-1]
            raise ValueError(f"compose {arguments[0]} failed: {said}")
        return (done.stdout or "").strip()

    def refuse_taken_ports(self) -> None:
        """Refuse ports that other programs have.

        Raises:
            ValueError: one is taken, and not by the service that shall have it.
        """
        for name, port in self.ports.items():
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    if not self.compose("ps", "-q", SERVICES[name]):
                        raise ValueError(
                            f"port {port} for {SERVICES[name]} is taken by another program: end it (`make "
                            f"services-stop`, where it is ours), or set MEDSLIP_{name}_PORT"
                        ) from None

    def up(self) -> None:
        """Start what does not run, make the buckets, wait until all is healthy, and say where it is; again: the same.

        Raises:
            ValueError: a port is taken, there is no engine or image, or a service does not become healthy.
        """
        make_key()
        share_key(*self.owner)
        self.secrets.make()
        self.refuse_taken_ports()
        self.compose("up", "--detach", "postgres", "store", show=True)
        self._await(f"{self.store}/health", "the object store")
        make_buckets(self.client())
        self.compose("up", "--detach", show=True)
        self._await(f"http://127.0.0.1:{self.ports['MLFLOW']}/health", "MLflow")
        self._await(f"http://127.0.0.1:{self.ports['AIRFLOW']}/api/v2/monitor/health", "Airflow")
        self.set_remote()
        password = self.secrets.folder / "passwords/passwords.json"
        print(f"Airflow:  http://127.0.0.1:{self.ports['AIRFLOW']}   user admin, password in {password}")
        print(f"MLflow:   http://127.0.0.1:{self.ports['MLFLOW']}")
        print(f"store:    {self.store}   buckets {', '.join(RIGHTS)}; keys in {self.secrets.folder}", flush=True)

    def _await(self, address: str, what: str) -> None:
        deadline = time.monotonic() + HEALTHY_SECONDS
        while True:
            try:
                with requests.Session() as session:
                    session.trust_env = False
                    if session.get(address, timeout=5).ok:
                        return
            except requests.RequestException:
                pass
            if time.monotonic() > deadline:
                raise ValueError(f"{what} does not become healthy at {address}: see `docker logs`")
            time.sleep(1)

    def client(self) -> Any:
        """A client of the store with all rights."""
        import boto3

        secret = self.secrets.text("store_root_key")
        return boto3.client("s3", endpoint_url=self.store, region_name="us-east-1", aws_access_key_id="root",
                            aws_secret_access_key=secret)  # fmt: skip

    def set_remote(self) -> None:
        """Make the DVC bucket the checkout's default remote, in the local settings, which git does not carry."""
        setting = partial(dvc, "remote", folder=self.main)
        setting("add", "--local", "--force", "--default", "stack", "s3://medslip-dvc")
        setting("modify", "--local", "stack", "endpointurl", self.store)
        setting("modify", "--local", "stack", "region", "us-east-1")
        setting("modify", "--local", "stack", "credentialpath", str(self.secrets.folder / "dvc.aws"))

    def down(self) -> None:
        """End the services; what they keep stays. What runs then is tried again after the next start."""
        self.compose("down", show=True)
        print("the stack is down; its volumes stay", flush=True)

    def place(self) -> Place:
        """Where the databases and buckets are, with PostgreSQL's programs of the server's own version.

        Raises:
            ValueError: the stack was never up.
        """
        if not (self.secrets.folder / "root.aws").is_file():
            raise ValueError("the stack was never up: make up")
        os.environ.update(AWS_SHARED_CREDENTIALS_FILE=str(self.secrets.folder / "root.aws"),
                          AWS_ENDPOINT_URL=self.store, AWS_DEFAULT_REGION="us-east-1")  # fmt: skip
        os.environ.update(self.environment())
        return Place(DATABASES, tuple(RIGHTS), (*self.program, "exec", "-T", "postgres"))

    def save(self, folder: Path | None) -> None:
        """Back up into a new folder; runs may go on."""
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
        target = folder or self.main / ".state/backups" / stamp
        print(f"{target}: {told_of(backup(self.place(), target))}")

    def bring_back(self, folder: Path, replace: bool) -> None:
        """Restore a backup into the stack: an empty one, or one whose data may be lost."""
        make_key()
        self.secrets.make()
        self.compose(
            "stop", *(name for name in self.compose("ps", "--services").split() if "airflow" in name), "mlflow"
        )
        self.compose("up", "--detach", "postgres", "store", show=True)
        self._await(f"{self.store}/health", "the object store")
        make_buckets(self.client())
        print(f"restored: {told_of(restore(self.place(), folder, replace))}; make up starts the rest")


def make_buckets(client: Any) -> None:
    """Make the buckets that are missing, and give each its policy.

    Raises:
        ValueError, TryAgain: see `told`.
    """
    for bucket in RIGHTS:
        try:
            told(partial(client.head_bucket, Bucket=bucket), f"bucket {bucket}")
        except ValueError:
            told(partial(client.create_bucket, Bucket=bucket), f"bucket {bucket}")
        told(partial(client.put_bucket_policy, Bucket=bucket, Policy=json.dumps(policy_of(bucket))), f"bucket {bucket}")


def main() -> int:
    """`up`, `down`, `backup` or `restore`."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.stack", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    commands.add_parser("up", help="start the stack")
    commands.add_parser("down", help="end it; its volumes stay")
    save = commands.add_parser("backup", help="copy databases and buckets into a new folder")
    save.add_argument("folder", type=Path, nargs="?", help="default: one below .state/backups, named by the time")
    back = commands.add_parser("restore", help="bring a backup back")
    back.add_argument("folder", type=Path)
    back.add_argument("--replace", action="store_true", help="lose what the stack holds")
    arguments = parser.parse_args()

    def act() -> None:
        stack = Stack(main_checkout())
        if arguments.command == "backup":
            stack.save(arguments.folder)
        elif arguments.command == "restore":
            stack.bring_back(arguments.folder, arguments.replace)
        else:
            getattr(stack, arguments.command)()

    return guarded(act)


if __name__ == "__main__":
    raise SystemExit(main())
