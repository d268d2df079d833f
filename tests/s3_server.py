"""A real S3 server on loopback that checks signatures: OpenStack Swift with its S3 API, one process a service.

It is installed into an environment of its own, once, below the folder that MEDSLIP_TEST_TOOLS names, or `.state` of the
checkout; where that cannot be, the tests that need it are skipped.
"""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket

ACCOUNT, USER, SECRET = "hospital", "reader", "not-a-secret"
PATIENCE_SECONDS = 120.0
STRANGER = "stranger"  # a user whose keys are right and who may nothing
FILTERS = (
    "catch_errors", "gatekeeper", "listing_formats", "s3api", "tempauth", "slo", "dlo", "versioned_writes",
)  # fmt: skip
START = """
import importlib, sys
from swift.common import utils
utils.SWIFT_CONF_FILE, module, sys.argv = sys.argv[1], sys.argv[2], ["swift", sys.argv[3]]
importlib.import_module(module).main()
"""


class NoServer(Exception):
    """Why the server cannot be had on this machine."""


@dataclass(frozen=True)
class S3Server:
    """Where a server is, and the keys that open it."""

    address: str

    def environment(self, secret: str = SECRET, user: str = USER) -> dict[str, str]:
        """What boto3 takes from the environment."""
        return {
            "AWS_ENDPOINT_URL": self.address,
            "AWS_ACCESS_KEY_ID": f"{ACCOUNT}:{user}",
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@dataclass(frozen=True)
class RealS3Server(S3Server):
    """Swift, whose processes can be stopped and started again."""

    services: "Services"


def installed(tools: Path) -> Path:
    """The Python of an environment that has Swift.

    Raises:
        NoServer: it cannot be installed.
    """
    python = tools / "s3-server/bin/python"
    if not (tools / "s3-server/complete").exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", str(python.parents[1])], check=True, capture_output=True)
            command = [str(python), "-m", "pip", "install", "--quiet", "swift"]
            subprocess.run(command, check=True, capture_output=True, timeout=300)
        except (OSError, subprocess.SubprocessError) as error:
            raise NoServer(f"swift cannot be installed with pip ({type(error).__name__})") from None
        (tools / "s3-server/complete").touch()
    return python


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_settings(folder: Path, python: Path) -> dict[str, Path]:
    """Settings, rings and devices of the four services: their files by name."""
    (folder / "devices/one").mkdir(parents=True)
    (folder / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = test\n[storage-policy:0]\nname = only\n")
    ports = {name: free_port() for name in ("account", "container", "object", "proxy")}
    shared = (
        "bind_ip = 127.0.0.1\nworkers = 0\nmount_check = false\nfallocate_reserve = 0\ndisable_fallocate = true\n"
        f"user = {subprocess.run(['id', '-un'], capture_output=True, text=True, check=True).stdout.strip()}\n"
        f"swift_dir = {folder}\ndevices = {folder / 'devices'}\nlog_address = {folder / 'no-log'}\n"
    )
    files = {}
    for name, port in ports.items():
        files[name] = folder / f"{name}.conf"
        head = f"[DEFAULT]\n{shared}bind_port = {port}\n"
        if name == "proxy":
            pipeline = "".join(f"[filter:{one}]\nuse = egg:swift#{one}\n" for one in FILTERS)
            pipeline = pipeline.replace("#s3api\n", "#s3api\nlocation = us-east-1\n")
            pipeline = pipeline.replace("#tempauth\n", f"#tempauth\nuser_{ACCOUNT}_{USER} = {SECRET} .admin\n"
                                        f"user_{ACCOUNT}_{STRANGER} = {SECRET}\n")  # fmt: skip
            app = "use = egg:swift#proxy\naccount_autocreate = true\n"
            head += f"[pipeline:main]\npipeline = {' '.join(FILTERS)} proxy-server\n[app:proxy-server]\n{app}{pipeline}"
        else:
            head += f"[pipeline:main]\npipeline = {name}-server\n[app:{name}-server]\nuse = egg:swift#{name}\n"
            builder = [str(python.with_name("swift-ring-builder")), str(folder / f"{name}.builder")]
            for step in (["create", "2", "1", "1"], ["add", f"r1z1-127.0.0.1:{port}/one", "1"], ["rebalance"]):
                subprocess.run([*builder, *step], check=False, capture_output=True)  # its warnings are statuses, too
        files[name].write_text(head)
    return files


def address_in(settings: Path) -> str:
    """The address of a service whose settings these are."""
    return f"http://127.0.0.1:{settings.read_text().split('bind_port = ')[1].split()[0]}"


def answers(address: str) -> bool:
    """Whether a service answers, be it with a refusal."""
    try:
        urllib.request.urlopen(address, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


class Services:
    """Swift's four processes on settings that stay when they are stopped, as do the objects."""

    def __init__(self, folder: Path, python: Path, files: dict[str, Path]) -> None:
        self.folder, self.python, self.files = folder, python, files
        self.processes: list[subprocess.Popen[bytes]] = []
        self.addresses = {name: address_in(file) for name, file in files.items()}
        self.address = self.addresses["proxy"]

    def _launch(self, name: str) -> subprocess.Popen[bytes]:
        module = f"swift.{'obj' if name == 'object' else name}.server"
        command = [str(self.python), "-c", START, str(self.folder / "swift.conf"), module, str(self.files[name])]
        with (self.folder / f"{name}.err").open("ab") as sink:
            environment = {**os.environ, "PYTHONPATH": ""}
            return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=sink)

    def start(self) -> None:
        """Start them and wait until each answers: the proxy calls a bucket missing whose account does not answer yet.

        Raises:
            NoServer: one does not.
        """
        self.processes = [self._launch(name) for name in self.files]
        deadline = time.monotonic() + PATIENCE_SECONDS
        for name, address in self.addresses.items():
            while not answers(address):
                if time.monotonic() > deadline:
                    raise NoServer(f"swift's {name} does not start: {(self.folder / f'{name}.err').read_text()[-300:]}")
                time.sleep(0.1)

    def stop(self) -> None:
        """End them at once, as a power cut does."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()
        self.processes = []


@contextmanager
def s3_server(tools: Path, folder: Path) -> Iterator[RealS3Server]:
    """The server for the time of a block.

    Raises:
        NoServer: it cannot be had on this machine.
    """
    python = installed(tools)
    services = Services(folder, python, write_settings(folder, python))
    try:
        services.start()
        yield RealS3Server(services.address, services)
    finally:
        services.stop()
