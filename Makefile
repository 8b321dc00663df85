# make demo, make test: each sets up first what is missing. `make` alone lists the targets.

VENV := .venv
BIN := $(VENV)/bin
PACKAGES := $(VENV)/.packages-installed
JAVA := $(if $(HASHSEARCH_ES_URL),,$(VENV)/.java-found)

# Each worker runs whole files, with an Elasticsearch of its own unless HASHSEARCH_ES_URL names one.
WORKERS := 3
PYTEST := $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
PYTHON := python3

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-unit test-lowest coverage lint format train-bit-tiny clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1	\2/p' Makefile

setup: $(PACKAGES) $(JAVA) ## a virtual environment with the package, and a Java for the local Elasticsearch

$(PACKAGES): setup.cfg pyproject.toml scripts/setup.sh scripts/hub.py
	sh scripts/setup.sh packages
	@touch $@

$(JAVA): | $(PACKAGES)
	sh scripts/setup.sh java
	@touch $@

demo: setup ## index a catalog in a local Elasticsearch and serve the search page; Ctrl-C stops both
	@exec $(BIN)/hashsearch demo $(ARGS)

test: lint setup ## lint, types, and all tests against a real Elasticsearch; ARGS for pytest, WORKERS=4
	$(PYTEST) $(ARGS)

test-unit: $(PACKAGES) ## the tests that need neither Elasticsearch nor a browser, in two minutes
	$(PYTEST) -m "unit and not slow" $(ARGS)

test-lowest: ## the unit tests with the lowest versions that setup.cfg declares: PYTHON=python3.10
	sh scripts/lowest.sh $(PYTHON) $(ARGS)

coverage: setup ## all tests, with the lines and branches that they do not reach
	$(BIN)/coverage erase
	$(BIN)/coverage run -m $(PYTEST:$(BIN)/%=%) $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

lint: $(PACKAGES) ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(PACKAGES) ## let ruff rewrite what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

train-bit-tiny: setup ## train bit-tiny again: DATA=FOLDER TEACHER=FILE
	$(BIN)/hashsearch train recipes/bit-tiny.toml --data $(DATA) --weights $(TEACHER) --out build

clean: ## remove the virtual environment and all caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .coverage .coverage.* build dist *.egg-info
