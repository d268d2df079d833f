"""Airflow on the graph of dvc.yaml: the DAGs, their form, their tasks, and the client of its REST API."""
