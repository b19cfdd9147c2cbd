# Everything starts from Python and pip alone: `make demo` and `make test` build their own venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO := runs/demo
# A file of tests per process and core; with threads besides, small operations wait for each other.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

.PHONY: demo test test-fast lint clean

$(BIN)/vgbench: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/dev: $(BIN)/vgbench
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

# Train, measure before and after, show the leaderboard.
demo: $(BIN)/vgbench
	rm -rf $(DEMO)
	$(BIN)/vgbench run model=g3an dataset=shapes budget=demo --run-dir $(DEMO)
	$(BIN)/vgbench eval $(DEMO)/checkpoints/kclip-00000.000.ckpt
	$(BIN)/vgbench eval $(DEMO)
	$(BIN)/vgbench sample $(DEMO) -n 16 --scale 4 -o $(DEMO)/samples/demo.mp4
	$(BIN)/vgbench sample $(DEMO) -n 8 --scale 2 -o $(DEMO)/samples/demo.png
	$(BIN)/vgbench leaderboard export -o leaderboard.csv $(DEMO)
	$(BIN)/vgbench leaderboard show $(DEMO)

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/architecture

test: lint
	$(PYTEST)

test-fast: $(VENV)/dev
	$(PYTEST) -m "not slow"

clean:
	rm -rf $(VENV) runs leaderboard.csv
