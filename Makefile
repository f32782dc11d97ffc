# Two commands are all a fresh machine needs: `make run` and `make test`. Python 3.11 or later and make are assumed.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --warn-undefined-variables --no-builtin-rules
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BARS ?=
FEED ?=
DATA ?=
ARGS ?=
AGAINST ?=

# $(call quoted,TEXT): TEXT as one word for the shell, whatever the name of a file has in it.
quoted = '$(subst ','\'',$1)'

SOURCES := server clients/python protos docs tests benchmarks models
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  \033[36m%-16s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is " + sys.version.split()[0] + "; name another with PYTHON=" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

# What it takes to run. The packages of this tree are installed last, editable and without looking anything up.
$(VENV)/.run: requirements.lock pyproject.toml clients/python/pyproject.toml | $(BIN)/python
	$(PIP) --require-hashes -r requirements.lock
	$(PIP) --require-hashes -r requirements-build.lock
	$(PIP) --no-deps --no-build-isolation -e clients/python -e .
	@touch $@

# What it takes to work on it besides.
$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@

# What it takes to train and to export; torch is large, so nothing else waits for it.
$(VENV)/.train: requirements-train.txt $(VENV)/.dev
	$(PIP) -r requirements-train.txt
	@touch $@

.PHONY: setup
setup: $(VENV)/.dev ## Make .venv and install everything into it

.PHONY: run
run: $(VENV)/.run ## Start everything; BARS=file.csv replays a file, FEED=push waits for bars
	@exec $(BIN)/tradingsignals up $(if $(BARS),--bars $(call quoted,$(BARS))) $(if $(FEED),--feed $(FEED)) $(ARGS)

# Three processes for two cores, because the tests of the whole service wait half of their time: for a restart, a timeout
# or a browser. With four, some ran into their deadlines. Each file in one of them, so that its tests share what they start. Files come in the order of the
# folders: those that start the whole service take longest, and small ones are left for the end.
.PHONY: test
test: $(VENV)/.dev ## Run every test, against the real PostgreSQL and the real Envoy; ARGS='-k name' for some, '-n 0' in one process
	$(BIN)/python -m pytest -n $$((3 * $$(nproc) / 2)) --maxprocesses 8 --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: test-fast
test-fast: $(VENV)/.dev ## Run what needs no server, without the slow tests, on all cores: in about a minute
	$(BIN)/python -m pytest tests/unit -m "not slow" -n auto --hypothesis-profile=fast $(ARGS)

# Measured apart from `make test`: the tracer more than doubles what a test of our own code takes.
.PHONY: coverage
coverage: $(VENV)/.dev ## Fail if too little of domain, application and transport is run by the tests that need no service
	$(BIN)/python -m pytest tests/unit/domain tests/unit/application tests/unit/transport tests/unit/api tests/integration/transport \
	  tests/integration/test_backtest_of_stored_bars.py tests/integration/test_live_report.py \
	  -m "not slow and not untraced" -n auto --hypothesis-profile=fast --cov $(ARGS)

.PHONY: setup-train
setup-train: $(VENV)/.train ## Install what training, and `tradingsignals export`, need besides

.PHONY: train
train: $(if $(shell test -r $(call quoted,$(DATA)) && echo yes),$(VENV)/.train) ## Train a policy on DATA=file.csv into models/, with its card; ARGS='--help' tells more
	@test -r $(call quoted,$(DATA)) || { echo make train DATA=file.csv: $(call quoted,$(or $(DATA),a file)) $(if $(DATA),cannot be read,of five-minute bars is needed); exit 2; }
	nice $(BIN)/python -m models.training --data $(call quoted,$(DATA)) $(ARGS)

.PHONY: lint
lint: $(VENV)/.dev build/contract.binpb ## Check style, types, the direction of imports, and the contract
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint build/contract.binpb --config protos/buf.yaml

.PHONY: fmt
fmt: $(VENV)/.dev ## Format the code
	$(BIN)/ruff check --fix --quiet $(SOURCES) || true
	$(BIN)/ruff format $(SOURCES)

.PHONY: generate
generate: $(VENV)/.dev ## Generate what follows from the protos, the sync client, docs/statistics.md and the comment of the figures, docs/metrics.md, .env.example from the settings, and docs/features.md
	$(BIN)/python -m docs.generate
	$(BIN)/python -m protos.generate
	$(BIN)/python clients/python/scripts/unasync.py
	$(BIN)/tradingsignals config --example > .env.example
	$(BIN)/tradingsignals features --markdown > docs/features.md

.PHONY: check-generated
check-generated: $(VENV)/.dev ## Fail if what is generated is not current
	$(BIN)/python -m protos.generate --check
	$(BIN)/python clients/python/scripts/unasync.py --check
	$(BIN)/python -m docs.generate --check
	@$(BIN)/tradingsignals config --example | diff -u .env.example - || { echo ".env.example is not current: make generate"; exit 1; }
	@$(BIN)/tradingsignals features --markdown | diff -u docs/features.md - || { echo "docs/features.md is not current: make generate"; exit 1; }

# What is written in TypeScript needs Node 20 and npm, and nothing else waits for it.
clients/node_modules/.package-lock.json: clients/package-lock.json clients/package.json clients/.npmrc $(wildcard clients/*/package.json)
	npm --prefix clients ci --no-progress
	@touch $@

.PHONY: web
web: clients/node_modules/.package-lock.json $(VENV)/.dev ## Generate the messages of the TypeScript client, and build it and what stands on it (needs Node 20)
	npm --prefix clients run --silent generate
	npm --prefix clients run --silent build
	npm --prefix clients run --silent pages

.PHONY: check-web
check-web: clients/node_modules/.package-lock.json $(VENV)/.dev ## Fail if what `make web` writes is not current, or a check of it fails
	npm --prefix clients run --silent check-generated
	npm --prefix clients run --silent build
	npm --prefix clients run --silent check

.PHONY: screenshots
screenshots: $(VENV)/.dev ## Take the pictures of the dashboard in docs/screenshots/ anew (needs Chromium)
	$(BIN)/python -m docs.screenshots

build/contract.binpb: $(wildcard protos/tradingsignals/v1/*.proto protos/internal/tradingsignals/*/v1/*.proto) $(VENV)/.dev
	@mkdir -p build
	$(BIN)/python -m protos.generate --image $@

.PHONY: breaking
breaking: build/contract.binpb ## Fail if the contract breaks callers of AGAINST (a git revision, HEAD by default)
	@if git cat-file -e $(or $(AGAINST),HEAD):envoy/descriptors.binpb 2>/dev/null; then \
	  git show $(or $(AGAINST),HEAD):envoy/descriptors.binpb > build/contract-before.binpb; \
	  $(BIN)/buf breaking build/contract.binpb --against build/contract-before.binpb --config protos/buf.yaml; \
	else echo "$(or $(AGAINST),HEAD) has no contract to compare with"; fi

# The older design that the benchmarks are held against, with a Python of its own.
build/peer/.done: benchmarks/peer/requirements.txt
	$(PYTHON) -m venv build/peer
	build/peer/bin/python -m pip --disable-pip-version-check install --quiet -r $<
	@touch $@

.PHONY: bench
bench: $(VENV)/.dev $(if $(AGAINST),,build/peer/.done) ## Run the benchmarks and print their table; ARGS='generate history --short' for some, AGAINST=commit for ratios to it
	$(BIN)/python -m benchmarks $(if $(AGAINST),--against $(call quoted,$(AGAINST))) $(ARGS)

.PHONY: chaos
chaos: $(VENV)/.dev ## Break things under load, and print what users saw; ARGS='--list' lists the faults, ARGS='primary-lost' runs one
	@$(BIN)/python -m benchmarks.faults $(ARGS)

.PHONY: soak
soak: $(VENV)/.dev ## Use it for ten minutes with followers that come and go, and fail if memory, files or connections grow; ARGS='--seconds 3600'
	@$(BIN)/python -m benchmarks.soak $(ARGS)

COMPILE = $(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-annotate --no-header $(ARGS)

.PHONY: lock
lock: $(VENV)/.dev ## Pin what the lock files lack, and drop what nothing needs; ARGS='--upgrade' takes newer versions of all
	$(COMPILE) --no-emit-package tradingsignals -o requirements.lock pyproject.toml
	$(COMPILE) --no-emit-package tradingsignals -c requirements.lock --extra dev -o requirements-dev.lock pyproject.toml
	$(COMPILE) -c requirements-dev.lock -o requirements-build.lock requirements-build.in

.PHONY: clean
clean: ## Remove what was built and installed; the data stays
	rm -rf $(VENV) build dist clients/node_modules clients/*/dist clients/*/build .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .import_linter_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
