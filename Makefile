# Thin: each target is one command that can be run by hand. `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
CACHE := $(or $(EDGE_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/edge-slm)
# The number goes up where the export makes another bundle of the same model, so that no old one is taken for it.
BUNDLE := $(CACHE)/bundles/smollm2-135m-4
VISION_BUNDLE ?= $(CACHE)/bundles/phi-3.5-vision
IMAGE ?= docs/gauge.png
ARGS ?=
ONLY ?=

.PHONY: help demo demo-vision test lint bench figures skeletons trace-test arm-test export-test slow-test wheel-test soak lock clean install demo-env test-env bundle

help: ## Show this
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ To try it

demo: bundle ## Set everything up, stream three answers over MQTT, serve until Ctrl-C (ARGS=--once ends)
	@$(BIN)/python -m edge demo --bundle $(BUNDLE) $(ARGS)

demo-vision: demo-env ## The demo with a picture: VISION_BUNDLE=DIR IMAGE=FILE (docs/export.md makes such a bundle)
	@test -f $(VISION_BUNDLE)/manifest.json || { echo "$(VISION_BUNDLE) is not there; docs/export.md says how to make a bundle that sees pictures" >&2; exit 1; }
	@$(BIN)/python -m edge demo --bundle $(VISION_BUNDLE) --image $(IMAGE) $(ARGS)

install: ## Put the daemon on this board as a systemd service (as root; see docs/raspberry-pi.md)
	@$(PYTHON) deploy/install.py $(ARGS)

##@ To change it

test: test-env lint bundle ## Set everything up and run the whole suite
	@TEST_BUNDLE=$(BUNDLE) $(BIN)/python -m pytest $(ARGS)

lint: test-env ## ruff, mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

clean: ## Remove what was made here; the cache with models and bundles stays
	rm -rf .venv .venv-trace .mypy_cache .ruff_cache .pytest_cache build dist figures.json

##@ To measure it

bench: test-env bundle ## The default model on this machine, through MQTT and straight at the engine
	@$(BIN)/python -m edge bench --bundle $(BUNDLE) $(ARGS)

figures: test-env bundle ## Our claims (ONLY=name for one); exit status 1 where one is short
	@$(BIN)/python -m benchmarks --bundle $(BUNDLE) $(ARGS) $(ONLY)

soak: test-env ## Ten minutes of requests over a connection that is cut again and again (SOAK_SECONDS=60 for a look)
	@$(BIN)/python -m benchmarks --bundle $(BUNDLE) soak

##@ Slow proofs

slow-test: test-env bundle ## The long walks: every command in strange surroundings, every start that fails, every bound of a broker
	@TEST_BUNDLE=$(BUNDLE) $(BIN)/python -m pytest -m slow $(ARGS)

wheel-test: test-env bundle ## The suite against the wheel that users install, the checkout's code out of reach (8 minutes)
	@TEST_BUNDLE=$(BUNDLE) $(BIN)/python deploy/suite_from_wheel.py $(ARGS)

trace-test: ## Skeletons traced anew and fused graphs held to Transformers, in .venv-trace (installs torch and Optimum)
	@$(PYTHON) -m venv .venv-trace
	@.venv-trace/bin/python -m pip install --disable-pip-version-check --quiet -e '.[trace,test]'
	@HF_HUB_OFFLINE=1 .venv-trace/bin/python -m pytest -m trace $(ARGS)

arm-test: test-env bundle ## The engine on emulated processors of a Pi 3, 4 and 5 (root, qemu-user-static, mmdebstrap; 2 minutes)
	@RUN_ARM=1 TEST_BUNDLE=$(BUNDLE) $(BIN)/python -m pytest -m arm $(ARGS)

export-test: test-env ## Phi-3.5-mini and -vision at their true sizes, random weights, and answers (hours, 40 GB of disk)
	@$(BIN)/python -m benchmarks --bundle $(BUNDLE) full-size vision-full-size

##@ Seldom

skeletons: ## Trace every family again with Optimum (needs the trace extra)
	@$(PYTHON) -m export.trace $(ARGS)

lock: test-env ## Resolve the lock files anew (needs uv)
	@$(BIN)/python deploy/lock.py

demo-env:
	@$(PYTHON) deploy/bootstrap.py demo

test-env:
	@$(PYTHON) deploy/bootstrap.py test

bundle: demo-env
	@test -f $(BUNDLE)/manifest.json || $(BIN)/python -m export smollm2-135m -o $(BUNDLE) --cache $(CACHE) --if-missing
