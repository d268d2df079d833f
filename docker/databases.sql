-- Two databases, each with a user of its own who may nothing in the other. Run once, by psql, when the cluster is made.
\set airflow `sed 's/.*://' "${SECRETS:-/run/secrets}/airflow_pgpass"`
\set mlflow `sed 's/.*://' "${SECRETS:-/run/secrets}/mlflow_pgpass"`
CREATE ROLE airflow LOGIN PASSWORD :'airflow';
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow';
CREATE DATABASE airflow OWNER airflow;
CREATE DATABASE mlflow OWNER mlflow;
REVOKE CONNECT ON DATABASE airflow, mlflow FROM PUBLIC;
