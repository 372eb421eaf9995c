# make demo | test | check | fix
.PHONY: demo install test lint check fix clean
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
PYTEST := $(BIN)/python -m pytest
# Two OpenMP threads that spin on two busy cores can stall for minutes.
TEST_ENV := OMP_WAIT_POLICY=passive

demo: $(VENV)/installed
	$(BIN)/openbook demo --yes

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("openbook needs Python 3.11 or newer, this is %d.%d; try: make PYTHON=python3.12 ..." % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

# make test                 the fast tests, on all cores; those with models need the cores themselves
# make test MARK=models     those that need weights; also: slow, server, "models or slow", or "" for all
test: $(VENV)/installed-dev
	$(TEST_ENV) $(PYTEST) $(if $(filter undefined,$(origin MARK)),-n auto --dist worksteal,-m "$(MARK)")

lint: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/ty check --quiet --python $(VENV) src tests
	$(BIN)/lint-imports --no-cache
	$(BIN)/python tools/make_docs.py --check

check: lint test

fix: $(VENV)/installed-dev
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .
	$(BIN)/python tools/make_docs.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
