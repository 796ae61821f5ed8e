# The two commands are `make repro` and `make test`; `make help` lists the rest.
PYTHON ?= python3
SHELL := /bin/bash
TORCH := torch==2.13.0
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
READY := $(VENV)/.installed
export PATH := $(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY = true

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: repro
repro: $(READY) ## set up, run the pipeline on params.yaml, print the result
	@dvc repro
	@python -m stages.summarize

.PHONY: test
test: $(READY) lint types ## set up and run all checks
	@python -m pytest -n 2

.PHONY: lint
lint: $(READY) ## ruff
	@ruff check . && ruff format --check .

.PHONY: types
types: $(READY) ## mypy
	@mypy

.PHONY: bench
bench: $(READY) ## time the pipeline's parts against the obvious way
	@python -m tests.benchmarks.run

.PHONY: ui
ui: $(READY) ## MLflow UI on http://127.0.0.1:5000
	@mlflow ui --host 127.0.0.1 --port 5000 --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}"

.PHONY: params
params: $(READY) ## write params.yaml anew from conf/
	@python -c 'from dvc.utils.hydra import compose_and_dump; \
	  compose_and_dump("params.yaml", "$(CURDIR)/conf", None, "config", "$(CURDIR)", [])'

.PHONY: lock
lock: ## write requirements.lock anew from pyproject.toml
	@$(PYTHON) -m venv $(VENV)-lock && $(VENV)-lock/bin/pip install --quiet uv==0.13.9
	@$(VENV)-lock/bin/uv pip compile pyproject.toml --universal --group render --group dev \
	  --quiet --no-annotate --no-header > requirements.tmp
	@grep -vE '^(torch|triton|pyaudio|nvidia-[a-z0-9-]+|cuda-[a-z]+)==' requirements.tmp > requirements.lock
	@rm -r requirements.tmp $(VENV)-lock

.PHONY: clean
clean: ## remove outputs of the pipeline; keeps .venv, runs and DVC's cache
	@rm -rf data/raw data/audio data/segments data/split data/features data/pictures data/baseline data/model
	@find data/evaluation -mindepth 1 ! -name metrics.json -delete 2>/dev/null || true  # git keeps that one

# torch comes last and on its own: pip chooses its build (CPU where it is given one) and adds the CUDA
# packages that this build asks for; everything else is the lock file to the letter. librosa compiles functions
# when it is first imported, or first stretches time: done here by one process, since two at once can leave a
# cache of numba's in which every later process crashes (numba issue 10128).
$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "error: $(PYTHON) is not Python 3.11 to 3.13; name one: make repro PYTHON=python3.12" >&2; exit 1; }
	@echo "setting up $(VENV) (once, some minutes)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(VENV)/bin/pip install -qq --no-compile --no-deps --requirement requirements.lock
	@$(VENV)/bin/pip install -qq --no-compile --constraint requirements.lock $(TORCH)
	@$(VENV)/bin/python -m compileall -qq -j 0 $(VENV)/lib || true  # on all cores, which pip does not do
	@$(VENV)/bin/python -c 'import librosa.core.audio, librosa.core.pitch, librosa.effects, numpy; \
	  librosa.effects.time_stretch(numpy.zeros(4096, numpy.float32), rate=2.0)'
	@touch $(READY)
