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
    """Where the server is, and the keys that open it."""

    address: str

    def environment(self, secret: str = SECRET) -> dict[str, str]:
        """What boto3 takes from the environment."""
        return {
            "AWS_ENDPOINT_URL": self.address,
            "AWS_ACCESS_KEY_ID": f"{ACCOUNT}:{USER}",
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


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
            pipeline = pipeline.replace("#tempauth\n", f"#tempauth\nuser_{ACCOUNT}_{USER} = {SECRET} .admin\n")
            app = "use = egg:swift#proxy\naccount_autocreate = true\n"
            head += f"[pipeline:main]\npipeline = {' '.join(FILTERS)} proxy-server\n[app:proxy-server]\n{app}{pipeline}"
        else:
            head += f"[pipeline:main]\npipeline = {name}-server\n[app:{name}-server]\nuse = egg:swift#{name}\n"
            builder = [str(python.with_name("swift-ring-builder")), str(folder / f"{name}.builder")]
            for step in (["create", "2", "1", "1"], ["add", f"r1z1-127.0.0.1:{port}/one", "1"], ["rebalance"]):
                subprocess.run([*builder, *step], check=False, capture_output=True)  # its warnings are statuses, too
        files[name].write_text(head)
    return files


@contextmanager
def s3_server(tools: Path, folder: Path) -> Iterator[S3Server]:
    """The server for the time of a block.

    Raises:
        NoServer: it cannot be had on this machine.
    """
    python = installed(tools)
    files = write_settings(folder, python)
    modules = {"object": "swift.obj.server"}
    services = [
        subprocess.Popen(
            [
                str(python),
                "-c",
                START,
                str(folder / "swift.conf"),
                modules.get(name, f"swift.{name}.server"),
                str(file),
            ],
            env={**os.environ, "PYTHONPATH": ""},
            stdout=subprocess.DEVNULL,
            stderr=(folder / f"{name}.err").open("wb"),
        )
        for name, file in files.items()
    ]
    try:
        port = files["proxy"].read_text().split("bind_port = ")[1].split()[0]
        address = f"http://127.0.0.1:{port}"
        for _ in range(150):
            try:
                urllib.request.urlopen(address, timeout=2)
            except urllib.error.HTTPError:
                break
            except OSError:
                time.sleep(0.1)
        else:
            said = (folder / "proxy.err").read_text()[-300:]
            raise NoServer(f"swift does not start: {said}")
        yield S3Server(address)
    finally:
        for service in services:
            service.terminate()
        for service in services:
            service.wait()
