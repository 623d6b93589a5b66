# Thin: each target is one command that can be run by hand. `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
CACHE := $(or $(EDGE_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/edge-slm)
# The number goes up where the export makes another bundle of the same model, so that no old one is taken for it.
BUNDLE := $(CACHE)/bundles/smollm2-135m-6
VISION_BUNDLE ?= $(CACHE)/bundles/phi-3.5-vision
IMAGE ?= docs/gauge.png
HA_PYTHON ?= python3.13
ARGS ?=
# The part of the suite that computes, and one that waits; with the rest they take about as long each.
MODELS := tests/export tests/edge/engine tests/edge/board tests/edge/governor
SERVICE := tests/edge/service tests/edge/mqtt
ONLY ?=

.PHONY: help demo demo-vision kiosk test lint bench figures skeletons trace-test doors-test ha-test arm-test guest-test export-test ansible-lint ansible-test kiosk-test kiosk-box-test slow-test wheel-test examples-test deb release deb-test soak lock clean install ansible-env kiosk-env demo-env test-env test-rest test-service test-models bundle

help: ## Show this
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ To try it

demo: bundle ## Set everything up, stream three answers over MQTT, serve until Ctrl-C (ARGS=--once ends)
	@$(BIN)/python -m edge demo --bundle $(BUNDLE) $(ARGS)

demo-vision: demo-env ## The demo with a picture: VISION_BUNDLE=DIR IMAGE=FILE (docs/export.md makes such a bundle)
	@test -f $(VISION_BUNDLE)/manifest.json || { echo "$(VISION_BUNDLE) is not there; docs/export.md says how to make a bundle that sees pictures" >&2; exit 1; }
	@$(BIN)/python -m edge demo --bundle $(VISION_BUNDLE) --image $(IMAGE) $(ARGS)

kiosk: bundle ## The kiosk: its page, the daemon, a browser where there is a screen (ARGS="--documents FOLDER" answers from it)
	@$(BIN)/python -m edge kiosk --bundle $(BUNDLE) $(ARGS)

install: ## Put the daemon on this board as a systemd service (as root; see docs/raspberry-pi.md)
	@$(PYTHON) deploy/install.py $(ARGS)

##@ To change it

test: test-env lint bundle ## Set everything up and run the whole suite, its three parts at once (ARGS=PATH for a part)
ifeq ($(ARGS),)
	@$(MAKE) --no-print-directory -j3 test-rest test-service test-models
else
	@TEST_BUNDLE=$(BUNDLE) $(BIN)/python -m pytest $(ARGS)
endif

lint: test-env ## ruff, mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

clean: ## Remove what was made here; the cache with models and bundles stays
	rm -rf .venv .venv-trace .venv-ha .venv-ansible .venv-kiosk .venv-doors .venv-providers .venv-examples deploy/kiosk/node_modules .mypy_cache .ruff_cache .pytest_cache build dist figures.json

##@ To give it away

deb: test-env ## Packages for Debian 12 and 13, amd64 and arm64, below dist/ (ARGS="--release 12 --architecture arm64")
	@$(BIN)/python -m deploy.deb $(ARGS)

release: test-env ## Packages, wheel, sources, bill of materials and sums of the last commit, in an empty dist/
	@$(BIN)/python -m deploy.release $(ARGS)

##@ To measure it

bench: test-env bundle ## The default model on this machine, through MQTT and straight at the engine
	@$(BIN)/python -m edge bench --bundle $(BUNDLE) $(ARGS)

figures: test-env bundle ## Our claims (ONLY=name for one); exit status 1 where one is short
	@$(BIN)/python -m benchmarks --bundle $(BUNDLE) $(ARGS) $(ONLY)

soak: test-env ## Ten minutes of requests over a connection that is cut again and again (SOAK_SECONDS=60 for a look)
	@$(BIN)/python -m benchmarks --bundle $(BUNDLE) soak

##@ Slow proofs

slow-test: test-env bundle ## The long walks: every command in strange surroundings, every start that fails, every bound of a broker
ifeq ($(ARGS),)
	@$(MAKE) --no-print-directory -j3 test-rest test-service test-models MARK=slow
else
	@TEST_BUNDLE=$(BUNDLE) $(BIN)/python -m pytest -m slow $(ARGS)
endif

wheel-test: test-env bundle ## The wheel that users install, the checkout's code out of reach (ARGS=tests for the whole suite)
	@TEST_BUNDLE=$(BUNDLE) $(BIN)/python deploy/suite_from_wheel.py $(ARGS)

examples-test: test-env bundle ## The programs of docs/examples, all of them, in .venv-examples (cc, libmosquitto-dev, valgrind, mosquitto-clients, jq, Node 20, npm)
	@$(BIN)/python deploy/example_toolchains.py
	@RUN_EXAMPLES=1 TEST_BUNDLE=$(BUNDLE) $(BIN)/python -m pytest $(or $(ARGS),tests/examples)

trace-test: ## Skeletons traced anew and fused graphs held to Transformers 4 and 5, in .venv-trace (installs torch and Optimum)
	@$(PYTHON) -m venv .venv-trace
	@.venv-trace/bin/python -m pip install --disable-pip-version-check --quiet -e '.[trace,test]'
	@HF_HUB_OFFLINE=1 .venv-trace/bin/python -m pytest -m trace $(ARGS)
	@.venv-trace/bin/python deploy/inner_venv.py .venv-trace/transformers-5 'transformers>=5,<6' 'peft>=0.18,<1' 'onnx_ir>=1.1,<2'
	@HF_HUB_OFFLINE=1 .venv-trace/transformers-5/bin/python -m pytest -m trace $(addprefix tests/export/,test_held.py test_altered.py test_apart.py test_oracle.py test_beams.py test_genai_builder.py test_routing.py test_phi3_small.py sentences/test_transformers.py) $(ARGS)

doors-test: test-env bundle ## The HTTP door asked by schemathesis whatever its document lets in, in .venv-doors (2 minutes)
	@$(BIN)/python deploy/inner_venv.py .venv-doors 'schemathesis>=4.32,<5'
	@TEST_BUNDLE=$(BUNDLE) .venv-doors/bin/python -m pytest -m slow tests/edge/doors/http -k schemathesis $(ARGS)

providers-test: test-env bundle ## Plugins for WebGPU, QNN and OpenVINO with our graph, in .venv-providers (root, unshare, libvulkan1, chromium for its Vulkan)
	@$(BIN)/python deploy/inner_venv.py .venv-providers --no-deps 'onnxruntime-ep-webgpu>=0.4,<0.5' 'onnxruntime-qnn>=2.7,<3' 'onnxruntime-ep-openvino>=1.8,<2'
	@RUN_PROVIDERS=1 TEST_BUNDLE=$(BUNDLE) .venv-providers/bin/python -m pytest -m providers tests/edge/engine/test_plugins.py $(ARGS)

ha-test: test-env ## A board in releases of Home Assistant itself, in .venv-ha (Python 3.13; HA_PYTHON=PATH HA_RELEASES=2026.2.3)
	@$(BIN)/python deploy/home_assistants.py $(HA_PYTHON) $(HA_RELEASES)
	@$(BIN)/python -m pytest -m home_assistant $(ARGS)

arm-test: test-env bundle ## The engine on emulated processors of a Pi 3, 4 and 5, a phone's service (root, qemu-user-static, mmdebstrap, runit, proot; 7 minutes)
	@RUN_ARM=1 TEST_BUNDLE=$(BUNDLE) $(BIN)/python -m pytest -m arm $(ARGS)

guest-test: test-env bundle ## The arm64 package on a booted, emulated arm64 Debian (root, qemu-system-arm, mmdebstrap, cpio, kmod)
	@RUN_GUEST=1 TEST_BUNDLE=$(BUNDLE) $(BIN)/python -m pytest -m guest $(ARGS)

deb-test: test-env bundle ## Packages from dpkg -i to purge on booted Debians 12 and 13 (root, systemd-container, mmdebstrap; 5 minutes)
	@RUN_DEB=1 TEST_BUNDLE=$(BUNDLE) $(BIN)/python -m pytest -m deb $(ARGS)

kiosk-box-test: test-env bundle ## The kiosk's package on booted Debians 12 and 13: Chromium on a screen that nobody sees (as deb-test; 5 minutes)
	@RUN_KIOSK=1 TEST_BUNDLE=$(BUNDLE) $(BIN)/python -m pytest -m kiosk_box $(ARGS)

ansible-lint: ansible-env ## The collection for Ansible by ansible-lint's production profile, in .venv-ansible
	@cd deploy/ansible && PATH=$(CURDIR)/.venv-ansible/bin:$$PATH ANSIBLE_COLLECTIONS_PATH=$(CURDIR)/.venv-ansible/collections \
		ansible-lint --offline --strict --profile production

ansible-test: ansible-env test-env bundle ansible-lint ## Ansible sets up a booted Debian, and rolls bundles out to six boards (root, systemd-container, mmdebstrap)
	@RUN_ANSIBLE=1 TEST_BUNDLE=$(BUNDLE) $(BIN)/python -m pytest -m ansible $(ARGS)

kiosk-test: kiosk-env test-env bundle ## The kiosk's page in Chromium without a network, and its own tests (chromium, Node 20, npm, unshare; 15 minutes)
	@cd deploy/kiosk && npm run --silent check && npm test --silent
	@RUN_KIOSK=1 TEST_BUNDLE=$(BUNDLE) $(BIN)/python -m tests.kiosk.offline .venv-kiosk/bin/python -m pytest -m kiosk $(or $(ARGS),tests/kiosk)

export-test: test-env ## Phi-3.5-mini, -vision and others at their true sizes, random weights, and answers (hours, 40 GB of disk)
	@$(BIN)/python -m benchmarks --bundle $(BUNDLE) full-size vision-full-size true-shapes

##@ Seldom

skeletons: ## Trace every family again with Optimum (needs the trace extra)
	@$(PYTHON) -m export.trace $(ARGS)

lock: test-env ## Resolve the lock files anew (needs uv)
	@$(BIN)/python deploy/lock.py

test-rest:
	@TEST_BUNDLE=$(BUNDLE) $(BIN)/python -m pytest $(if $(MARK),-m $(MARK)) $(addprefix --ignore=,$(MODELS) $(SERVICE))

test-models: PART := $(MODELS)
test-service: PART := $(SERVICE)

# What they have to say comes at their end, and not between the lines of the others.
test-models test-service:
	@log=$$(mktemp); TEST_BUNDLE=$(BUNDLE) $(BIN)/python -m pytest $(if $(MARK),-m $(MARK)) $(PART) > $$log 2>&1; status=$$?; cat $$log; rm $$log; exit $$status

ansible-env:
	@$(PYTHON) -m venv .venv-ansible
	@.venv-ansible/bin/python -m pip install --disable-pip-version-check --quiet -r requirements/ansible.txt
	@mkdir -p .venv-ansible/collections/ansible_collections/edge_slm
	@ln -sfn $(CURDIR)/deploy/ansible .venv-ansible/collections/ansible_collections/edge_slm/fleet

# Playwright in an environment of its own, which sees the packages of .venv; and what the page is built of.
kiosk-env: test-env
	@$(BIN)/python deploy/inner_venv.py .venv-kiosk -r requirements/kiosk.txt
	@cd deploy/kiosk && npm ci --silent --no-audit --no-fund

demo-env:
	@$(PYTHON) deploy/bootstrap.py demo

test-env:
	@$(PYTHON) deploy/bootstrap.py test

bundle: demo-env
	@test -f $(BUNDLE)/manifest.json || $(BIN)/python -m export smollm2-135m -o $(BUNDLE) --cache $(CACHE) --if-missing
