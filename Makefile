# make demo   the whole way once, on handwritten digits; its files go to out/
# make test   ruff, mypy and pytest
# make bench  all timings; SECONDS=1 WORKLOADS="W1 W2" makes it short
# All set up .venv first, with $(PYTHON), and again only when pyproject.toml has changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What make bench hands on to passes.py and training.py, which have defaults of their own.
CHOSEN = $(if $(WORKLOADS),--workloads $(WORKLOADS)) $(if $(SECONDS),--seconds $(SECONDS))

.DEFAULT_GOAL := help
.PHONY: help demo test bench clean

help:
	@echo "make demo    derive, verify, write, generate and train a network on handwritten digits (files in out/)"
	@echo "make test    everything that must pass: ruff, mypy, pytest"
	@echo "make bench   how long importing, deriving and a step of training take, beside other libraries (files in out/);"
	@echo "             about 15 minutes: 6 for importing and deriving, 3 for what each pass buys, 6 for training. The last two"
	@echo "             take SECONDS=... for each network and dtype (by default 10 and 20), and the networks of"
	@echo "             WORKLOADS=... (by default all): make bench SECONDS=1 WORKLOADS=\"W1 W2\"; W1 is the smallest of W1 to W5"
	@echo "make clean   remove $(VENV), out/ and caches"
	@echo "PYTHON=...   the Python (3.11 or newer) that $(VENV) is made with, now $(PYTHON)"

demo: $(VENV)/demo.stamp
	$(BIN)/deltaform demo --out out

test: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

bench: $(VENV)/bench.stamp
	$(BIN)/python benchmarks/imports.py
	$(BIN)/python benchmarks/derivation.py
	mkdir -p out
	$(BIN)/python benchmarks/passes.py $(CHOSEN) --json out/passes.json
	$(BIN)/python benchmarks/training.py $(CHOSEN) --json out/training.json --plot out/training.png
	$(BIN)/python benchmarks/tables.py out/training.json

$(VENV)/created.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is no Python 3.11 or newer; name one: make PYTHON=python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/%.stamp: pyproject.toml | $(VENV)/created.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$*]'
	@touch $@

clean:
	rm -rf $(VENV) out build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find symbolic codegen tests examples -type d -name __pycache__ -prune -exec rm -rf {} +
