SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements/components.lock
AIRFLOW := .venv-airflow
AIRFLOW_LOCK := requirements/airflow.lock
DOCKER ?= docker
# Site matters come with BUILD_IMAGE, an image to build in.
DOCKER_BUILD_FLAGS ?= --network host $(if $(BUILD_IMAGE),--build-arg BUILD_IMAGE=$(BUILD_IMAGE))
# The most that an image may weigh, in MB.
IMAGES := data:900 train:1600 mlflow:1200 airflow:1900
WANTED := $(if $(ONLY),$(filter $(addsuffix :%,$(ONLY)),$(IMAGES)),$(IMAGES))
ROUNDS ?= 10
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1

.PHONY: help setup setup-airflow demo ablate compare services services-stop up down backup restore \
  airflow-demo test soak lint format lock mlflow benchmark-reports benchmark-medspacy benchmark-ingest \
  benchmark-train benchmark-evaluate images

help: setup ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

setup: $(VENV)/.complete ## Make the environment in .venv and the pseudonym key, once
	@$(BIN)/python -m components.core.pseudonyms

# torch stands in a line of its own: which build it is (CPU, CUDA) is a matter of the machine's pip settings.
$(VENV)/.complete: $(LOCK)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make setup PYTHON=/path/to/python" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r $(LOCK)
	$(BIN)/python -m pip check
	@touch $@

setup-airflow: $(AIRFLOW)/.complete ## Make Airflow's own environment in .venv-airflow, once

$(AIRFLOW)/.complete: $(AIRFLOW_LOCK)
	$(PYTHON) -m venv $(AIRFLOW)
	$(AIRFLOW)/bin/python -m pip install --quiet --upgrade pip
	$(AIRFLOW)/bin/python -m pip install --quiet --no-deps --require-hashes -r $(AIRFLOW_LOCK)
	$(AIRFLOW)/bin/python -m pip check
	@touch $@

demo: setup ## Walk the whole way: archives to a registered model, about a quarter of an hour on two cores
	$(BIN)/python -m pipelines run

services: setup setup-airflow ## Start MLflow and Airflow on this machine, and say where they are
	@$(BIN)/python -m pipelines.services start

services-stop: setup ## End MLflow, Airflow and whatever they run
	@$(BIN)/python -m pipelines.services stop

airflow-demo: services ## The same way as demo, triggered in Airflow and followed here
	@$(BIN)/python -m pipelines.airflow.demo

ablate: setup ## Train with every mend taken back, and the baselines, on a small phantom: one table (resumable)
	$(BIN)/python -m pipelines grid comparisons/ablation.yaml

compare: setup ## MeDSLIP against the baselines on the demo's archives: the model card's table (hours, resumable)
	$(BIN)/python -m pipelines grid comparisons/compare.yaml

images: ## Build the images data, train, mlflow and airflow, or ONLY="data train"; DOCKER_BUILD_FLAGS go to docker build
	@version=$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml); revision=$$(git describe --always --abbrev=40 --dirty); \
	for image in $(WANTED); do name=$${image%%:*}; \
	  DOCKER_BUILDKIT=1 $(DOCKER) build $(DOCKER_BUILD_FLAGS) --file docker/Dockerfile --target $$name --tag medslip-$$name:local \
	    --build-arg VERSION=$$version --build-arg REVISION=$$revision . || exit 1; done; \
	for image in $(WANTED); do name=$${image%%:*}; limit=$${image##*:}; \
	  size=$$(( $$($(DOCKER) image inspect --format '{{.Size}}' medslip-$$name:local) / 1000000 )); \
	  echo "medslip-$$name:local $$size MB (at most $$limit)"; [ $$size -le $$limit ] || heavy="$$heavy $$name"; done; \
	[ -z "$$heavy" ] || { echo "too large:$$heavy" >&2; exit 1; }

up: setup ## Start the stack of a lab's server in containers: PostgreSQL, object store, MLflow, Airflow
	@$(BIN)/python -m pipelines.stack up

down: setup ## End the stack; what it keeps stays
	@$(BIN)/python -m pipelines.stack down

backup: setup ## Copy the stack's databases and buckets into a new folder: TO=…, or one below .state/backups
	@$(BIN)/python -m pipelines.stack backup $(TO)

restore: setup ## Bring a backup back into the stack: FROM=…; REPLACE=1 loses what the stack holds
	@$(BIN)/python -m pipelines.stack restore $(FROM) $(if $(REPLACE),--replace)

test: setup setup-airflow ## Run every test, in two processes
	$(BIN)/python -m pytest --numprocesses 2 --no-loadscope-reorder --durations 25

soak: setup setup-airflow ## Repeat the hard tests: ROUNDS=10
	for round in $$(seq $(ROUNDS)); do echo "round $$round of $(ROUNDS)"; $(BIN)/python -m pytest -m hard || exit 1; done

lint: setup ## Check style, types and walls
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## Bring the code into its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The plain way's decoders stay out of the environment: some are under the GPL, and none is needed.
PLAIN_DECODERS := pylibjpeg==2.1.0 pylibjpeg-libjpeg==2.5.0 pylibjpeg-openjpeg==2.6.0 pylibjpeg-rle==2.2.0 python-gdcm==3.2.6

benchmark-ingest: setup ## Compare ingest with the plain way and with the codec alone
	@test -d .state/benchmark || $(BIN)/python -m pip install --quiet --no-deps --target .state/benchmark $(PLAIN_DECODERS)
	PYTHONPATH=.state/benchmark $(BIN)/python -m benchmarks.ingest

COMPILE := .state/lock/bin/pip-compile --quiet --generate-hashes --unsafe-package torch --unsafe-package setuptools \
  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --strip-extras --no-header

lock: setup ## Settle the versions anew from requirements/*.in
	$(PYTHON) -m venv .state/lock
	.state/lock/bin/pip install --quiet --upgrade pip pip-tools
	$(COMPILE) --upgrade --output-file $(LOCK) requirements/components.in
	for part in data train mlflow; do \
	  $(COMPILE) --constraint $(LOCK) --output-file requirements/$$part.lock requirements/$$part.in || exit 1; done
	$(COMPILE) --upgrade --output-file $(AIRFLOW_LOCK) requirements/airflow.in

mlflow: setup ## Browse the runs and the registry at 127.0.0.1:5000 (also part of services)
	@mkdir -p .state/mlflow
	MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow server --host 127.0.0.1 --port 5000 \
	  --backend-store-uri sqlite:///.state/mlflow/mlflow.db

benchmark-train: setup ## Compare the pretraining step and its input with how the published code is written
	$(BIN)/python -m benchmarks.train

benchmark-reports: setup ## Measure the report parser, against medspaCy where make benchmark-medspacy made its environment
	$(BIN)/python -m benchmarks.reports

benchmark-evaluate: setup ## Measure zero-shot evaluation and the bootstrap, beside a loop over scikit-learn
	$(BIN)/python -m benchmarks.evaluate

benchmark-medspacy: ## Make medspaCy's environment for benchmark-reports (it needs another numpy)
	$(PYTHON) -m venv .state/medspacy
	.state/medspacy/bin/pip install --quiet --upgrade pip
	.state/medspacy/bin/pip install --quiet medspacy==1.3.1 'numpy<2'
