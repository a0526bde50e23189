# Two commands do everything on a fresh machine: `make quickstart` and `make test`. Both make their own .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Else every process of a test would compile loadgen again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: quickstart install test packages tools lint types unit bench schema clean help

help:
	@echo "make quickstart   run the main job on the embedded broker and write an HTML report"
	@echo "make test         lint, types, unit and integration tests (RabbitMQ, where this machine can have it)"
	@echo "make unit         the tests that need no broker, quick"
	@echo "make bench        what a client and a message cost, as a table"
	@echo "make schema       write the scenario's JSON Schema anew"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "loadgen needs Python 3.11 or newer; name one with make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-dev: pyproject.toml $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

install: $(VENV)/installed

quickstart: $(VENV)/installed
	$(BIN)/loadgen run scenarios/quickstart.yaml

# What the integration tests use beside Python: installed where we may, else the tests say what they skip.
packages:
	@sh tests/install-packages.sh

tools: packages $(VENV)/installed
	@sh tests/install-rabbitmq.sh $(BIN)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-dev
	$(BIN)/mypy

unit: $(VENV)/installed-dev
	$(BIN)/pytest -m "not rabbitmq and not docker"

# The installing waits for the network, mypy for the processor: so side by side. pytest comes last, so that its
# closing line is the last one printed. Of its three processes two run what needs real clusters, and wait a lot.
test:
	@$(MAKE) --no-print-directory -j3 packages lint types tools
	$(BIN)/pytest -n 3

bench: $(VENV)/installed-dev
	$(BIN)/python -m benchmarks

schema: $(VENV)/installed
	$(BIN)/loadgen schema > loadgen/scenario/scenario.schema.json

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
