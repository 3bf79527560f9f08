# `make benchmark` and `make test` set everything up by themselves; `make help` lists the rest.
PYTHON ?= python3
PRESET ?= mini
JOBS ?= 2
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup benchmark serve test test-slow test-gpu check format clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: .venv/ready  ## virtual environment in .venv with the pinned versions of constraints.txt

.venv/ready: pyproject.toml constraints.txt constraints-tools.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] < (3, 14) else "Assay needs Python 3.11 to 3.13; set PYTHON=python3.12, say")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv (torch and what it needs: a minute or two)"
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -c constraints-tools.txt -e '.[dev]'
	@touch $@

benchmark: setup  ## the mini benchmark from photographs to tables (PRESET=..., JOBS=...)
	@$(BIN)/assay use $(PRESET)
	@$(BIN)/assay run --jobs $(JOBS)
	@$(BIN)/assay table
	@$(BIN)/assay report
	@echo "open results/index.html"

serve: setup  ## a Prefect server with UI, workers, schedules and events; Ctrl-C ends it (docs/serving.md)
	@exec $(BIN)/assay serve

test: setup  ## the tests (under 15 minutes on 2 cores)
	@$(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder

test-slow: setup  ## the tests that take minutes each
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -c constraints-tools.txt -e '.[dev,slow]'
	@$(BIN)/python -m pytest -m slow

test-gpu: setup  ## the tests that need a CUDA device
	@$(BIN)/python -m pytest -m gpu

check: setup  ## ruff, mypy and pytest
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder

format: setup  ## format the code
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format .

clean:  ## remove artifacts and results of this workspace (DVC's cache keeps their contents)
	rm -rf artifacts results .assay
