# Two commands for a new clone: `make demo` and `make test`. Both need Python 3.11 or newer and nothing else.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
HOME_  := .countermark
export OMP_NUM_THREADS ?= 1

.PHONY: demo test test-faults lint types layers unit format clean train-embedded train-prompt-safety help

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 22

demo: $(VENV)/.demo-ready  ## Tell the whole story on the embedded generator
	@$(BIN)/countermark demo --home $(HOME_)

test: lint layers types unit  ## Everything that CI runs

lint: $(VENV)/.test-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

layers: $(VENV)/.test-ready
	$(BIN)/lint-imports

types: $(VENV)/.test-ready
	$(BIN)/mypy

unit: $(VENV)/.test-ready
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-faults: $(VENV)/.test-ready  ## Long trials of the audit log: 200 kills a store, failing system calls (needs strace)
	AUDIT_KILLS=200 $(BIN)/python -m pytest -m "faults or not faults" --timeout 3600 -k "killed or system_call" tests/integration

format: $(VENV)/.test-ready  ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

train-embedded: $(VENV)/.train-ready  ## Train the embedded generator again (about four hours on two cores)
	$(BIN)/python -m training.generator --work build/generator --out build/generator-weights

train-prompt-safety: $(VENV)/.train-ready  ## Train the prompt classifier again (about an hour): make train-prompt-safety DATA=folder
	@test -n "$(DATA)" || { echo "Name the folder of prompt files: make train-prompt-safety DATA=folder" >&2; exit 2; }
	$(BIN)/python -m training.prompt_safety.run --data "$(DATA)" --out build/prompt-safety

clean:  ## Remove what the commands above made
	rm -rf $(VENV) $(HOME_) countermark-demo .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "countermark needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# torch first and by name: what depends on it would otherwise pull in another build.
$(VENV)/.demo-ready: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install -q --upgrade "pip>=24"
	$(PIP) install -q -c constraints.txt torch
	$(PIP) install -q -c constraints.txt -e ".[diffusers]"
	@touch $@

# invisible-watermark brings opencv-python, which wants a display library that servers lack. Both wheels hold the same
# files at the same version; installing the headless one last settles which is used.
$(VENV)/.test-ready: $(VENV)/.demo-ready
	$(PIP) install -q -c constraints.txt -e ".[diffusers,imwatermark,dev]"
	$(PIP) install -q -c constraints.txt --force-reinstall --no-deps opencv-python-headless
	@touch $@

$(VENV)/.train-ready: $(VENV)/.test-ready
	$(PIP) install -q -c constraints.txt -e ".[training,dev]"
	@touch $@
