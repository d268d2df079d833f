"""One isolated workspace a run: a git worktree, its own params.yaml, and the DVC cache of the main checkout."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from components.core.params import REGISTERED, overlay, read_yaml, validate
from components.core.records.whole import read_json
from components.core.tracking import main_checkout
from pipelines.stage import busy

CHECKOUT = Path(__file__).parents[1]
PROFILES = Path("pipelines/profiles")
WORKSPACES = "workspaces"
RUN = Path(".state/run.json")  # what a scheduled run is; written when it is prepared
UNPUBLISHED_DAYS = 1.0  # a scheduled run may wait so long for its next try
SYNTHETIC = "data/phantom/archives/"


def profiles(checkout: Path = CHECKOUT) -> list[str]:
    """The names of the profiles of a checkout."""
    return sorted(file.stem for file in (checkout / PROFILES).glob("*.yaml"))


def read_profile(name: str, checkout: Path = CHECKOUT) -> Any:
    """What a profile changes: `pipelines/profiles/<name>.yaml` of a checkout, or a YAML file of the user's own.

    Raises:
        ValueError: there is no such profile, or it is not a mapping.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else checkout / PROFILES / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(profiles(checkout))
        raise ValueError(f"there is no profile {name!r}; there are {known}, or give the path of a YAML file")
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} must be a mapping of what differs from params.yaml")
    return content


def read_setting(setting: str) -> dict[str, Any]:
    """What one `a.b=value` of the command line changes; the value is YAML.

    Raises:
        ValueError: it is not of that form.
    """
    path, sign, text = setting.partition("=")
    if not sign or not all(path.split(".")):
        raise ValueError(f"{setting!r} must have the form key.key=value")
    try:
        value = yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise ValueError(f"{setting!r}: the value is not YAML: {' '.join(str(error).split())}") from None
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


def run_params(base: Any, profile: str | None, settings: list[str]) -> Any:
    """The parameters of a run: params.yaml, the profile over it, the settings over both; checked.

    Raises:
        ValueError: a key or a value is not allowed.
    """
    content = base
    if profile is not None:
        content = overlay(content, read_profile(profile))
    for setting in settings:
        content = overlay(content, read_setting(setting))
    validate(content, "the parameters of the run")
    return content


def _command(
    *arguments: str, folder: Path, environment: Mapping[str, str] | None = None, allowed: Sequence[int] = (0,)
) -> str:
    """Run git or dvc and return what it prints.

    Raises:
        ValueError: it ends with another status than those that are allowed; with what it says.
    """
    done = subprocess.run(
        arguments, cwd=folder, env={**os.environ, **(environment or {})}, capture_output=True, text=True
    )
    if done.returncode not in allowed:
        said = " ".join((done.stderr or done.stdout).split())
        raise ValueError(f"`{' '.join(arguments)}` failed in {folder}: {said}")
    return done.stdout.strip()


def git(*arguments: str, environment: Mapping[str, str] | None = None, allowed: Sequence[int] = (0,)) -> str:
    """Run git in the current folder, with more environment, and return what it prints (see `_command`)."""
    return _command("git", *arguments, folder=Path(), environment=environment, allowed=allowed)


def dvc(*arguments: str, folder: Path, allowed: Sequence[int] = (0,)) -> str:
    """Run this Python's DVC in a checkout and return what it prints (see `_command`)."""
    return _command(sys.executable, "-m", "dvc", *arguments, folder=folder, allowed=allowed)


def _shared_cache(main: Path) -> Path:
    """The cache folder of the main checkout."""
    return (main / dvc("cache", "dir", folder=main)).resolve()


def _refuse_relative_roots(content: Any) -> None:
    """A relative root means another folder in a workspace, unless the archive is made there."""
    for name, dataset in content["datasets"].items():
        root = dataset["root"]
        if "://" not in root and not Path(root).is_absolute() and not root.startswith(SYNTHETIC):
            raise ValueError(
                f"datasets.{name}.root: {root!r} is relative; a run in a workspace of its own needs an absolute path"
            )
    init = content.get("pretrain", {}).get("init")  # an older revision knows no such key
    if init is not None and not init.startswith(REGISTERED) and not Path(init).is_absolute():
        raise ValueError(f"pretrain.init: {init!r} is relative; a run in a workspace of its own needs an absolute path")


