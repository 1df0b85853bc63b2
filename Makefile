# Everything runs in .venv, which is made on first use. Needs Python 3.11 or newer and make, nothing else.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
RUN := .venv/bin/python -m
QUIET_PIP := $(RUN) pip install --quiet --disable-pip-version-check

.PHONY: help install demo test check fmt lint types imports pytest crash bench-errors bench-import bench-recorder bench-recovery size clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 16

demo: .venv/.demo ## simulate three failing providers and show what was recorded and recovered
	@.venv/bin/cajanegra demo

test: .venv/.dev ## formatting, lint, types, import contract and every test: exactly what CI runs
	@$(MAKE) --no-print-directory check

check: fmt-check lint types imports pytest

.PHONY: fmt-check
fmt-check:
	$(RUN) ruff format --check .

fmt: .venv/.dev ## format the code and mend what lint can mend
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

lint: .venv/.dev ## ruff
	$(RUN) ruff check .

types: .venv/.dev ## mypy, strict
	$(RUN) mypy

imports: .venv/.dev ## the layers hold
	.venv/bin/lint-imports --no-cache

pytest: .venv/.dev ## tests only, on SQLite and PostgreSQL
	$(RUN) pytest -q

crash: .venv/.dev ## the crash tests at length: hundreds of kills, restarts and cut connections
	CRASH_KILLS=200 $(RUN) pytest -q tests/crash

bench-recorder: .venv/.dev ## what the recorder costs and keeps, beside floors and peers
	PYTHONPATH=tests $(RUN) benchmarks.recorder

bench-import: .venv/.dev ## what importing and constructing costs, beside an empty interpreter
	$(RUN) benchmarks.imports

bench-errors: .venv-bench/.errors ## how well failures are classified and grouped, beside Drain3 and LiteLLM; DATA=labelled.jsonl
	@test -n "$(DATA)" || { echo "say which failures: make bench-errors DATA=labelled.jsonl (one JSON object a line)" >&2; exit 1; }
	.venv-bench/bin/python -m benchmarks.errors "$(DATA)"

bench-recovery: .venv/.dev .venv-bench/.recovery ## calls in a world of faults, beside peers (half an hour; ARGS="--scenario storm")
	$(RUN) benchmarks.recovery $(ARGS)

size: .venv ## megabytes of a base install, without extras and without pip
	$(RUN) benchmarks.size

install: .venv/.dev ## everything needed to work on the project

.venv:
	@test -n "$(PYTHON)" || { echo "cajanegra needs Python 3.11 or newer; none was found (set PYTHON=/path/to/python)" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "this Python has no venv module; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@"$(PYTHON)" -m venv .venv
	@echo "Setting up .venv ..."
	@$(QUIET_PIP) --upgrade 'pip>=25.1'

.venv/.demo: pyproject.toml | .venv
	@echo "Installing cajanegra with what the demo needs ..."
	@$(QUIET_PIP) --editable '.[demo]'
	@touch $@

.venv/.dev: pyproject.toml | .venv
	@echo "Installing cajanegra and its development tools ..."
	@$(QUIET_PIP) --editable '.[all]' --group dev
	@touch $@

# The tools to compare with have needs of their own, which must not change what the project is tested with.
.venv-bench/.errors: pyproject.toml | .venv
	@.venv/bin/python -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --editable . 2>/dev/null
	@for peer in drain3 litellm; do \
		.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check $$peer 2>/dev/null \
		|| echo "$$peer could not be installed and is left out" >&2; done
	@touch $@

.venv-bench/.recovery: pyproject.toml | .venv
	@echo "Installing the peers of the recovery benchmark in an environment of their own ..."
	@.venv/bin/python -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check openai litellm 'pydantic-ai-slim[openai]'
	@touch $@

clean: ## remove .venv and caches
	rm -rf .venv .venv-bench .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
