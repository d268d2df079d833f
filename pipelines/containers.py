"""How a stage becomes a container: the one place that decides it, whoever starts the container."""

import configparser
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISLNK

import yaml

from components.core.pseudonyms import KEY_FILE_VARIABLE, forgotten_file, key_file
from components.core.tracking import PIPELINE_RUN_VARIABLE, kept_in
from pipelines.graph import Stage
from pipelines.stage import STATE

IMAGES_VARIABLE = "MEDSLIP_IMAGES"
IMAGES = "medslip-{image}:local"
STATE_VARIABLE = "MEDSLIP_STATE_DIR"  # what outlives a try or a run: checkpoints, decoded images
# What a stage may know of the machine: where and how fast, never what.
ENVIRONMENT = ("MEDSLIP_DEVICE", PIPELINE_RUN_VARIABLE, "MEDSLIP_WORKERS", "MLFLOW_TRACKING_URI", "TZ")
USER = 1000  # the images' user, and the group's number, too
# How an archive on S3 is reached: where, and the files that the keys stand in, which are mounted.
STORE = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE", "AWS_CA_BUNDLE",
         "AWS_EC2_METADATA_DISABLED")  # fmt: skip
KEY_FILES = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")
UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


@dataclass(frozen=True)
class Mounted:
    """A file or folder of the host, at the very path that it has there: git and DVC note absolute paths."""

    path: Path
    read_only: bool


@dataclass(frozen=True)
class Container:
    """Everything that a container engine is told of a stage.

    Attributes:
        image: the image's name.
        command: the program and its arguments.
        environment: all that the stage sees beside what the image sets.
        mounts: what of the host it sees.
        folder: the working directory: the workspace.
        user: user and group id: those that the workspace belongs to, never root's.
        network: `none` or `host`.
        memory: bytes, at most.
        shm: bytes of shared memory, None for the engine's default.
        gpu: whether it gets the GPUs.
        labels: by which it is found again.
    """

    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    mounts: tuple[Mounted, ...]
    folder: Path
    user: str
    network: str
    memory: int
    shm: int | None
    gpu: bool
    labels: Mapping[str, str]


def in_bytes(size: str) -> int:
    """A size such as `4g` in bytes.

    Raises:
        ValueError: it is none.
    """
    match = re.fullmatch(r"(\d+)([kmgt]?)", str(size))
    if match is None:
        raise ValueError(f"dvc.yaml: meta: {size!r} is no size; write such as 512m or 4g")
    return int(match.group(1)) * UNITS[match.group(2)]


def _archives(workspace: Path) -> list[Path]:
    """The archives and the given weights of the run that lie on this machine outside its workspace."""
    params = yaml.safe_load((workspace / "params.yaml").read_text(encoding="utf-8"))
    roots = [dataset["root"] for dataset in params["datasets"].values()]
    init = params.get("pretrain", {}).get("init")  # a revision of its own may know no such key
    roots += [init] if init else []
    return [Path(root) for root in roots if ":/" not in root and Path(root).is_absolute()]


def reads_store(stage: Stage, workspace: Path) -> bool:
    """Whether a stage reads an archive that lies on S3."""
    datasets = yaml.safe_load((workspace / "params.yaml").read_text(encoding="utf-8"))["datasets"]
    read = datasets if stage.item is None else {stage.item} & set(datasets)
    return bool(stage.meta.get("archive")) and any("://" in datasets[name]["root"] for name in read)


def _store_access(stage: Stage, workspace: Path) -> tuple[dict[str, str], tuple[Mounted, ...]]:
    """What a stage is told of the store that its archive lies on, and the files with the keys."""
    if not reads_store(stage, workspace):
        return {}, ()
    files = {name: Path(os.environ[name]).expanduser().absolute() for name in KEY_FILES if os.environ.get(name)}
    told = {name: os.environ[name] for name in STORE if name in os.environ}
    return {**told, **{name: str(file) for name, file in files.items()}}, tuple(
        Mounted(file, read_only=True) for file in dict.fromkeys(files.values())
    )


def _tracking(network: str, main: Path) -> tuple[Mounted, ...]:
    """Where MLflow keeps its database and its artifacts, if on this machine, for the stages that talk to it.

    Raises:
        ValueError: MLflow is somewhere that a container does not reach.
    """
    if network != "host":
        return ()
    kept = kept_in(main)
    address = os.environ.get("MLFLOW_TRACKING_URI")
    if address and not address.startswith(("http://", "https://", f"sqlite:///{kept}/")):
        raise ValueError(
            f"MLFLOW_TRACKING_URI is {address!r}, which a container does not reach: give the http address of a server, "
            f"or unset it for the database below {kept}"
        )
    return (Mounted(kept, read_only=False),)


def cache_of(workspace: Path) -> Path:
    """The DVC cache of a workspace, as its settings say, or DVC's own default."""
    settings = configparser.ConfigParser()
    settings.read([workspace / ".dvc/config", workspace / ".dvc/config.local"], encoding="utf-8")
    return workspace / ".dvc" / settings.get("cache", "dir", fallback="cache")


def stage_command(address: str, force: bool) -> tuple[str, ...]:
    """What runs a stage in its container; the launcher logs it in MLflow, since it may have no network."""
    return ("python", "-m", "pipelines", "stage", address, "--unlogged", *(["--force"] if force else []))


def _user_of(workspace: Path) -> tuple[int, int]:
    """Whom a container runs as: the workspace's owner, or where that is root, user 1000."""
    owner = workspace.stat()
    return (owner.st_uid, owner.st_gid) if owner.st_uid else (USER, USER)


