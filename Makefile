# Everything starts from a bare Python 3.11 to 3.13; the first target that needs it creates .venv and installs.
#   make book [PROFILE=smoke|laptop|gpu]   execute every chapter, render the site to _build/html
#   make test | lint | format | links | serve | clean
#   make campaign [RUNS=10]                  kills and full disks at random moments; wheel-test: the wheel, installed

PROFILE ?= smoke
RUNS ?= 10
VENV := .venv
PYTHON := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := book
.PHONY: book test campaign wheel-test lint format links serve clean

book: $(INSTALLED)
	$(PYTHON) -m hldm.book build --profile $(PROFILE)

# As many processes as cores, each with one thread: so they do not get in each other's way. Tests of one group share one
# process, and so what they build.
test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest --numprocesses auto --dist loadgroup

campaign: $(INSTALLED)
	$(PYTHON) tests/campaigns/interrupted.py --runs $(RUNS)

wheel-test: $(INSTALLED)
	$(PYTHON) tests/campaigns/wheel.py

lint: $(INSTALLED)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m codespell_lib $$(git ls-files '*.py' '*.md' '*.ipynb' '*.yml' '*.toml' '*.js' '*.css' Makefile)
	$(PYTHON) -m nbstripout --verify --extra-keys "$(NOTEBOOK_KEYS)" book/*.ipynb

format: $(INSTALLED)
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .
	$(PYTHON) -m nbstripout --extra-keys "$(NOTEBOOK_KEYS)" book/*.ipynb

links: _build/html/index.html
	$(PYTHON) -m hldm.book links

serve: _build/html/index.html
	$(PYTHON) -m hldm.book serve

clean:
	rm -rf _build build .pytest_cache .ruff_cache .hypothesis

_build/html/index.html:
	$(MAKE) book

# What editors and papermill leave in a notebook, beside its outputs.
NOTEBOOK_KEYS := metadata.papermill metadata.widgets metadata.language_info.version cell.metadata.papermill cell.metadata.execution

# The first of these that runs, is of a supported version, and can make a virtual environment.
PYTHONS := python3 python3.13 python3.12 python3.11 python
SUITABLE := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))

# compat: python in the folder above finds the package, where the checkout, of the same name, would pass for it.
$(INSTALLED): requirements.txt pyproject.toml setup.py
	@test -x $(PYTHON) || for python in $(PYTHONS); do \
	    if $$python -c '$(SUITABLE)' 2>/dev/null; then exec $$python -m venv $(VENV); fi; \
	done; \
	test -x $(PYTHON) || { echo "No Python 3.11 to 3.13 with venv found among: $(PYTHONS)" >&2; exit 1; }
	$(PYTHON) -m pip install --quiet --requirement requirements.txt
	$(PYTHON) -m pip install --quiet --no-deps --no-build-isolation --config-settings editable_mode=compat --editable .
	$(PYTHON) -m hldm.book fetch # the site's scripts, into the cache
	touch $@
