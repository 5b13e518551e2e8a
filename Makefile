# One command for each intention. What they need beyond git, make and Python 3.11 they get
# themselves: Python packages into .venv, as pinned in requirements/dev.txt; other programs into
# a folder in the user's cache, and servers that tests start from Debian packages, where we are root.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PARTS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/otelc2c/bin
# More arguments for pytest, as in: make test ARGS="tests/relay -x"
ARGS ?=

export PATH := $(CURDIR)/$(BIN):$(PARTS):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help demo test check bench lock

help: ## say what can be made
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' $(MAKEFILE_LIST) | \
	  while IFS='|' read -r name words; do printf 'make %-7s %s\n' "$$name" "$$words"; done

demo: $(STAMP) ## serve the sample application until Ctrl-C; ONCE=1: a bounded load and a table; PORT=8080
	@$(BIN)/otelc2c demo $(if $(filter 1 true yes,$(ONCE)),--once) $(if $(PORT),--port $(PORT))

test: $(STAMP) ## run all tests (ARGS="..." for pytest; REQUIRE_SERVICES=1: a missing program fails)
	@$(BIN)/python -m tests.parts.install promtool redis-server postgresql
	@$(BIN)/python -m pytest $(ARGS)

check: $(STAMP) ## style and types
	$(BIN)/ruff check otelc2c tests
	$(BIN)/ruff format --check otelc2c tests
	$(BIN)/mypy

bench: $(STAMP) ## measure what a request, a record and a scrape cost, beside the peers (needs valgrind)
	@$(BIN)/python -m tests.parts.install wrk redis-server
	@$(BIN)/python -m tests.benchmarks $(ARGS)

lock: $(STAMP) ## pin the newest packages that fit pyproject.toml
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --upgrade \
	  --generate-hashes --prerelease if-necessary --all-extras \
	  --group build --group test --group lint --group bench \
	  --custom-compile-command 'make lock' --output-file requirements/dev.txt

$(STAMP): requirements/dev.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo '$(PYTHON) is older than 3.11; name another one: make PYTHON=python3.12' >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@echo 'installing the pinned packages into $(VENV)' >&2
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
