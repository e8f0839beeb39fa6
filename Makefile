.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh

BIN := .venv/bin
ARGS ?=
PYTEST_ARGS ?=

# Tests start hundreds of servers, and one that has to compile its modules anew takes more than twice the processor time.
unexport PYTHONDONTWRITEBYTECODE

# The engines that nodes share, and a module or two of each dialect that `make test` runs on them, too.
SHARED := postgresql redis_cluster
ON_EACH := native native_refusals pocketpaw device_limits pin_login stack_auth_refresh session_storage_access

.PHONY: help env run bench soak mutation audit sbom check test test-engines needs lint types imports format lock

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

env: .venv/.ready ## make the environment in .venv (all extras); quick when it is up to date

.venv/.ready: pyproject.toml uv.lock scripts/make-env.sh
	@sh scripts/make-env.sh
	@touch $@

run: env ## serve on 127.0.0.1:8000 with SQLite under ./data; more options in ARGS="…"
	@exec $(BIN)/sessiond serve --host 127.0.0.1 --port 8000 --data-dir ./data $(ARGS)

check: env lint types imports ## lint, types, imports and the fast tests
	$(BIN)/pytest -m "not slow and not soak" -n 2 -q $(PYTEST_ARGS)

test: needs env lint types imports ## everything; installs what it needs on Debian as root
	@for engine in $(SHARED); do \
		echo "The dialects on $$engine:"; \
		$(BIN)/pytest --engine=$$engine -n 2 -q $(ON_EACH:%=tests/dialects/test_%.py) || exit 1; \
	done
	$(BIN)/pytest -n 2 --dist worksteal $(PYTEST_ARGS)

test-engines: needs env ## all dialects and the invariants on each engine, half an hour or more
	$(BIN)/pytest --engine=sqlite -n 2 -q --timeout=7200 tests/invariants
	@for engine in $(SHARED) redis_server; do \
		echo "All dialects and the invariants on $$engine:"; \
		$(BIN)/pytest --engine=$$engine -n 2 -q --timeout=7200 tests/dialects tests/invariants $(PYTEST_ARGS) || exit 1; \
	done

soak: needs env ## what takes long, a few hours: crash points, fuzzing, load; keeps what it did in docs/security/soak.md
	$(BIN)/pytest -m soak --timeout=7200 --keep-results=docs/security/soak.md $(PYTEST_ARGS)

mutation: env ## change domain and crypto in one place at a time, and print what no test notices; an hour of a core
	$(BIN)/python -m scripts.mutation $(ARGS)

bench: env ## measure beside nginx and the peers; QUICK=1 leaves the peers out and ends within two minutes
	$(BIN)/python -m bench $(if $(QUICK),--quick) $(ARGS)

format: env ## format the code and apply the safe fixes
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format

lock: ## write uv.lock anew from pyproject.toml
	uv lock

audit: ## ask PyPI whether a pinned dependency has a known vulnerability (needs uv and the network)
	@uv export --frozen --quiet --no-dev --all-extras --no-emit-project --output-file .audit.txt
	uv tool run pip-audit==2.10.1 --requirement .audit.txt --require-hashes --disable-pip

sbom: ## write sbom.json: what is installed with sessiond, as CycloneDX (needs uv)
	uv export --frozen --quiet --no-dev --all-extras --format cyclonedx1.5 --output-file sbom.json

# The parts of `check` and `test`, each of which can also be made alone.

needs:
	@sh scripts/install-test-needs.sh

lint: env
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: env
	$(BIN)/mypy

imports: env
	$(BIN)/lint-imports

# `make -j` must not install packages, build the environment and test at once.
.NOTPARALLEL:
