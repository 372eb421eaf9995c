# make demo | test | check | fix
.PHONY: demo install test test-all check fix docs clean
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
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

test: $(VENV)/installed-dev
	$(TEST_ENV) $(BIN)/python -m pytest

test-all: $(VENV)/installed-dev
	$(TEST_ENV) $(BIN)/python -m pytest -m ""

check: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/ty check --quiet --python $(VENV) src tests
	$(BIN)/lint-imports
	$(BIN)/python tools/make_docs.py --check
	$(TEST_ENV) $(BIN)/python -m pytest -q

fix: $(VENV)/installed-dev
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .
	$(BIN)/python tools/make_docs.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
