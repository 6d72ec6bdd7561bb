# `make demo` and `make test` set up everything they need in .venv and repeat no work that is done.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find csrc -type f) CMakeLists.txt pyproject.toml

.PHONY: demo test bench lint format setup clean

setup: $(VENV)/.installed

$(VENV)/.created:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
	touch $@

$(VENV)/.dependencies: pyproject.toml $(VENV)/.created
	$(BIN)/python -m pip install -q scikit-build-core pybind11 cmake ninja
	$(BIN)/python tools/dependencies.py test lint > $(VENV)/requirements.txt
	$(BIN)/python -m pip install -q -r $(VENV)/requirements.txt
	touch $@

$(VENV)/.installed: $(SOURCES) $(VENV)/.dependencies
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m pip install -q --no-build-isolation --no-deps -e .
	touch $@

demo: setup
	$(BIN)/bittrue demo --outdir demo_output

test: setup
	$(BIN)/python -m pytest -n auto

bench: setup
	$(BIN)/python -m benchmarks

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	find csrc -name '*.h' -o -name '*.cc' | xargs $(BIN)/clang-format --dry-run --Werror

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	find csrc -name '*.h' -o -name '*.cc' | xargs $(BIN)/clang-format -i

clean:
	rm -rf $(VENV) build demo_output bench_output
