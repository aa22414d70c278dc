# On a fresh machine, `make demo` runs the demo and `make test` runs every check.
# Both need only Python 3.11 or newer, with its venv module, and a package registry that pip can reach.

PYTHON ?= python3
# One more than two processors run: tests wait for browsers, for processes that they start, and for time to pass.
WORKERS ?= 3
COUNT ?= 300
SEED ?= 1

# One thread for each test process: linear algebra threads of several processes slow each other down.
# All tests share one cache of machine code.
ENVIRONMENT := MPLBACKEND=agg JAX_PLATFORMS=cpu OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 \
	SYMAD_CACHE_DIR=$(CURDIR)/.pytest_cache/symad

# Tests start many processes: without compiled files, each would compile all of symad again.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
PY := $(VENV)/bin/python

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo quick test mutants lint docs bench gradbench clean

help:
	@echo 'make demo   set up $(VENV), then run the demo: symad demo'
	@echo 'make quick  set up $(VENV), then run ruff, mypy and a sample of the tests: a minute and a half on two cores'
	@echo 'make test   set up $(VENV), then run all checks: ruff, mypy, pytest'
	@echo 'make mutants  set up $(VENV), then put COUNT=300 small faults into the code and report which the tests miss'
	@echo 'make lint   set up $(VENV), then run ruff and mypy only'
	@echo 'make docs   set up $(VENV), then build the site: docs/_build/html/index.html'
	@echo 'make bench  set up $(VENV), then compare symad with other frameworks and write docs/measurements.md and docs/performance.md'
	@echo 'make gradbench ROOT=...  set up $(VENV), then compare with the tools of a checkout of github.com/gradbench/gradbench'
	@echo 'make clean  remove $(VENV), caches and all generated files'
	@echo
	@echo 'PYTHON=python3.12 selects the Python for a new $(VENV);'
	@echo 'WORKERS=8 sets the number of processes that run the tests.'

demo: $(VENV)/.has-demo
	@$(VENV)/bin/symad demo

# All three run even if one fails, so that one call shows everything that needs fixing.  mypy and the tests run in
# parallel; the output of mypy is printed at the end.
test quick: $(VENV)/.has-test
	@status=0; \
	$(PY) -m ruff check || status=1; \
	$(PY) -m mypy >$(VENV)/.mypy-output 2>&1 & types=$$!; \
	$(ENVIRONMENT) $(PY) -m pytest -n $(WORKERS) $(TESTS) || status=1; \
	wait $$types || status=1; \
	cat $(VENV)/.mypy-output; \
	exit $$status

test: TESTS := --doctest-modules symad tests
quick: TESTS := --quick tests

mutants: $(VENV)/.has-test
	@$(ENVIRONMENT) $(PY) -m tests.mutants --count $(COUNT) --seed $(SEED)

lint: $(VENV)/.has-test
	@status=0; \
	$(PY) -m ruff check || status=1; \
	$(PY) -m mypy || status=1; \
	exit $$status

docs: $(VENV)/.has-docs
	@$(ENVIRONMENT) $(PY) -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo 'Built docs/_build/html/index.html'

# PyTorch is measured if it is installed in $(VENV); its build for CPUs is enough.
bench: $(VENV)/.has-bench
	@$(PY) -m benchmarks --output docs/measurements.md && $(PY) -m benchmarks.reader_page

# The C++ programs of the suite are compiled first; they need a compiler, and wget for a header.
gradbench: $(VENV)/.has-gradbench
	@test -n '$(ROOT)' || { echo 'Name a checkout of github.com/gradbench/gradbench: make gradbench ROOT=...' >&2; exit 1; }
	@$(PY) -m benchmarks.gradbench.comparison '$(ROOT)' --output docs/measurements.md && $(PY) -m benchmarks.reader_page

clean:
	@rm -rf $(VENV) build dist *.egg-info demo-output docs/_build docs/_generated .benchmarks .hypothesis \
		.mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ---- the set-up: each step writes a stamp to $(VENV) and is repeated only if its dependencies change

# This file names the folder that the environment was made in. A new environment is made if the file is missing or names
# another folder, if the environment's Python does not run, or if an installation was interrupted.
MADE := $(VENV)/.made
CUT_SHORT := $(VENV)/.installing
STATE := $(shell cat $(MADE) 2>/dev/null; $(PY) -c '' 2>/dev/null || echo broken; test ! -e $(CUT_SHORT) || echo cut short)

ifneq "$(STATE)" "$(CURDIR)"
$(MADE): remake
endif

.PHONY: remake
remake:

$(MADE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "symad needs Python 3.11 or newer, but '$(PYTHON)' is older: select another with make PYTHON=..." >&2; \
		exit 1; }
	@echo 'Making $(VENV)'
	@$(PYTHON) -m venv --clear $(VENV)
	@echo '$(CURDIR)' > $@

# $(VENV)/.has-<extra>: symad is installed in editable mode, with the packages of the extra. The extra "test" includes
# those of "demo". Their modules are compiled when they are first imported: most never are.
$(VENV)/.has-%: $(MADE) setup.cfg pyproject.toml
	@echo 'Installing symad[$*] into $(VENV) (a minute or so the first time)'
	@touch $(CUT_SHORT)
	@$(PY) -m pip install -qq --disable-pip-version-check --no-compile --editable '.[$*]'; \
		status=$$?; rm -f $(CUT_SHORT); exit $$status
	@touch $@ $(if $(filter test,$*),$(VENV)/.has-demo)
