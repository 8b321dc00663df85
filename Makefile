# make demo, make test: each sets up first what is missing. `make` alone lists the targets.

VENV := .venv
BIN := $(VENV)/bin
PACKAGES := $(VENV)/.packages-installed
JAVA := $(if $(HASHSEARCH_ES_URL),,$(VENV)/.java-found)

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format train-bit-tiny clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1	\2/p' Makefile

setup: $(PACKAGES) $(JAVA) ## a virtual environment with the package, and a Java for the local Elasticsearch

$(PACKAGES): setup.cfg pyproject.toml scripts/setup.sh
	sh scripts/setup.sh packages
	@touch $@

$(JAVA): | $(PACKAGES)
	sh scripts/setup.sh java
	@touch $@

demo: setup ## index a catalog in a local Elasticsearch and serve the search page; Ctrl-C stops both
	@exec $(BIN)/hashsearch demo $(ARGS)

test: lint ## lint, types, and all tests against a real Elasticsearch
	$(BIN)/pytest $(ARGS)

lint: setup ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: setup ## let ruff rewrite what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

train-bit-tiny: setup ## train the bundled network again: DATA=FOLDER TEACHER=FILE
	$(BIN)/python -m jobs.train_embedder recipes/bit-tiny.toml --data $(DATA) --weights $(TEACHER) --out build/bit-tiny

clean: ## remove the virtual environment and all caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .coverage build dist *.egg-info
