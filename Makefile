# Thin: each target is one command that can be run by hand. `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
CACHE := $(or $(EDGE_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/edge-slm)
# The number goes up where the export makes another bundle of the same model, so that no old one is taken for it.
BUNDLE := $(CACHE)/bundles/smollm2-135m-3
VISION_BUNDLE ?= $(CACHE)/bundles/phi-3.5-vision
IMAGE ?= docs/gauge.png
ARGS ?=
ONLY ?=

.PHONY: help demo demo-vision test lint bench figures skeletons trace-test arm-test export-test soak lock clean install demo-env test-env bundle

help: ## Show what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: bundle ## Set everything up, stream three answers over MQTT, serve until Ctrl-C (ARGS=--once ends)
	@$(BIN)/python -m edge demo --bundle $(BUNDLE) $(ARGS)

demo-vision: demo-env ## The demo with a picture: VISION_BUNDLE=DIR IMAGE=FILE, a bundle from edge-export phi-3.5-vision-instruct
	@test -f $(VISION_BUNDLE)/manifest.json || { echo "$(VISION_BUNDLE) is not there; docs/export.md says how to make a bundle that sees pictures" >&2; exit 1; }
	@$(BIN)/python -m edge demo --bundle $(VISION_BUNDLE) --image $(IMAGE) $(ARGS)

test: test-env lint bundle ## Set everything up and run the whole suite
	@TEST_BUNDLE=$(BUNDLE) $(BIN)/python -m pytest $(ARGS)

lint: test-env ## ruff, mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

figures: test-env bundle ## Measure our claims (ONLY=name for one); exit status 1 where one is short
	@$(BIN)/python -m benchmarks --bundle $(BUNDLE) $(ARGS) $(ONLY)

bench: test-env bundle ## Measure the model on this machine, through MQTT and straight at the engine
	@$(BIN)/python -m edge bench --bundle $(BUNDLE) $(ARGS)

skeletons: ## Trace every family again with Optimum (needs the trace extra)
	@$(PYTHON) -m export.trace $(ARGS)

trace-test: ## Skeletons traced anew and fused graphs held to Transformers, in .venv-trace (installs torch and Optimum)
	@$(PYTHON) -m venv .venv-trace
	@.venv-trace/bin/python -m pip install --disable-pip-version-check --quiet -e '.[trace,test]'
	@HF_HUB_OFFLINE=1 .venv-trace/bin/python -m pytest -m trace $(ARGS)

export-test: test-env ## Export Phi-3.5-mini and -vision at their true sizes with random weights, and answer from them (hours, 40 GB of disk)
	@$(BIN)/python -m benchmarks --bundle $(BUNDLE) full-size vision-full-size

arm-test: test-env bundle ## The engine on the processors of a Pi 3, 4 and 5, emulated (as root, with qemu-user-static and mmdebstrap; 2 minutes)
	@RUN_ARM=1 TEST_BUNDLE=$(BUNDLE) $(BIN)/python -m pytest -m arm $(ARGS)

soak: test-env ## Ten minutes of requests over a connection that is cut again and again (SOAK_SECONDS=60 for a look)
	@$(BIN)/python -m benchmarks --bundle $(BUNDLE) soak

lock: test-env ## Resolve the lock files anew
	@$(BIN)/python deploy/lock.py

install: ## Put the daemon on this board as a systemd service (as root; see docs/raspberry-pi.md)
	@$(PYTHON) deploy/install.py $(ARGS)

clean: ## Remove what was made here; the cache with models and bundles stays
	rm -rf .venv .venv-trace .mypy_cache .ruff_cache .pytest_cache build dist figures.json

demo-env:
	@$(PYTHON) deploy/bootstrap.py demo

test-env:
	@$(PYTHON) deploy/bootstrap.py test

bundle: demo-env
	@test -f $(BUNDLE)/manifest.json || $(BIN)/python -m export smollm2-135m -o $(BUNDLE) --cache $(CACHE) --if-missing
