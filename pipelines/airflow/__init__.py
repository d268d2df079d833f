"""Airflow on the graph of dvc.yaml: the DAGs, their form, their tasks, and the client of its REST API."""

DAG_ID = "medslip"
GPU_POOL = "medslip_gpu"
