"""Watches the archives: new studies start a run of the pipeline by themselves."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # Airflow puts only this folder on the path

from pipelines.airflow.arrivals import arrivals_dag

dag = arrivals_dag()
