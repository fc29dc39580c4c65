# Everything that people and CI do here. `make` or `make help` lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/sh
.SUFFIXES:

VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
READY := $(VENV)/.ready
BENCH := $(VENV)/.bench
# One more than the two cores of a small machine: many tests wait for a database or for another process.
WORKERS ?= 3

# The first interpreter that is new enough; `make PYTHON=/path/to/python3.12 …` names another.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$p && break; done)
UV := $(shell command -v uv 2>/dev/null)

# Where there is something that is not slow. To look for tests where all are takes time, too.
FAST := tests/architecture tests/contract tests/unit $(addprefix --ignore=tests/,\
	contract/access contract/http contract/repositories unit/runs/acting unit/tools/workspace)

.PHONY: help install run demo migrate test test-fast chaos fuzz bench bench-quick check format lock clean

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z][a-z-]*:.*## / {printf "  \033[1m%-11s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(READY) ## Create the environment in .venv and install all locked dependencies, nothing else

# uv where it exists, plain pip otherwise; both read the same locks and check the hashes. What is needed to run comes
# first and alone, so that a first `make run` downloads half as much.
ifneq ($(UV),)
VENV_COMMAND = $(UV) venv --quiet --allow-existing --python "$(or $(PYTHON),3.11)" $(VENV)
INSTALL = $(UV) pip install --quiet --python $(BIN)/python --compile-bytecode
PREPARE = true
else
VENV_COMMAND = $(or $(PYTHON),$(error Retinue needs Python 3.11 or newer, and none was found on the PATH)) -m venv $(VENV)
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check
# An environment that uv made has no pip.
PREPARE = $(BIN)/python -c 'import pip' 2>/dev/null || $(BIN)/python -m ensurepip >/dev/null
endif

$(BIN)/python:
	@echo "Creating $(VENV) …"
	@$(VENV_COMMAND)

$(RUNTIME): requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing what is needed to run …"
	@$(PREPARE)
	@$(INSTALL) --require-hashes --requirement requirements.lock
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q src
	@touch $@

$(READY): requirements-dev.lock $(RUNTIME)
	@echo "Installing what is needed to develop and test …"
	@$(INSTALL) --require-hashes --requirement requirements-dev.lock
	@touch $@

$(BENCH): requirements-bench.lock $(READY)
	@echo "Installing what Retinue is compared with …"
	@$(INSTALL) --require-hashes --requirement requirements-bench.lock
	@touch $@

run: $(RUNTIME) ## Install what that needs, migrate, create a demo tenant, serve on 127.0.0.1:8000 and say how to talk to it
	@$(BIN)/python -m retinue serve --demo

demo: $(RUNTIME) ## Hold one real streamed turn with the running server and print it; asks you for an approval
	@if test -t 0; then $(BIN)/python -m retinue demo; else $(BIN)/python -m retinue demo --allow; fi

migrate: $(RUNTIME) ## Bring the database that the settings name up to date
	@$(BIN)/python -m retinue migrate

test: check ## Everything CI runs: check, then the whole suite on SQLite and PostgreSQL; no network, no keys
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

test-fast: install ## The suite without its slow part, in less than a minute
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow" $(FAST)

chaos: install ## Cut, kill, freeze and crowd it for about half an hour; CHAOS_SEED=… repeats a run
	CHAOS=full $(BIN)/python -m pytest tests/chaos -n $(WORKERS) --dist worksteal

fuzz: install ## Send made-up requests and lead random lives for about half an hour; FUZZ_SEED=… repeats a run
	FUZZ=full $(BIN)/python -m pytest tests/fuzz -n $(WORKERS) --dist worksteal

bench: $(BENCH) ## Measure tokens, turns, streams and growth beside a raw relay and FastAPI, for about an hour; BENCH_OPTIONS=… are its own
	$(BIN)/python -m tests.bench $(BENCH_OPTIONS)

bench-quick: $(BENCH) ## The same within two minutes: S1, S2 and S4 in short, with ratios
	$(BIN)/python -m tests.bench --quick $(BENCH_OPTIONS)

check: install ## Lint, formatting, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: install ## Format the code and repair what can be repaired
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Without index hosts and without annotations, so that the files hold nothing but versions and hashes.
COMPILE = uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header --group build

lock: ## Resolve the dependencies anew (needs uv; UPGRADE=1 takes newer versions)
	$(COMPILE) $(if $(UPGRADE),--upgrade) --output-file requirements.lock
	$(COMPILE) $(if $(UPGRADE),--upgrade) --group dev --constraint requirements.lock --output-file requirements-dev.lock
	$(COMPILE) $(if $(UPGRADE),--upgrade) --group bench --constraint requirements-dev.lock --output-file requirements-bench.lock

clean: ## Remove the environment and everything generated; keeps .data
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests migrations -type d -name __pycache__ -prune -exec rm -rf {} +
