# make run   install and start everything on this machine (PORT=8000)
# make test  install and run every check and test
PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
INPUTS := pyproject.toml constraints.txt
PIP := $(BIN)/pip --disable-pip-version-check --quiet install --constraint constraints.txt

.PHONY: run test check clean
.DEFAULT_GOAL := run

run: $(VENV)/.run-installed
	@exec $(BIN)/blockcache up --port $(PORT)

# One process a core, and one thread in each: two that thread crawl.
test: check
	@OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadscope

check: $(VENV)/.test-installed
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo >/dev/null || $(BIN)/lint-imports

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "blockcache needs Python 3.11 or newer; name one with make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { rm -rf $(VENV); echo "Cannot create $(VENV): is the disk full, or python3-venv missing?" >&2; exit 1; }

$(VENV)/.run-installed: $(INPUTS) | $(VENV)/bin/python
	@echo "installing into $(VENV) (once; a few minutes) ..."
	@$(PIP) --editable '.[gateway,worker,embedded]' \
	  || { echo "The installation failed; the lines above say why (network? a full disk?)." >&2; exit 1; }
	@touch $@

$(VENV)/.test-installed: $(INPUTS) | $(VENV)/bin/python
	@echo "installing into $(VENV) (once; a few minutes) ..."
	@$(PIP) --editable '.[gateway,worker,embedded,tracing,train,bench,dev]' \
	  || { echo "The installation failed; the lines above say why (network? a full disk?)." >&2; exit 1; }
	@touch $(VENV)/.run-installed $@

clean:
	@rm -rf $(VENV)
