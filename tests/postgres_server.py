"""A real PostgreSQL on loopback, from the distribution's packages: a cluster of its own, with password log-in only."""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.s3_server import NoServer, free_port

OWNER = "nobody"  # PostgreSQL refuses to run as root
SUPERUSER = "postgres"


def programs() -> Path:
    """The folder of initdb and pg_ctl, of the newest version where there are several.

    Raises:
        NoServer: there is none.
    """
    found = shutil.which("initdb")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    if found is None and not folders:
        raise NoServer("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    return folders[-1] if folders else Path(str(found)).resolve().parent


def unprivileged() -> int | None:
    """The user who runs the server where we are root, else None: ourselves."""
    return pwd.getpwnam(OWNER).pw_uid if os.getuid() == 0 else None


@dataclass(frozen=True)
class PostgresServer:
    """Where the server is, and its cluster, which can be stopped and started again."""

    folder: Path
    port: int
    password: str

    def run(self, program: str, *arguments: str) -> None:
        """Run one of the server's programs as the user who owns the cluster.

        Raises:
            NoServer: it fails.
        """
        command = [str(programs() / program), "--pgdata", str(self.folder / "data"), *arguments]
        log = self.folder / "command.log"
        with log.open("ab") as sink:
            done = subprocess.run(command, user=unprivileged(), stdout=sink, stderr=sink, cwd=self.folder)
        if done.returncode:
            raise NoServer(f"{program} fails: {log.read_text()[-300:]}")

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder} -c fsync=off"
        self.run("pg_ctl", "start", "--wait", "--log", str(self.folder / "server.log"), "--options", options)

    def stop(self) -> None:
        """End it at once and break every connection, as a crash does."""
        self.run("pg_ctl", "stop", "--wait", "--mode", "immediate")

    def uri(self, database: str, user: str = SUPERUSER, password: str | None = None) -> str:
        """The address of a database, as SQLAlchemy and libpq take it."""
        return f"postgresql://{user}:{password or self.password}@127.0.0.1:{self.port}/{database}"

    def environment(self) -> dict[str, str]:
        """What libpq's programs take from the environment."""
        return {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": SUPERUSER, "PGPASSWORD": self.password}

    def sql(self, statements: str | Sequence[str], database: str = SUPERUSER) -> str:
        """Run statements, each in a transaction of its own, and return what the last gives."""
        commands = [statements] if isinstance(statements, str) else statements
        options = [option for command in commands for option in ("--command", command)]
        return subprocess.run(
            ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "--dbname",
             database, *options],
            env={**os.environ, **self.environment()}, check=True, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """The server for the time of a block.

    Raises:
        NoServer: it cannot be had on this machine.
    """
    programs()
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:  # its socket's path may have 107 characters only
        server = PostgresServer(Path(name), free_port(), secrets.token_urlsafe(12))
        password = server.folder / "password"
        password.write_text(server.password)
        for path in (server.folder, password):
            shutil.chown(path, unprivileged() or os.getuid())
        initial = ("--auth", "scram-sha-256", "--username", SUPERUSER, "--pwfile", str(password), "--no-sync")
        server.run("initdb", *initial, "--encoding", "UTF8", "--no-locale")
        try:
            server.start()
            yield server
        finally:
            with suppress(NoServer):  # a test may have stopped it
                server.stop()