def container_of(
    stage: Stage, command: tuple[str, ...], workspace: Path, main: Path, labels: Mapping[str, str]
) -> Container:
    """The container that runs a command for a stage.

    Args:
        stage: its `meta` says image, memory, shm, gpu and network.
        command: what runs in it; `python` is the image's.
        workspace: the absolute path of the run's workspace.
        main: the main checkout, whose `.git` a workspace needs.
        labels: by which the container is found again.

    Raises:
        ValueError: `meta` says something else than is understood.
    """
    network = stage.meta.get("network", "host")
    if network not in ("none", "host"):
        raise ValueError(f"dvc.yaml: stages.{stage.name}.meta.network must be none or host, not {network!r}")
    told, keys = _store_access(stage, workspace)
    site = main / ".state" / "dvc"
    kept = Path(os.environ.get(STATE_VARIABLE) or main / ".state" / "kept").absolute()
    key = key_file().absolute()
    forgotten = forgotten_file().absolute()
    return Container(
        image=os.environ.get(IMAGES_VARIABLE, IMAGES).format(image=stage.meta.get("image", "train")),
        command=command,
        environment={
            **{name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
            **told,
            KEY_FILE_VARIABLE: str(key),
            STATE_VARIABLE: str(kept),
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(site),
            "HOME": "/tmp",
            "PYTHONUNBUFFERED": "1",
        },
        mounts=(
            Mounted(workspace, read_only=False),
            Mounted(cache_of(workspace), read_only=False),
            Mounted(site, read_only=False),
            Mounted(kept, read_only=False),
            Mounted(main / ".git", read_only=True),
            Mounted(key, read_only=True),
            *_tracking(network, main),
            *([Mounted(forgotten, read_only=True)] if forgotten.exists() else []),
            *(Mounted(root, read_only=True) for root in _archives(workspace)),
            *keys,
        ),
        folder=workspace,
        user=":".join(map(str, _user_of(workspace))),
        network="host" if reads_store(stage, workspace) else network,
        memory=in_bytes(stage.meta.get("memory", "4g")),
        shm=in_bytes(stage.meta["shm"]) if "shm" in stage.meta else None,
        gpu=bool(stage.meta.get("gpu")),
        labels=labels,
    )


def _within(path: Path) -> Iterator[Path]:
    """A file, or a folder with all that lies in it; links are not followed."""
    yield path
    for folder, folders, files in os.walk(path):
        yield from (Path(folder, name) for name in (*folders, *files))


def _written(stage: Stage, container: Container) -> Iterator[Path]:
    """What a stage's container writes: of the workspace its outputs and what DVC and we keep, all of other mounts."""
    tops = {Path(out).parts[0] for out in stage.outs} | {"dvc.lock", ".dvc", str(STATE)}
    yield from (container.folder / top for top in sorted(tops))
    yield from (
        mounted.path for mounted in container.mounts if not mounted.read_only and mounted.path != container.folder
    )


def share_key(user: int, group: int) -> None:
    """Let a container's user read the pseudonym key, and who is forgotten; where they are root's, through the group.

    Raises:
        ValueError: there is no key, or that user may not read one of the files and we are not root.
    """
    key, forgotten = key_file().absolute(), forgotten_file().absolute()
    if not key.is_file():
        raise ValueError(f"no pseudonym key at {key}: make one with `make setup` or set {KEY_FILE_VARIABLE}")
    for path in (key, forgotten):
        if not path.is_file():
            continue
        owner = path.stat()
        if owner.st_uid == user or (owner.st_gid == group and owner.st_mode & 0o040):
            continue
        if os.geteuid() != 0:
            raise ValueError(f"{path} is not of user {user}, whom the container runs as: chown {user}:{group} {path}")
        os.chown(path, -1, group)
        path.chmod(0o640)


def _open_to(group: int, path: Path) -> None:
    """Let a group read a file, or list a folder, unless everybody may: Airflow's tasks make files for their owner."""
    found = path.lstat()
    wanted = 0o5 if S_ISDIR(found.st_mode) else 0o4
    if S_ISLNK(found.st_mode) or found.st_mode & wanted == wanted:
        return
    if found.st_gid != group:
        os.chown(path, -1, group)
    path.chmod(found.st_mode | wanted << 3)


def hand_over(stage: Stage, container: Container) -> None:
    """Make a container's folders, and where root starts it, give its user what it writes, and let it read the rest.

    The rest is the workspace, its repository and the key.
    The workspace's own folder stays its owner's and is opened to the user's group: git trusts no repository of others.

    Raises:
        ValueError: root owns what the container needs, and we are not root; or there is no key.
    """
    for path in (mounted.path for mounted in container.mounts if not mounted.read_only):
        path.mkdir(parents=True, exist_ok=True)
    (container.folder / STATE).mkdir(parents=True, exist_ok=True)
    user, group = map(int, container.user.split(":"))
    share_key(user, group)
    if os.geteuid() == 0:
        for shared in (container.folder, (container.folder / STATE).parent):
            os.chown(shared, -1, group)
            shared.chmod(shared.stat().st_mode | 0o070)
        read = (container.folder, *(mounted.path for mounted in container.mounts if mounted.path.name == ".git"))
        for path in (path for top in read for path in _within(top)):
            with suppress(FileNotFoundError):
                _open_to(group, path)
        for path in (path for top in _written(stage, container) for path in _within(top)):
            with suppress(FileNotFoundError):  # another stage of the workspace has removed it
                if path.lstat().st_uid != user:
                    os.chown(path, user, group, follow_symlinks=False)
    elif container.folder.stat().st_uid != user:
        raise ValueError(
            f"{container.folder} is not of user {user}, whom the container runs as: "
            f"chown -R {user}:{group} {container.folder}"
        )
