"""The pipeline: every stage of dvc.yaml, with a form of every parameter."""

import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))  # Airflow puts only this folder on the path

from pipelines.airflow.dag import pipeline_dag  # noqa: E402

dag = pipeline_dag(CHECKOUT)
