# Everything runs in .venv, which is made on first use. Needs Python 3.11 or newer and make, nothing else.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh
# Tests start many processes, which would each compile everything anew where the environment forbids to keep it.
export PYTHONDONTWRITEBYTECODE :=

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
RUN := .venv/bin/python -m
QUIET_PIP := $(RUN) pip install --quiet --disable-pip-version-check

.PHONY: help install demo test test-long check fmt lint types imports pytest openapi dashboard dashboard-check browser screenshots crash bench-api bench-dashboard bench-errors bench-import bench-gateway bench-recorder bench-recovery bench-scale size clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 16

demo: .venv/.demo ## simulate three failing providers and show what was recorded and recovered
	@.venv/bin/cajanegra demo

test: .venv/.dev ## formatting, lint, types, import contract and every test: exactly what CI runs
	@$(MAKE) --no-print-directory check

check: fmt-check lint types imports browser pytest

# What the dashboard's own checks need, as far as this machine has it or lets it be installed.
browser:
	@if command -v npm >/dev/null 2>&1; then \
		$(MAKE) --no-print-directory dashboard-check dashboard; \
	else \
		echo "npm is not installed: types, lint and browser tests of the dashboard are NOT run (Node.js 20.19 or newer)" >&2; \
	fi
	@if ! command -v chromium >/dev/null 2>&1 && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
		apt-get install -y -qq chromium >/dev/null 2>&1 || { apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } || true; \
	fi
	@command -v chromium >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 \
		|| echo "there is no Chromium: the browser tests are NOT run (on Debian: apt-get install chromium)" >&2

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

# Real processes with real deadlines share the machine with each other here: a test that failed is run once more,
# alone, and both runs are printed. The first that fails alone, too, is the end.
BESIDE := $(RUN) pytest -q -n 3 --dist worksteal
ALONE := $(RUN) pytest -q -x --last-failed --last-failed-no-failures none

pytest: .venv/.dev ## tests only, on SQLite and PostgreSQL
	$(BESIDE) -m "not long" || { test $$? = 1 && $(ALONE); }

test-long: .venv/.dev browser ## all tests: whole programs on SQLite as well, every theme and width, several providers
	$(BESIDE) || { test $$? = 1 && $(ALONE); }

openapi: .venv/.dev ## write down the OpenAPI document, which the dashboard's client is generated from
	PYTHONPATH=tests $(RUN) openapi_document

dashboard: dashboard/node_modules/.package-lock.json ## build the dashboard into the package; needs Node.js 20.19 or newer
	@npm --prefix dashboard run --silent build

dashboard-check: dashboard/node_modules/.package-lock.json ## types and lint of the dashboard
	@npm --prefix dashboard run --silent types
	@npm --prefix dashboard run --silent lint

dashboard/node_modules/.package-lock.json: dashboard/package-lock.json
	@command -v npm >/dev/null || { echo "the dashboard needs npm (Node.js 20.19 or newer), which is not installed" >&2; exit 1; }
	@npm --prefix dashboard ci --silent
	@touch $@

screenshots: .venv/.dev dashboard ## pictures of every view in both themes and languages, into build/screenshots
	PYTHONPATH=tests $(RUN) browser.screenshots build/screenshots

bench-dashboard: .venv/.dev dashboard ## first load, long tasks, scrolling and live tail of the dashboard; ROWS=1000000
	PYTHONPATH=tests $(RUN) benchmarks.dashboard --rows $(or $(ROWS),1000000)

crash: .venv/.dev ## the crash tests at length: hundreds of kills, restarts and cut connections
	CRASH_KILLS=200 $(RUN) pytest -q tests/crash

bench-recorder: .venv/.dev ## what the recorder costs and keeps, beside floors and peers
	PYTHONPATH=tests $(RUN) benchmarks.recorder

bench-api: .venv/.dev ## latency and indexes of each endpoint on a large table, both databases; ROWS=1000000
	PYTHONPATH=tests $(RUN) benchmarks.api --rows $(or $(ROWS),1000000)

bench-scale: .venv/.dev ## views and pages of a tenth of the rows and of all, both databases; ROWS=10000000 ARGS="views --db postgresql"
	PYTHONPATH=tests $(RUN) benchmarks.scale --rows $(or $(ROWS),1000000) $(ARGS)

bench-import: .venv/.dev ## what importing and constructing costs, beside an empty interpreter
	$(RUN) benchmarks.imports

bench-errors: .venv-bench/.errors ## how well failures are classified and grouped, beside Drain3 and LiteLLM; DATA=labelled.jsonl
	@test -n "$(DATA)" || { echo "say which failures: make bench-errors DATA=labelled.jsonl (one JSON object a line)" >&2; exit 1; }
	.venv-bench/bin/python -m benchmarks.errors "$(DATA)"

bench-recovery: .venv/.dev .venv-bench/.recovery ## calls in a world of faults, beside peers (half an hour; ARGS="--scenario storm")
	$(RUN) benchmarks.recovery $(ARGS)

bench-gateway: .venv/.dev .venv-bench/.gateway ## what the gateway adds to a request, beside peers (ten minutes; ARGS="--only cajanegra")
	$(RUN) benchmarks.gateway $(ARGS)

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

.venv-bench/.gateway: pyproject.toml | .venv
	@echo "Installing the peers of the gateway benchmark in an environment of their own ..."
	@.venv/bin/python -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check 'litellm[proxy]' 2>/dev/null \
		|| echo "litellm[proxy] could not be installed and is left out" >&2
	@# with newer versions of @hono/node-server (1.19 was seen) this release of Portkey's answers every stream with "TypeError: immutable"
	@mkdir -p .venv-bench/node && echo '{"overrides": {"@hono/node-server": "1.13.8"}}' > .venv-bench/node/package.json
	@npm install --silent --no-audit --no-fund --prefix .venv-bench/node @portkey-ai/gateway@1.15.2 2>/dev/null \
		|| echo "@portkey-ai/gateway could not be installed and is left out" >&2
	@touch $@

clean: ## remove .venv, caches and what was built
	rm -rf build dashboard/node_modules src/cajanegra/server/dashboard_files .venv .venv-bench .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
