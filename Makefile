# make reproduce   the 13-epoch CNN on FER2013 where it is found, else on drawn faces; then the table and the report
# make lint        format, likely mistakes, types
# make quick      the tests that train nothing, in a minute and a half
# make test        all tests
# make fuzz        every reader against 20,000 damaged files, which takes an hour; `make test` has 300 each
# make results     tables, audit and pages anew from the committed records, in their one right order
# make smoke       every paper on a subset of 2,000 images, in minutes
# make bench       loading, training, augmentation, extraction, the audit, folds, light and heavy networks, tables, sweeps (installs PyTorch, a peer)
# Each sets up .venv first, from the pinned versions; all are safe to repeat.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
LINT := $(VENV)/lint-ready
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable
# Own runs and tables go here, so that the committed ones under results/ stay as they are.
OUT ?= build

.PHONY: reproduce lint quick test fuzz results smoke bench
.DELETE_ON_ERROR:

$(READY): setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is older than Python 3.11; say make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) '.[test]'
	touch $@

$(LINT): $(READY)
	$(PIP) '.[lint]'
	touch $@

# Drawn faces only where they are asked for, or no FER2013 is named or cached (status 3 of `data check`): a copy that is
# there and broken ends in its sentence.
define CHOOSE_DATA
if [ "$$FER2013" = synthetic ]; then found=3; else $(BIN)/ferrepro data check --brief; found=$$?; fi; \
case $$found in \
0) data=fer2013; options=;; \
3) data=synthetic; options="--data synthetic --preset smoke"; \
   echo "Drawn faces and a small schedule: nothing below says anything about real faces.";; \
*) exit 1;; \
esac
endef

reproduce: $(READY)
	@$(CHOOSE_DATA); \
	$(BIN)/ferrepro run cnn_13_epochs --runs $(OUT)/reproduce/$$data/runs $$options && \
	$(BIN)/ferrepro tables --runs $(OUT)/reproduce/$$data/runs --tables $(OUT)/reproduce/$$data/tables && \
	$(BIN)/ferrepro report $(OUT)/reproduce/$$data/runs --out $(OUT)/reproduce/$$data/report

lint: $(LINT)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

quick: $(READY)
	$(BIN)/python -m pytest --numprocesses auto -m "not slow and not training and not smoke"

test: $(READY)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --durations=5

fuzz: $(READY)
	FERREPRO_FUZZ=20000 $(BIN)/python -m pytest --numprocesses auto tests/fuzz

results: $(READY)
	$(BIN)/ferrepro tables
	$(BIN)/ferrepro audit --out results/tables
	$(BIN)/ferrepro docs

smoke: $(READY)
	@$(CHOOSE_DATA); \
	$(BIN)/ferrepro run --all --preset smoke --runs $(OUT)/smoke/$$data/runs $$options && \
	$(BIN)/ferrepro lab --preset smoke --seeds 1 --runs $(OUT)/smoke/$$data/runs $${options:+--data $$data} && \
	$(BIN)/ferrepro tables --runs $(OUT)/smoke/$$data/runs --tables $(OUT)/smoke/$$data/tables

bench: $(READY)
	$(PIP) '.[benchmark]'
	$(BIN)/python benchmarks/loading.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/features.py
	$(BIN)/python benchmarks/audit.py
	$(BIN)/python benchmarks/folds.py
	$(BIN)/python benchmarks/multitask.py
	$(BIN)/python benchmarks/augmentation.py
	$(BIN)/python benchmarks/tables.py
	$(BIN)/python benchmarks/sweep.py
