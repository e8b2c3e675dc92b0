# `make` alone lists what there is. Needs Python 3.11 or newer and a package index; everything else is put into .venv.

PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SERVE := $(VENV)/installed-serve
DEV := $(VENV)/installed-dev

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: serve
serve: $(SERVE) ## prepare the example models and serve them on 127.0.0.1:8001
	@$(BIN)/python examples/prepare.py
	@exec $(BIN)/ortolan serve examples/models $(ARGS)

.PHONY: test
test: $(DEV) ## run the tests, one worker for each core (ARGS="-k engine -x -n 0" goes to pytest)
	@$(BIN)/python -m pytest --quiet --numprocesses auto --maxprocesses 8 --dist loadfile $(ARGS)

.PHONY: test-clients
test-clients: $(DEV) ## run every language's client against a live server (ARGS="-k go"); what lacks its tools skips
	@$(BIN)/python -m pytest --quiet -rs tests/languages $(ARGS)

.PHONY: acceptance
acceptance: $(DEV) ## check what a user is promised, on the example models and a real server
	@$(BIN)/python examples/prepare.py
	@$(BIN)/python tests/acceptance/run.py $(ARGS)

.PHONY: lint
lint: $(DEV) ## check style, types, protos, and that what is generated is fresh
	@echo "ruff" && $(BIN)/ruff check --quiet . && $(BIN)/ruff format --quiet --check .
	@echo "mypy" && $(BIN)/mypy
	@echo "protos" && $(BIN)/python protos/generate.py --check && $(BIN)/buf lint protos && $(BIN)/python protos/breaking.py
	@echo "Dockerfile" && $(BIN)/hadolint Dockerfile
	@echo "docs" && $(BIN)/python scripts/providers_page.py --check

.PHONY: format
format: $(DEV) ## format the code and mend what can be mended
	@$(BIN)/ruff check --quiet --fix-only . ; $(BIN)/ruff format .

.PHONY: proto
proto: $(DEV) ## generate the stubs beside the .proto files
	@$(BIN)/python protos/generate.py

.PHONY: docs
docs: $(DEV) ## generate docs/providers.md after a change of a backend
	@$(BIN)/python scripts/providers_page.py

.PHONY: bench
bench: $(DEV) ## measure the server beside its limits and its peers (ARGS="--quick --case tiny-64")
	@$(BIN)/python -m benchmarks $(ARGS)

.PHONY: clean
clean: ## remove everything that make made
	@rm -rf .venv .venv-* build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .image examples/models examples/inputs
	@rm -rf clients/cpp/build clients/java/target clients/rust/target clients/node/node_modules clients/node/dist clients/node/src/generated clients/node/*.tgz
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment. A change of pyproject.toml installs again.

$(VENV)/made:
	@command -v $(PYTHON) >/dev/null || { echo "no $(PYTHON) here: install Python 3.11 or newer, or name one: make PYTHON=…" >&2; exit 1; }
	@$(PYTHON) scripts/make_venv.py $(VENV)
	@touch $@

$(SERVE): pyproject.toml | $(VENV)/made
	@echo "installing the server into $(VENV) (once; a minute or so)"
	@$(PIP) install --quiet --editable '.[cpu]' --group examples
	@touch $@

$(DEV): pyproject.toml | $(VENV)/made
	@echo "installing the server and the development tools into $(VENV) (once; two minutes or so)"
	@$(PIP) install --quiet --editable '.[cpu]' --group dev
	@touch $@ $(SERVE)
