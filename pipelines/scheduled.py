"""A run that a scheduler drives: its workspace is prepared, its stages run one by one, its end is published.

What a run is stands in `.state/run.json` of its workspace: written by `prepare`, completed by `publish`, read by the
scheduler.
"""

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.core import paths, tracking
from components.core.command import TryAgain
from components.core.params import overlay, parse_yaml, read_yaml, replaced, validate
from components.core.records.whole import read_json, write_json
from pipelines.graph import Graph, read_graph
from pipelines.workspace import (
    RUN,
    WORKSPACES,
    add_worktree,
    dvc,
    git,
    read_profile,
    remove_workspace,
    resolve,
    standing_commit,
    uncommitted_code,
    write_params,
)

BRANCHES = "runs/"
GIT_REMOTE_VARIABLE = "MEDSLIP_GIT_REMOTE"
# By these words of a store DVC tells that it refuses us, and not that it is away.
REFUSALS = ("Forbidden", "AccessDenied", "Access Denied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "NoSuchBucket",
            "Unable to locate credentials")  # fmt: skip


@dataclass(frozen=True)
class Request:
    """What a scheduler asks for.

    Attributes:
        run: the run's name; it names the workspace, the branch, and the parent run in MLflow.
        revision: the git revision of code and parameters.
        profile: the profile laid over params.yaml, or None.
        changes: parameters that replace those of both, by their path, such as `pretrain.epochs`.
        forced: addresses or names of stages that run even if nothing changed.
        stages: the stages that the scheduler has drawn; a revision with other ones is refused.
        remarks: lines that its note shall hold, too.
    """

    run: str
    revision: str = "HEAD"
    profile: str | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    forced: Sequence[str] = ()
    stages: Sequence[str] = ()
    remarks: Sequence[str] = ()


def workspace_of(run: str, main: Path) -> Path:
    """The workspace of a run: below `workspaces/` of the main checkout, under a name that is safe for files and git."""
    safe = re.sub(r"[^A-Za-z0-9_-]+", "-", run).strip("-")[:100]
    return main / WORKSPACES / (safe if safe == run else f"{safe}-{hashlib.sha256(run.encode()).hexdigest()[:6]}")


def _committed(commit: str, main: Path, profile: str | None, checkout: Path) -> Any:
    """The parameters of a commit under a profile."""
    content = parse_yaml(git("-C", str(main), "show", f"{commit}:params.yaml"), f"params.yaml of {commit[:12]}")
    return overlay(content, read_profile(profile, checkout)) if profile is not None else content


def _content(request: Request, folder: Path, commit: str, main: Path) -> Any:
    """The parameters of the run: params.yaml, the profile over it, the changes over both.

    Of the revision that stands in the main checkout it is the file there, which the form shows, committed or not; of
    another one its own. A run that has been prepared keeps what it has.
    """
    if (folder / RUN).is_file():
        return read_yaml(folder / "params.yaml")
    if commit == resolve("HEAD"):
        content = read_yaml(main / "params.yaml")
        if request.profile is not None:
            content = overlay(content, read_profile(request.profile, main))
    else:
        content = _committed(commit, main, request.profile, folder)
    for path, value in request.changes.items():
        content = replaced(content, path, value)
    return content


