# `make help` lists what there is. Everything runs in .venv, which `make setup` makes.

PY ?= .venv/bin/python
ROOMS := untrusted configs runtime pretrained datamodules modules inference evaluation publishing training recipes
NOW := $(shell date +%Y%m%d-%H%M%S)
KILLS ?= 50
DEMO ?= runs/demo-$(NOW)
TINY ?= runs/tiny-$(NOW)
VERSION ?= 3.12
OTHER = .venv/python-$(notdir $(VERSION))
.DEFAULT_GOAL := help
.PHONY: help setup wheels containers test test-python test-slurm test-sweeps promises lint docs \
	demo tiny-model gpu-check lock

help: ## List these commands
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | \
		while IFS='|' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

setup: ## Install what requirements.lock says into .venv; quick when it is there
	@WHEELS="$(WHEELS)" scripts/setup.sh

wheels: ## Download what setup needs into a directory, for machines without internet: WHEELS=wheels
	@scripts/wheels.sh "$(or $(WHEELS),wheels)"

test: setup ## Run all tests on the CPU, one file on each core and one more, as some wait
	$(PY) -m pytest -q -n $$(($$(nproc) + 1)) --dist loadfile --no-loadscope-reorder

test-python: setup ## Run all tests on another Python, in an environment of its own: VERSION=3.12 or a path
	PATH="$(CURDIR)/.venv/uv/bin:$$PATH" VENV=$(OTHER) PYTHON=$(VERSION) scripts/setup.sh
	$(MAKE) test PY=$(OTHER)/bin/python

lint: setup ## Check style, format and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy $(ROOMS) $(wildcard *.py)

docs: setup ## Build the documentation as a site, in site/; a link that leads nowhere is an error
	$(PY) -m sphinx -q -W --keep-going -b html -c docs . site
	@echo "site/index.html"

demo: setup ## Probe, filter, reinforce, and compare before with after; on a CPU
	$(PY) eval.py stage=probe run.root="$(DEMO)" run.name=probe 'probe.conditions=[full,text_only]'
	$(PY) train.py stage=rlvr run.root="$(DEMO)" run.name=rlvr data.contribution.rule=vidground
	$(PY) eval.py stage=benchmark run.root="$(DEMO)" run.name=benchmark \
		'benchmark.checkpoints=[$(DEMO)/rlvr/export]'

tiny-model: setup ## Make assets/tiny again: untrained, then supervised steps on what is seen and heard
	$(PY) -m assets.make_tiny untrained $(TINY)/untrained
	$(PY) train.py stage=sft run.root=$(TINY) run.name=sft model.path=$(TINY)/untrained \
		data.train=warm trainer.max_steps=450 optim.lr=1e-3 optim.warmup_steps=50
	$(PY) -m assets.make_tiny keep $(TINY)/sft/export

test-slurm: setup ## Run jobs on a SLURM cluster of this machine, which is installed and started for it
	@scripts/slurm.sh timeout 1500 $(PY) -m pytest -q -rs -m slurm -p no:cacheprovider tests/slurm || [ $$? = 75 ]

promises: setup ## Measure what docs/reliability.md promises; KILLS=5 is the short form
	$(PY) -m bench.promises --kills $(KILLS)

test-sweeps: setup ## Hold configs/sweep against the schema of Weights & Biases, in an environment of its own
	@test -d .venv/sweeps || python3 -m venv .venv/sweeps
	@.venv/sweeps/bin/pip install -q sweeps==0.3.0
	SWEEPS_PYTHON=.venv/sweeps/bin/python $(PY) -m pytest -q -rs tests/training/test_sweeps.py

containers: ## Build and start the containers where docker, podman or apptainer can; else say why not
	@scripts/containers.sh || [ $$? = 75 ]

gpu-check: setup ## Run and time what needs a CUDA GPU; says why it is skipped where there is none
	$(PY) -m pytest -q -m gpu -rs -s tests/house/test_gpu.py

lock: ## Pin requirements.in, and all it needs, in requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --no-annotate requirements.in -o requirements.lock
