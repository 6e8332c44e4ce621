# The front door. Needs Python 3.11-3.13 and make; everything else is set up in .venv.
#   make demo   a digital patient's DICOM study, read into a report
#   make test   all quality gates, and all tests but the long one
#   make fuzz   thousands of damaged inputs and killed runs, in some ten minutes
#   make long   a group's whole path, from nnU-Net's layout to an ensemble, in some ten minutes
#   make quick  types, lint and the fast tests, in about a minute
VENV   := .venv
BIN    := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13; do \
            $$p -c 'import sys; sys.exit(not (3,11) <= sys.version_info < (3,14))' 2>/dev/null \
            && echo $$p && break; done)
DEMO   := out/demo

.PHONY: demo test long fuzz quick coverage check docs sbom clean

demo: $(VENV)/.base
	test -d $(DEMO)/patient || $(BIN)/pelvimets phantom --seed 7 --anatomy ct --dicom philips -o $(DEMO)/patient
	$(BIN)/pelvimets predict $(DEMO)/patient/dicom -o $(DEMO)/result --overwrite

test: check
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not long"

long: $(VENV)/.dev
	$(BIN)/python -m pytest -m long

fuzz: $(VENV)/.dev
	$(BIN)/python -m tests.fuzz.campaign --count 2000
	PELVIMETS_KILLS=40 $(BIN)/python -m pytest -q tests/training/test_run.py -k any_moment
	PELVIMETS_KILLS=40 $(BIN)/python -m pytest -q tests/arrivals/test_listen_killed.py

quick: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not long"

coverage: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not long" --cov pelvimets --cov-report term

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/mkdocs build --strict --quiet
	$(BIN)/python -m pytest -q --doctest-modules src/pelvimets studies

docs: $(VENV)/.dev
	$(BIN)/mkdocs build --strict

$(VENV)/.base: pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed; none was found."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

sbom: $(VENV)/.dev
	$(BIN)/python tools/dependencies.py sbom

clean:
	rm -rf out build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