def differences(before: Any, after: Any, path: str = "") -> list[str]:
    """What differs between two contents of params.yaml, such as `pretrain.epochs = 3`, in the order of the second."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return [] if before == after else [f"{path} = {after}"]
    found = [f"{path}.{key} removed".lstrip(".") for key in before if key not in after]
    for key, value in after.items():
        found += differences(before.get(key), value, f"{path}.{key}".lstrip("."))
    return found


def _validate_there(folder: Path) -> None:
    """Check the parameters with the code of the workspace's own revision.

    Raises:
        ValueError: they are not allowed there.
    """
    code = "from components.core.command import guarded; from components.core.params import load; exit(guarded(load))"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["its parameters could not be read"]
        raise ValueError(f"at this revision: {said[-1].removeprefix('error: ')}")


def _refuse_other_stages(graph: Graph, drawn: Sequence[str]) -> None:
    names = list(graph.names())
    if drawn and sorted(names) != sorted(drawn):
        raise ValueError(
            f"the revision has other stages ({', '.join(names)}) than the DAG ({', '.join(drawn)}): commit what you "
            f"changed in dvc.yaml, or check that revision out, so that the DAG is drawn from it"
        )


def _fill(request: Request, folder: Path, commit: str, main: Path) -> tuple[Any, Graph]:
    """Write the parameters into the workspace and check everything that can be checked before a stage runs."""
    content = _content(request, folder, commit, main)
    if commit == resolve("HEAD"):
        validate(content, "the parameters of the run")
    write_params(folder, content)
    if commit != resolve("HEAD"):
        _validate_there(folder)
    graph = read_graph(folder)
    _refuse_other_stages(graph, request.stages)
    graph.select(list(request.forced))
    return content, graph


def _note(request: Request, folder: Path, commit: str, changed: Sequence[str], left_out: Sequence[str]) -> list[str]:
    """What a run uses, in lines for people; what is changed is so against the revision's own file."""
    lines = [
        f"revision {commit[:12]}" + (f", profile {request.profile}" if request.profile else ""),
        f"changed: {', '.join(changed) or 'nothing'}",
        f"workspace: {folder}",
    ]
    if request.forced:
        lines.append(f"forced: {', '.join(request.forced)}")
    lines += request.remarks
    if left_out:
        lines.append(f"without uncommitted changes of {', '.join(left_out[:5])}")
    return lines


def prepare(request: Request) -> Path:
    """Make the workspace of a run and its parent run in MLflow; once more for the same run changes nothing.

    Returns:
        The workspace's absolute path.

    Raises:
        ValueError: revision, profile, parameters or stages are not allowed; then no workspace is left.
    """
    main = tracking.main_checkout()
    folder = workspace_of(request.run, main)
    standing = standing_commit(folder)
    commit = standing or resolve(request.revision)
    add_worktree(folder, commit)
    try:
        content, graph = _fill(request, folder, commit, main)
    except ValueError:
        if standing is None:
            remove_workspace(folder)
        raise
    changed = differences(_committed(commit, main, request.profile, folder), content)
    lines = _note(request, folder, commit, changed, uncommitted_code(main))
    os.chdir(folder)
    os.environ[tracking.PIPELINE_RUN_VARIABLE] = request.run
    parent = tracking.start_pipeline(content, {"medslip.request": "\n".join(lines)})
    run = {
        "run": request.run,
        "revision": commit,
        "stages": list(graph.names()),
        "items": graph.items(),
        "forced": sorted(graph.select(list(request.forced))),
        "note": lines,
        "links": {"MLflow": tracking.page_of(parent)} if parent else {},
    }
    write_json(folder / RUN, run)
    print("\n".join(lines), flush=True)
    return folder


def record(run: str) -> str:
    """Commit dvc.lock and params.yaml of the current workspace on the branch of its run, and leave HEAD where it is.

    Returns:
        The branch.
    """
    branch = BRANCHES + workspace_of(run, Path()).name
    index = Path(".state/index").absolute()
    index.unlink(missing_ok=True)
    private = {"GIT_INDEX_FILE": str(index)}
    git("read-tree", "HEAD", environment=private)
    git("add", "--force", "dvc.lock", "params.yaml", environment=private)
    tree = git("write-tree", environment=private)
    index.unlink()
    if git("rev-parse", "--quiet", "--verify", f"refs/heads/{branch}^{{tree}}", allowed=(0, 1)) != tree:
        author = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in _identity().items()}
        commit = git("commit-tree", tree, "-p", "HEAD", "-m", f"Run {run}", environment=author)
        git("update-ref", f"refs/heads/{branch}", commit)
    return branch


