"""The stage: the model that `pretrain.init` names, checked and copied to models/initial."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from components.core import paths, tracking
from components.core.params import REGISTERED, Params
from components.core.records.digests import folder_digest
from components.core.records.whole import whole_folder, write_json
from components.core.trouble import TryAgain

UNKNOWN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
MODEL_FILES = ("config.json", "metrics.json", "vocabulary.json", "weights.safetensors")


def fetch(name: str, folder: Path) -> Path:
    """Bring a registered model, such as `models:/medslip@champion`, into a folder; returns where its files lie.

    Raises:
        ValueError: the registry has no such model, or it is none of ours.
        TryAgain: the registry does not answer.
    """
    from mlflow import artifacts
    from mlflow.exceptions import MlflowException

    try:
        tracking.connect()
        artifacts.download_artifacts(artifact_uri=name, dst_path=str(folder))
    except (MlflowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        if isinstance(error, MlflowException) and error.error_code in UNKNOWN:
            raise ValueError(f"pretrain.init: the registry has no {name} ({reason})") from None
        raise TryAgain(f"MLflow at {tracking.address()}: {reason}") from error
    found = sorted(path.parent for path in folder.rglob("weights.safetensors"))
    if len(found) != 1:
        raise ValueError(f"pretrain.init: {name} holds no model that pretrain wrote")
    return found[0]


def checked(source: Path) -> int:
    """How many parameters the model of a folder has.

    Raises:
        ValueError: it is none, corrupt or of another vocabulary, or does not say what its training saw.
    """
    from components.core.model import load  # seconds, which the many runs without given weights need not spend
    from components.core.model.terms import terms_of_training

    try:
        model = load(source)
        terms_of_training(source)
    except ValueError as error:
        raise ValueError(f"pretrain.init: {error}") from None
    return sum(parameter.numel() for parameter in model.parameters())


def run(params: Params, item: str) -> dict[str, Any]:
    """Check and copy the model; `receipt.json` says by its digest which one it is, or null where none is given.

    Raises:
        ValueError: there is no such model, or it cannot be used (see `checked`).
        TryAgain: the registry does not answer.
    """
    given = params.pretrain.init
    with tempfile.TemporaryDirectory() as temporary, whole_folder(paths.INITIAL) as folder:
        if given is None:
            write_json(folder / "receipt.json", {"digest": None})
            return {"given": False}
        source = fetch(given, Path(temporary)) if given.startswith(REGISTERED) else Path(given)
        parameters = checked(source)
        (folder / "model").mkdir()
        for name in MODEL_FILES:
            shutil.copyfile(source / name, folder / "model" / name)
        write_json(folder / "receipt.json", {"digest": folder_digest(folder / "model")})
        return {"given": True, "parameters": parameters}
