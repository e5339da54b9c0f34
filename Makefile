# `make help` lists what there is. Everything runs in .venv, which `make setup` makes.

PY ?= .venv/bin/python
RUN ?= demo
.DEFAULT_GOAL := help
.PHONY: help setup test lint demo tiny-model gpu-check lock

help: ## List these commands
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | \
		while IFS='|' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

setup: ## Install what requirements.lock says into .venv; quick when it is there
	@scripts/setup.sh

test: setup ## Run all tests on the CPU
	$(PY) -m pytest -q

lint: setup ## Check style, format and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy configs datamodules modules $(wildcard *.py)

demo: setup ## Probe, train on what needs its media, and compare; on a CPU
	$(PY) eval.py stage=probe run.name=$(RUN)-probe
	$(PY) train.py stage=rlvr run.name=$(RUN)-rlvr data.contribution.rule=vidground
	$(PY) eval.py stage=benchmark run.name=$(RUN)-benchmark \
		'benchmark.checkpoints=[runs/$(RUN)-rlvr/final]'

tiny-model: setup ## Make assets/tiny again, weights and all
	$(PY) -m assets.make_tiny runs/tiny-init
	$(PY) train.py stage=sft run.name=tiny-sft model.path=runs/tiny-init
	cp runs/tiny-sft/final/* assets/tiny/

gpu-check: setup ## Run the tests that need a GPU
	$(PY) -m pytest -q -m gpu -rs

lock: ## Pin requirements.in, and all it needs, in requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --no-annotate requirements.in -o requirements.lock
