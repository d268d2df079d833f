"""A model's version in the MLflow registry: found by its digest or made, and its alias."""

import shutil
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

from components.core import model as model_room
from components.core.gates import Verdict
from components.core.model import load
from components.core.params import Register
from components.core.tracking import DIGEST_TAG, exclusive, model_version
from components.register import served

PACKAGES = ("mlflow", "numpy", "pandas", "pydantic", "pyyaml", "safetensors", "torch", "transformers")
CORE = Path(model_room.__file__).parents[1]
# What a loaded model needs of this project, and no more: the rest stays out of the registry.
CODE = (
    "__init__.py",
    "explain.py",
    "model",
    "params.py",
    "records/__init__.py",
    "records/digests.py",
    "records/labels.py",
    "records/whole.py",
    "tensors.py",
    "vocabulary",
)


def _copy_code(folder: Path) -> None:
    """The part of this project that the model needs, as a package of the same name."""
    (folder / "core").mkdir(parents=True)
    shutil.copy(CORE.parent / "__init__.py", folder)
    for name in CODE:
        target = folder / "core" / name
        target.parent.mkdir(exist_ok=True)
        if (CORE / name).is_dir():
            shutil.copytree(CORE / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(CORE / name, target)


def _log(folder: Path, run_id: str) -> Any:
    """Log a pretrained model into a run as something that MLflow can load anywhere, and see that it predicts."""
    size = load(folder).config.image_size
    with tempfile.TemporaryDirectory() as temporary, mlflow.start_run(run_id=run_id):
        code = Path(temporary) / "components"
        _copy_code(code)
        logged = mlflow.pyfunc.log_model(
            name="medslip",
            python_model=str(Path(served.__file__)),
            artifacts={"model": str(folder)},
            code_paths=[str(code)],
            pip_requirements=[f"{name}=={version(name).split('+')[0]}" for name in PACKAGES],
            signature=ModelSignature(inputs=Schema([TensorSpec(np.dtype(np.uint8), (-1, size, size))])),
            input_example=np.zeros((1, size, size), np.uint8),
        )
    return logged


def _settle_alias(client: MlflowClient, settings: Register, number: str, passed: bool) -> None:
    """Give the alias to a version that passed; take it from one that no longer does."""
    holder = client.get_registered_model(settings.name).aliases.get(settings.alias)
    if passed and str(holder) != number:
        client.set_registered_model_alias(settings.name, settings.alias, number)
    elif not passed and str(holder) == number:
        client.delete_registered_model_alias(settings.name, settings.alias)


def register_model(
    client: MlflowClient, folder: Path, digest: str, settings: Register, verdicts: Sequence[Verdict], run_id: str
) -> str:
    """Register a pretrained model once, note its gates, and settle its alias.

    Args:
        client: from `tracking.connect`.
        folder: what pretrain wrote.
        digest: the folder's .
        settings: names of the model and the alias.
        verdicts: what the gates say.
        run_id: the run that the model is logged into if it is new.

    Returns:
        The version.

    Raises:
        mlflow.exceptions.MlflowException, OSError: the registry does not answer.
    """
    with exclusive(f"model {settings.name}"):  # two runs of one model may end at once
        return _register(client, folder, digest, settings, verdicts, run_id)


def _register(
    client: MlflowClient, folder: Path, digest: str, settings: Register, verdicts: Sequence[Verdict], run_id: str
) -> str:
    try:
        client.get_registered_model(settings.name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        client.create_registered_model(settings.name)
    known = model_version(client, settings.name, digest)
    if known is None:
        logged = client.get_logged_model(_log(folder, run_id).model_id)
        known = client.create_model_version(
            settings.name, logged.artifact_location, run_id, {DIGEST_TAG: digest}, model_id=logged.model_id
        )
    number = str(known.version)
    passed = all(verdict.holds for verdict in verdicts)
    client.set_model_version_tag(settings.name, number, "medslip.gates", "passed" if passed else "failed")
    client.update_model_version(settings.name, number, description="\n".join(f"- {v.reason}" for v in verdicts))
    _settle_alias(client, settings, number, passed)
    return number
