# The two commands are `make repro` and `make test`; `make help` lists the rest.
PYTHON ?= python3
SHELL := /bin/bash
TORCH := torch==2.13.0
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
SYSTEM_PATH := $(subst $(BIN):,,$(PATH))
export PATH := $(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY = true

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: repro
repro: environment .dvc/config.local .dvc/plots.html ## set up, run the pipeline on params.yaml, print the result
	@python -m stages.check
	@dvc repro
	@python -m stages.summarize

.dvc/config.local: | environment
	@python -m stages.links

.dvc/plots.html: stages/review/plots.html requirements.lock | environment .dvc/config.local
	@python -m stages.offline

.PHONY: test
test: environment lint types ## set up and run all checks
	@python -m pytest -n 2 --durations=15

.PHONY: quick
quick: environment lint types ## the checks that take seconds: all but slow tests
	@python -m pytest -n 2 -m "not slow"

.PHONY: lint
lint: environment ## ruff, and the layers of imports
	@ruff check . && ruff format --check . && lint-imports --no-cache --no-logo

.PHONY: types
types: environment ## mypy
	@mypy

.PHONY: validate
validate: environment ## compare the music at hand with what its source publishes
	@python -m stages.validate

.PHONY: verify
verify: environment ## is all as dvc.lock records it, computed anew in a fresh clone? (QUICK=1: is what is here?)
	@python -m stages.verify $(if $(QUICK),quick)

.PHONY: readme
readme: environment ## run every command of the READMEs as printed; an hour
	@python -m tests.campaigns.readme

.PHONY: pictures
pictures: environment ## make the READMEs' pictures anew, of this project's outputs and runs of three models
	@python -m tests.campaigns.pictures .
	@python -m tests.campaigns.screenshots .
	@python -m tests.campaigns.page_pictures .

.PHONY: bench
bench: environment ## time the pipeline's parts against the obvious way (ONLY=extraction: one part)
	@python -m tests.benchmarks.run $(ONLY)

.PHONY: grid
grid: environment ## run many experiments (CELLS="model=mlp,cnn 'split.fold=range(0,5)' split=kfold --jobs 2", or list)
	@python -m stages.grid $(CELLS)

.PHONY: search
search: environment ## search for good settings (SPACE="model=cnn 'model.dropout=interval(0.1,0.6)' --trials 20")
	@python -m stages.search $(SPACE)

.PHONY: compare
compare: environment ## compare finished runs of models (RUNS="grid=NAME", or "model=CNN,LSTM": those)
	@python -m stages.compare $(RUNS)

.PHONY: register
register: environment ## register the best finished run as a model of audio: NAME=genres (RUNS="model=CNN": of those)
	@python -m stages.register "$(NAME)" $(RUNS)

.PHONY: runs
runs: environment ## list finished runs: accuracy, interval, baseline (RUNS="dataset=gtzan": those)
	@python -m stages.runs $(RUNS)

BASE ?= main
.PHONY: changes
changes: environment ## what changes against BASE=main, as Markdown for a review; plots in dvc_plots/
	@python -m stages.changes $(BASE)

.PHONY: ui
ui: environment ## MLflow's page of the runs, in the browser if there is a display
	@python -m stages.ui

.PHONY: serve
serve: environment ## a page to ask the model, to hear what it gets wrong, and to correct labels
	@python -m stages.serve

.PHONY: params
params: environment ## write params.yaml anew from conf/
	@python -c 'from dvc.utils.hydra import compose_and_dump; \
	  compose_and_dump("params.yaml", "$(CURDIR)/conf", None, "config", "$(CURDIR)", [])'

.PHONY: lock
lock: ## write requirements.lock anew from pyproject.toml; what it need not change stays
	@$(PYTHON) -m venv $(VENV)-lock && $(VENV)-lock/bin/pip install --quiet uv==0.13.9
	@cp requirements.lock requirements.tmp
	@$(VENV)-lock/bin/uv pip compile pyproject.toml --universal --quiet --no-annotate --no-header \
	  --group render --group pretrained --group encoder --group export --group dev --output-file requirements.tmp
	@grep -vE '^(torch|triton|pyaudio|nvidia-[a-z0-9-]+|cuda-[a-z]+)==' requirements.tmp > requirements.lock
	@rm -r requirements.tmp $(VENV)-lock

.PHONY: clean
clean: environment ## remove outputs of the pipeline; keeps .venv, runs, DVC's cache and what lies beside the outputs
	@python -c 'from dvc.repo import Repo; [out.remove() for out in Repo().index.outs if out.use_cache]'

# The environment is current if .venv/made-from has the content of the lock file, the patch and the launcher, torch's
# version, and the path that its scripts name. It is built beside the old one and replaces it when it is complete. A link to
# the environment of another checkout is used as long as its content is current; nothing is changed through the link.
LAUNCHER := stages/entry/launcher.py
CONTENT = $(shell (cat requirements.lock requirements.patch $(LAUNCHER); echo $(TORCH)) | git hash-object --stdin)
define RELOCATE
import sys, pathlib
folder, old, new = pathlib.Path(sys.argv[1]), *(path.encode() for path in sys.argv[2:])
for path in [*(folder / "bin").iterdir(), folder / "pyvenv.cfg", folder / "made-from"]:
    if path.is_file() and not path.is_symlink() and old in (text := path.read_bytes()):
        path.write_bytes(text.replace(old, new))
endef
export RELOCATE

.PHONY: environment
environment:
	@unset CDPATH; location="$$(cd ./$(VENV) 2>/dev/null && pwd -P)"; \
	{ read -r content && read -r recorded; } 2>/dev/null <$(VENV)/made-from; \
	if [ "$$content" != $(CONTENT) ] || ! $(VENV)/bin/python -c "" 2>/dev/null; then goal=build; \
	elif [ "$$recorded" = "$$location" ]; then exit 0; \
	elif [ -L $(VENV) ] || [ ! -w $(VENV)/made-from ]; then goal=build; else goal=relocate; fi; \
	"$(MAKE_COMMAND)" --no-print-directory $$goal

.PHONY: relocate
relocate:
	@unset CDPATH; location="$$(cd ./$(VENV) && pwd -P)"; { read -r content && read -r recorded; } <$(VENV)/made-from; \
	echo "the project has moved from $${recorded%/*}: scripts of $(VENV) get the new path"; \
	$(VENV)/bin/python -c "$$RELOCATE" $(VENV) "$$recorded" "$$location"

# torch comes last and on its own: pip chooses its build (CPU where it is given one) and adds the CUDA packages
# that this build asks for; everything else is exactly what the lock file says. librosa compiles functions when it is
# first imported, or first stretches time: done here by one process, since two at once can leave a cache of
# numba's in which every later process crashes (numba issue 10128).
.PHONY: build
build: export PATH := $(SYSTEM_PATH)
build: NEW := $(CURDIR)/$(VENV)-new-$(shell echo $$PPID)
build:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "error: $(PYTHON) is not Python 3.11 to 3.13; name one: make repro PYTHON=python3.12" >&2; exit 1; }
	@echo "setting up $(VENV) (once, some minutes)"
	@for left in $(VENV)-new-*; do kill -0 "$${left##*-}" 2>/dev/null || rm -rf "$$left"; done  # of killed builds
	@$(PYTHON) -m venv "$(NEW)"
	@"$(NEW)/bin/pip" install -qq --no-compile --no-deps --requirement requirements.lock
	@"$(NEW)/bin/pip" install -qq --no-compile --constraint requirements.lock $(TORCH)
	@cd "$(NEW)"/lib/python*/site-packages && GIT_CEILING_DIRECTORIES="$${PWD%/*}" git apply "$(CURDIR)/requirements.patch"
	@"$(NEW)/bin/python" -m compileall -qq -j 0 "$(NEW)/lib" || true  # on all cores, which pip does not do
	@"$(NEW)/bin/python" -c 'import librosa.core.audio, librosa.core.pitch, librosa.effects, numpy; \
	  librosa.effects.time_stretch(numpy.zeros(4096, numpy.float32), rate=2.0)'
	@for site in "$(NEW)"/lib/python*/site-packages; do echo ../../../.. >"$$site/encore.pth"; done  # stages, anywhere
	@{ printf "#!/bin/sh\n'''exec' \"%s\" \"\$$0\" \"\$$@\"\n' '''\n" "$(NEW)/bin/python"; cat $(LAUNCHER); } \
	  >"$(NEW)/bin/encore" && chmod +x "$(NEW)/bin/encore"
	@printf '%s\n' $(CONTENT) "$(NEW)" >"$(NEW)/made-from"
	@"$(NEW)/bin/python" -c "$$RELOCATE" "$(NEW)" "$(NEW)" "$(CURDIR)/$(VENV)"
	@rm -rf $(VENV)-old; if [ -L $(VENV) ]; then rm $(VENV); elif [ -e $(VENV) ]; then mv $(VENV) $(VENV)-old; fi
	@mv "$(NEW)" $(VENV) && rm -rf $(VENV)-old
