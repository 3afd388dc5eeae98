# All of these but clean install what they need into .venv on first use.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

# Where a machine's environment forbids to keep compiled modules, as containers' often do, every process would compile
# some 1600 of them anew: one to six seconds of CPU time each.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-fast docs viewer-pictures bench-step gpu-check lint clean

demo: $(INSTALLED)
	@$(BIN)/python -m winner_ns.demo

test: $(INSTALLED)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal --ignore tests/browser
	@$(BIN)/python -m pytest -q tests/browser || [ $$? -eq 5 ]  # 5: no Chromium, no tests.

test-fast: $(INSTALLED)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal --ignore tests/browser -m "not slow"

docs: $(INSTALLED)
	@$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@echo "Open docs/_build/html/index.html"

viewer-pictures: $(INSTALLED)
	@$(BIN)/python -m winner_ns.demo.viewer_pictures

bench-step: $(INSTALLED)
	@$(BIN)/python -m docs.measurements.step

gpu-check: $(INSTALLED)
	@$(BIN)/python -W ignore -m docs.measurements.gpu_check

lint: $(INSTALLED)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/basedpyright

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed: make PYTHON=python3.11 ...")'
	@echo "Installing into .venv (9 GB with torch and nerfstudio; some minutes, once)"
	@$(PYTHON) -m venv .venv
	@# Without compiling all of it, most of which nobody imports: that takes a minute of CPU time. What ns-train imports
	@# is compiled by its first start.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --editable '.[dev]'
	@$(BIN)/ns-train --help >/dev/null 2>&1 || true
	@touch $@

clean:
	rm -rf .venv outputs demo-results
