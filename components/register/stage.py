"""The stage: from metrics and a pretrained model to a version in the registry."""

import sys
from typing import Any

from mlflow.exceptions import MlflowException

from components.core import paths, tracking
from components.core.command import GateFailed, TryAgain
from components.core.gates import judge_all
from components.core.params import Params
from components.core.records.digests import folder_digest
from components.core.records.whole import write_json
from components.register.registry import register_model


def run(params: Params, item: str) -> dict[str, Any]:
    """Register the model of this workspace; returns the figures of `metrics/register.json`.

    Raises:
        ValueError: there is no pretrained model.
        GateFailed: a gate does not hold and `register.fail_on_gate` says that this ends the stage.
        TryAgain: the registry does not answer.
    """
    settings = params.register_
    if not paths.PRETRAINED.is_dir():
        raise ValueError(f"{paths.PRETRAINED} does not exist: run pretrain first")
    verdicts, digest = judge_all(settings.gates), folder_digest(paths.PRETRAINED)
    failed = [verdict for verdict in verdicts if not verdict.holds]
    run_id = tracking.active().run_id
    if run_id is None:
        raise TryAgain(f"MLflow at {tracking.address()} does not answer: nothing was registered")
    try:
        number = register_model(tracking.connect(), paths.PRETRAINED, digest, settings, verdicts, run_id)
    except (MlflowException, OSError) as error:
        raise TryAgain(f"MLflow at {tracking.address()}: {' '.join(str(error).split())[:300]}") from error
    for verdict in verdicts:
        print(f"gate {'holds' if verdict.holds else 'does not hold'}: {verdict.reason}")
    outcome = f"with the alias {settings.alias}" if not failed else "without an alias"
    print(f"{settings.name} version {number} is registered {outcome}")
    write_json(
        paths.REGISTRATION,
        {
            "model": settings.name,
            "digest": digest,
            "alias": None if failed else settings.alias,
            "gates": [verdict.content() for verdict in verdicts],
        },
    )
    sys.stdout.flush()
    if failed and settings.fail_on_gate:
        raise GateFailed("; ".join(verdict.reason for verdict in failed))
    return {"gates": {"held": len(verdicts) - len(failed), "failed": len(failed)}, "alias_given": not failed}
