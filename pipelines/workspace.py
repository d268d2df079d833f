"""One isolated workspace a run: a git worktree, its own params.yaml, and the DVC cache of the main checkout."""

import hashlib
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from components.core.params import overlay, read_yaml, validate
from components.core.tracking import main_checkout
from pipelines.stage import busy

PROFILES = Path(__file__).parent / "profiles"
WORKSPACES = "workspaces"
SYNTHETIC = "data/phantom/archives/"


def read_profile(name: str) -> Any:
    """What a profile changes: `pipelines/profiles/<name>.yaml`, or a YAML file of the user's own.

    Raises:
        ValueError: there is no such profile, or it is not a mapping.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else PROFILES / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in PROFILES.glob("*.yaml")))
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


def _command(*arguments: str, folder: Path) -> str:
    """Run git or dvc and return what it prints.

    Raises:
        ValueError: it fails; with what it says.
    """
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        raise ValueError(f"`{' '.join(arguments)}` failed in {folder}: {said}")
    return done.stdout.strip()


def _dvc(*arguments: str, folder: Path) -> str:
    return _command(sys.executable, "-m", "dvc", *arguments, folder=folder)


def _shared_cache(main: Path) -> Path:
    """The cache folder of the main checkout."""
    return (main / _dvc("cache", "dir", folder=main)).resolve()


def _refuse_relative_roots(content: Any) -> None:
    """A relative root means another folder in a workspace, unless the archive is made there."""
    for name, dataset in content["datasets"].items():
        root = dataset["root"]
        if "://" not in root and not Path(root).is_absolute() and not root.startswith(SYNTHETIC):
            raise ValueError(
                f"datasets.{name}.root: {root!r} is relative; a run in a workspace of its own needs an absolute path"
            )


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
    main = main_checkout()
    commit = _command("git", "rev-parse", "--verify", f"{revision}^{{commit}}", folder=main)
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    if folder is None:
        digest = hashlib.sha256(f"{commit}\n{text}".encode()).hexdigest()[:12]
        folder = main / WORKSPACES / f"{name}-{digest}"
    folder = folder.resolve()
    if (folder / ".git").is_file():
        standing = _command("git", "rev-parse", "HEAD", folder=folder)
        if standing != commit:
            raise ValueError(f"{folder} is a workspace of revision {standing[:12]}, not of {commit[:12]}")
    elif folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty and is no workspace")
    else:
        _command("git", "worktree", "add", "--quiet", "--detach", str(folder), commit, folder=main)
    _dvc("cache", "dir", "--local", str(_shared_cache(main)), folder=folder)
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    return folder


def uncommitted_code(folder: Path) -> list[str]:
    """Files that differ from the last commit and so are not in a workspace; params.yaml and dvc.lock aside."""
    changed = _command("git", "status", "--porcelain", "--", ".", ":!params.yaml", ":!dvc.lock", folder=folder)
    return [line[3:] for line in changed.splitlines()]


def list_workspaces() -> list[Path]:
    """The workspaces below `workspaces/` of the main checkout."""
    return sorted(path.parent for path in (main_checkout() / WORKSPACES).glob("*/.git"))


def _last_used(folder: Path) -> float:
    return max(path.stat().st_mtime for path in (folder, folder / "params.yaml", folder / "dvc.lock") if path.exists())


def prune_workspaces(days: float) -> list[Path]:
    """Remove the workspaces that nobody has used for some days; what they computed stays in the shared cache."""
    main, removed = main_checkout(), []
    for folder in list_workspaces():
        if time.time() - _last_used(folder) < days * 86_400 or busy(folder):
            continue
        _command("git", "worktree", "remove", "--force", str(folder), folder=main)
        shutil.rmtree(folder, ignore_errors=True)
        removed.append(folder)
    _command("git", "worktree", "prune", folder=main)
    return removed
