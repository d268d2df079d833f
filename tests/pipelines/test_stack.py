"""The stack without its images: its secrets, its compose file as Compose reads it, its databases' users."""

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.stack import RIGHTS, Secrets, Stack, policy_of
from tests.postgres_server import PostgresServer

ME = (os.getuid(), os.getgid())


@pytest.fixture
def stack(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """The stack of this checkout, with secrets of its own."""
    monkeypatch.setenv("MEDSLIP_PSEUDONYM_KEY_FILE", str(tmp_path / "medslip/pseudonym.key"))
    made = Stack(repository)
    made.secrets.make()
    return made


def contents(folder: Path) -> dict[Path, str]:
    return {path: path.read_text() for path in folder.rglob("*") if path.is_file()}


def keys_of(folder: Path) -> set[str]:
    """Every random text of the secrets."""
    texts = " ".join(contents(folder).values())
    words = {word.strip('",{}') for word in texts.replace(":", " ").split()}
    return {word for word in words if len(word) >= 16 and not word.startswith("aws_")}


def test_secrets_are_made_once_for_their_owner_only(tmp_path: Path) -> None:
    secrets = Secrets(tmp_path / "stack", ME)
    secrets.make()
    first = contents(secrets.folder)
    assert len(first) >= 12
    assert len(keys_of(secrets.folder)) >= 11
    for path in (secrets.folder, *secrets.folder.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)
    secrets.make()
    assert contents(secrets.folder) == first
    Secrets(tmp_path / "other", ME).make()
    assert not keys_of(tmp_path / "other") & keys_of(secrets.folder)


def test_each_bucket_has_one_user_with_the_rights_it_needs(stack: Stack) -> None:
    accounts = json.loads(stack.secrets.text("users/users.json"))["accessAccounts"]
    assert sorted(accounts) == ["archives", "dvc", "mlflow"]
    for user, account in accounts.items():
        assert account["role"] == "user"  # makes no bucket, and sees those only that a policy opens
        assert f"aws_secret_access_key = {account['secret']}\n" in stack.secrets.text(f"{user}.aws")
    for bucket in RIGHTS:
        statements = policy_of(bucket)["Statement"]
        assert {name for one in statements for name in one["Principal"]["AWS"]} == {bucket.removeprefix("medslip-")}
        assert {one["Resource"] for one in statements} == {f"arn:aws:s3:::{bucket}/*", f"arn:aws:s3:::{bucket}"}
    actions = {action for one in policy_of("medslip-archives")["Statement"] for action in one["Action"]}
    assert actions == {"s3:GetObject", "s3:ListBucket"}


def settings_of(stack: Stack) -> tuple[str, Any]:
    """The compose file as Compose fills it."""
    program = next((one for one in (["docker", "compose"], ["docker-compose"]) if shutil.which(one[0]) and
                    subprocess.run([*one, "version"], capture_output=True).returncode == 0), None)  # fmt: skip
    if program is None:
        pytest.skip("Compose is not installed (Debian: apt-get install docker-compose)")
    command = [*program, "--file", str(stack.main / "docker/compose.yaml"), "config"]
    done = subprocess.run(command, env=stack.environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout, yaml.safe_load(done.stdout)


@pytest.mark.docker
def test_compose_shows_no_secret_and_pins_every_image(stack: Stack) -> None:
    text, settings = settings_of(stack)
    assert not [key for key in keys_of(stack.secrets.folder) if key in text]
    for name, service in settings["services"].items():
        tag = service["image"].rpartition(":")[2]
        assert tag == "local" or any(character.isdecimal() for character in tag)
        assert service["cap_drop"] == ["ALL"]
        assert "ports" not in service
        if name != "volumes":
            assert service["network_mode"] == "host"
            assert service["read_only"]
            assert service["user"] == ":".join(map(str, stack.owner))
            assert "127.0.0.1" in json.dumps([service.get("command"), service.get("environment")])
    running = set(settings["services"]) - {"volumes", "airflow-database"}
    assert all(settings["services"][name]["healthcheck"]["test"] for name in running)
    assert all(settings["services"][name]["restart"] == "unless-stopped" for name in running)


@pytest.mark.docker
def test_without_variables_the_file_is_valid(repository: Path) -> None:
    if shutil.which("docker-compose") is None:
        pytest.skip("Compose is not installed (Debian: apt-get install docker-compose)")
    command = ["docker-compose", "--file", "docker/compose.yaml", "config", "--quiet"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.docker
def test_a_port_that_another_program_has_is_named(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    if subprocess.run(["docker", "info"], capture_output=True).returncode:
        pytest.skip("no Docker engine answers")
    with socket.socket() as theirs:
        theirs.bind(("127.0.0.1", 0))
        theirs.listen()
        stack.ports = {"MLFLOW": theirs.getsockname()[1]}
        with pytest.raises(ValueError, match=r"for mlflow is taken by another program: .*or set MEDSLIP_MLFLOW_PORT"):
            stack.refuse_taken_ports()


@pytest.mark.postgres
def test_each_database_opens_to_its_own_user_only(
    stack: Stack, postgres: PostgresServer, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in postgres.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SECRETS", str(stack.secrets.folder))
    command = ["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--file={repository}/docker/databases.sql"]
    subprocess.run([*command, "--dbname=postgres"], check=True)

    def log_in(user: str, database: str) -> str:
        environment = {name: value for name, value in os.environ.items() if name != "PGPASSWORD"}
        environment |= {"PGUSER": user, "PGPASSFILE": str(stack.secrets.folder / f"{user}_pgpass")}
        query = ["psql", "--no-psqlrc", "--no-password", f"--dbname={database}", "--command=CREATE TABLE x ()"]
        return subprocess.run(query, env=environment, capture_output=True, text=True).stderr

    try:
        assert log_in("airflow", "airflow") == ""
        assert log_in("mlflow", "mlflow") == ""
        assert "permission denied for database" in log_in("airflow", "mlflow")
        assert "permission denied for database" in log_in("mlflow", "airflow")
    finally:
        for name in ("airflow", "mlflow"):
            postgres.sql([f"DROP DATABASE {name}", f"DROP ROLE {name}"])