def _identity() -> dict[str, str]:
    """Who commits: whom git knows, else the pipeline."""
    return {
        "NAME": git("config", "user.name", allowed=(0, 1)) or "medslip",
        "EMAIL": git("config", "user.email", allowed=(0, 1)) or "medslip@localhost",
    }


def push(branch: str) -> list[str]:
    """Push what may be pushed: the outputs to DVC's default remote, the branch to the git remote that is set.

    Returns:
        What was pushed and what was not, in lines.

    Raises:
        PermissionError: DVC's remote refuses our keys or has no such bucket: trying again would change nothing.
        TryAgain: a remote does not take it.
    """
    said = []
    try:
        said.append(f"outputs: pushed to DVC's remote {_push_outputs()!r}" if _default_remote() else "outputs: not "
                    "pushed, DVC has no default remote")  # fmt: skip
        remote = os.environ.get(GIT_REMOTE_VARIABLE)
        if remote:
            git("push", "--quiet", "--force", remote, f"{branch}:{branch}")
        said.append(f"branch {branch}: " + (f"pushed to {remote}" if remote else "in this repository"))
    except ValueError as error:
        raise TryAgain(str(error)) from None
    return said


def _default_remote() -> str:
    return dvc("config", "core.remote", folder=tracking.main_checkout(), allowed=(0, 251, 255))


def _push_outputs() -> str:
    """Push the workspace's outputs; a remote that the main checkout names relative to itself is named in full."""
    name = _default_remote()
    listed = dvc("remote", "list", folder=tracking.main_checkout())
    place = re.search(rf"^{re.escape(name)}\s+(.+?)(?:\s+\(default\))?$", listed, re.MULTILINE)
    if place and Path(place.group(1)).is_absolute():
        dvc("remote", "modify", "--local", name, "url", place.group(1), folder=Path())
    try:
        dvc("push", folder=Path())
    except ValueError as error:
        said = next((sign for sign in REFUSALS if sign in str(error)), None)
        if said:
            url = place.group(1) if place else "its address"
            raise PermissionError(
                f"DVC's remote {name!r} at {url} refuses the push ({said}): check its keys and rights, and that the "
                f"bucket exists; then publish again"
            ) from None
        raise
    return name


def _registered() -> list[str]:
    """The registry's entry of this workspace's model, in a line."""
    if not paths.REGISTRATION.is_file():
        return []
    entry = read_json(paths.REGISTRATION)
    version = tracking.model_version(tracking.connect(), entry["model"], entry["digest"])
    if version is None:
        return []
    alias = f", alias {entry['alias']}" if entry["alias"] else ", without an alias: a gate does not hold"
    return [f"model: {entry['model']} version {version.version}{alias}"]


def run_of_workspace() -> str:
    """The name of the run whose workspace the current folder is.

    Raises:
        ValueError: it was never prepared.
    """
    if not RUN.is_file():
        raise ValueError(f"{RUN} does not exist: {Path.cwd()} is not the workspace of a prepared run")
    return str(read_json(RUN)["run"])


def publish() -> None:
    """Record the run of the current workspace on its branch, push it, and end its run in MLflow with the model card.

    Raises:
        PermissionError: DVC's remote refuses us.
        TryAgain: a remote does not take what is pushed.
    """
    run, params = read_json(RUN), read_yaml(paths.PARAMS)
    pushed = push(record(run["run"]))
    card = paths.MODEL_CARD / "index.html"
    parent = tracking.end_pipeline(params, "FINISHED", [card] if card.is_file() else [])
    if parent:
        page = tracking.page_of(parent)
        run["links"] = {"MLflow": page, **({"model card": f"{page}/artifacts/index.html"} if card.is_file() else {})}
    lines = [*pushed, *_registered()]
    run["published"] = lines
    write_json(RUN, run)
    print("\n".join([*lines, f"model card: {card.absolute()}"]), flush=True)