def resolve(revision: str) -> str:
    """The commit that a revision names.

    Raises:
        ValueError: git knows no such revision.
    """
    if revision.startswith("-"):
        raise ValueError(f"{revision!r} is no git revision")
    try:
        return _command("git", "rev-parse", "--quiet", "--verify", f"{revision}^{{commit}}", folder=main_checkout())
    except ValueError:
        raise ValueError(f"git knows no revision {revision!r}: give a branch, a tag or a commit") from None


def standing_commit(folder: Path) -> str | None:
    """The commit of a workspace, None where there is none yet.

    Raises:
        ValueError: the folder holds something else.
    """
    if (folder / ".git").is_file():
        return _command("git", "rev-parse", "HEAD", folder=folder)
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty and is no workspace")
    return None


def add_worktree(folder: Path, commit: str) -> None:
    """Check a commit out into a folder, which shares the DVC cache and the local DVC settings of the main checkout.

    Raises:
        ValueError: the folder holds something else, or another commit.
    """
    main = main_checkout()
    standing = standing_commit(folder)
    if standing is None:
        _command("git", "worktree", "add", "--quiet", "--detach", str(folder), commit, folder=main)
    elif standing != commit:
        raise ValueError(f"{folder} is a workspace of revision {standing[:12]}, not of {commit[:12]}")
    settings = Path(".dvc/config.local")  # a remote's place and credentials, which git does not carry
    if (main / settings).is_file():
        shutil.copy(main / settings, folder / settings)
    dvc("cache", "dir", "--local", str(_shared_cache(main)), folder=folder)


def write_params(folder: Path, content: Any) -> None:
    """Write the parameters of a run into its workspace.

    Raises:
        ValueError: an archive's root is relative: in a workspace it would be another folder.
    """
    _refuse_relative_roots(content)
    (folder / "params.yaml").write_text(_text(content), encoding="utf-8")


def _text(content: Any) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def make_workspace(content: Any, revision: str = "HEAD", folder: Path | None = None, name: str = "run") -> Path:
    """Make the workspace of a run, or find the one that the same revision and parameters have already.

    Args:
        content: the content of its params.yaml, checked.
        revision: a git revision.
        folder: where it shall be; by default below `workspaces/` of the main checkout, named after its content.
        name: the beginning of the folder's name.

    Returns:
        The workspace's absolute path.

    Raises:
        ValueError: the revision is unknown, or the folder holds something else.
    """
    _refuse_relative_roots(content)
    commit = resolve(revision)
    if folder is None:
        digest = hashlib.sha256(f"{commit}\n{_text(content)}".encode()).hexdigest()[:12]
        folder = main_checkout() / WORKSPACES / f"{name}-{digest}"
    folder = folder.resolve()
    add_worktree(folder, commit)
    write_params(folder, content)
    return folder


def remove_workspace(folder: Path) -> None:
    """Remove a workspace; what it computed stays in the shared cache."""
    _command("git", "worktree", "remove", "--force", str(folder), folder=main_checkout())
    shutil.rmtree(folder, ignore_errors=True)


def uncommitted_code(folder: Path) -> list[str]:
    """Files that differ from the last commit and so are not in a workspace; params.yaml and dvc.lock aside."""
    changed = _command("git", "status", "--porcelain", "--", ".", ":!params.yaml", ":!dvc.lock", folder=folder)
    return [line[3:] for line in changed.splitlines()]


def list_workspaces() -> list[Path]:
    """The workspaces below `workspaces/` of the main checkout."""
    return sorted(path.parent for path in (main_checkout() / WORKSPACES).glob("*/.git"))


def _last_used(folder: Path) -> float:
    return max(path.stat().st_mtime for path in (folder, folder / "params.yaml", folder / "dvc.lock") if path.exists())


def _kept_days(folder: Path, days: float) -> float:
    """How long a workspace is kept: one of a scheduled run without a result may be needed for its next try."""
    run = folder / RUN
    waits = run.is_file() and "published" not in read_json(run)
    return max(days, UNPUBLISHED_DAYS) if waits else days


def prune_workspaces(days: float) -> list[Path]:
    """Remove the workspaces that nobody has used for some days; what they computed stays in the shared cache."""
    removed = []
    for folder in list_workspaces():
        if time.time() - _last_used(folder) < _kept_days(folder, days) * 86_400 or busy(folder):
            continue
        remove_workspace(folder)
        removed.append(folder)
    _command("git", "worktree", "prune", folder=main_checkout())
    return removed
