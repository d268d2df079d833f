"""A stage of dvc.yaml depends on its own folder and on exactly the rooms of core that it imports."""

import ast
from pathlib import Path

import pytest

from components.core.params import Params
from pipelines.graph import Stage, read_graph

REPOSITORY = Path(__file__).resolve().parents[1]
CORE = "components.core"

# Not dependencies, since a change of theirs does not change what a stage makes:
SHELL = {
    "components/core/checkpoints.py": "keeps what a training has done until it is finished",
    "components/core/command.py": "reads the command line and reports how a stage ended",
    "components/core/devices.py": "says where a stage computes, and so in which precision",
    "components/core/explain.py": "words what params.py refuses",
    "components/core/params.py": "checks values that DVC tracks one by one",
    "components/core/paths.py": "repeats the paths that dvc.yaml declares",
    "components/core/state.py": "says where what outlives a run lies",
    "components/core/stopping.py": "says when a stage is to stop",
    "components/core/tensors.py": "writes tensors as it is given them",
    "components/core/tracking.py": "notes in MLflow what was made",
    "components/core/trouble.py": "names what may work later",
    "components/core/workers.py": "says how many processes a stage uses",
}
WHOLE_CODE = {"model_card": "the page states the version of the whole code"}


def file_of(module: str) -> Path | None:
    """The file of a module of this repository."""
    path = REPOSITORY / Path(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def imported_by(file: Path) -> set[str]:
    """The modules of this repository that a file imports anywhere in it, with the packages that they lie in."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    found = {name for name in found if file_of(name)}
    return found | {name.rsplit(".", depth)[0] for name in found for depth in range(1, name.count(".") + 1)}


def closure(folder: Path) -> set[Path]:
    """The files of core that a stage's folder imports, directly or not."""
    waiting, seen = list(folder.rglob("*.py")), set[Path]()
    while waiting:
        file = waiting.pop()
        if file in seen:
            continue
        seen.add(file)
        waiting += [path for name in imported_by(file) if name.startswith(CORE) and (path := file_of(name))]
    return {file for file in seen if REPOSITORY / "components/core" in file.parents}


def room_of(file: Path) -> str | None:
    """The room that a file of core lies in: a folder, or the file itself; core's own __init__ is none."""
    parts = file.relative_to(REPOSITORY).parts
    return None if parts[2:] == ("__init__.py",) else "/".join(parts[:3])


STAGES = {stage.name: stage for stage in read_graph(REPOSITORY).stages.values()}


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_dependencies_are_the_imports(stage: Stage) -> None:
    declared = {dep for dep in stage.deps if Path(dep).parts[0] == "components"}
    if stage.name in WHOLE_CODE:
        assert declared == {"components"}
        return
    rooms = {room for file in closure(REPOSITORY / "components" / stage.name) if (room := room_of(file))}
    assert declared == {f"components/{stage.name}"} | (rooms - set(SHELL))


def test_every_folder_of_components_is_a_stage_or_the_served_model() -> None:
    folders = {path.parent.name for path in (REPOSITORY / "components").glob("*/__main__.py")}
    assert folders == {*STAGES, "serve"}


def test_commands_are_the_same_everywhere() -> None:
    for stage in read_graph(REPOSITORY).stages.values():
        assert stage.command == " ".join(
            ["python -m", f"components.{stage.name}", *([stage.item] if stage.item else [])]
        )


def test_the_shell_is_what_stands_there() -> None:
    standing = {path for path in SHELL if (REPOSITORY / path).is_file()}
    assert standing == set(SHELL)


def sections_read(folder: Path) -> set[str]:
    """The sections of params.yaml that a stage's code reads as `params.<section>`."""
    names = {field.alias or name: name for name, field in Params.model_fields.items()}
    attributes = {
        node.attr
        for file in folder.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "params"
    }
    return {section for section, attribute in names.items() if attribute in attributes}


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_parameters_are_those_that_are_read(stage: Stage) -> None:
    declared = {key.split(".")[0] for key in stage.params}
    if stage.name in WHOLE_CODE:
        assert sections_read(REPOSITORY / "components" / stage.name) <= declared
        return
    assert declared == sections_read(REPOSITORY / "components" / stage.name)
