# Everything a developer types. `make setup` is quick when nothing changed; every other target runs it first.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
LOCKED := $(VENV)/.locked
READY := $(VENV)/.ready
# The first interpreter that is new enough and can make a virtual environment; `make PYTHON=/path/to/python3 ...` overrides.
CANDIDATES := python3.11 python3.12 python3.13 python3.14 python3

.PHONY: help setup demo demo-kafka broker test crash check soak soak-sim soak-cluster soak-service test-keys format bench bench-peers dashboards schemas lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(READY) ## the virtual environment in .venv, from hash-locked requirements

$(LOCKED): requirements/dev.txt
	@python=""; \
	for candidate in $(if $(PYTHON),$(PYTHON),$(CANDIDATES)); do \
	  if command -v $$candidate >/dev/null 2>&1 \
	    && $$candidate -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    python=$$candidate; break; fi; done; \
	if [ -z "$$python" ]; then \
	  echo "stream-recon needs Python 3.11 or newer with the venv module, and none of these has it: $(if $(PYTHON),$(PYTHON),$(CANDIDATES))." >&2; \
	  echo "Debian and Ubuntu: apt-get install python3 python3-venv    Fedora: dnf install python3    macOS: brew install python@3.12" >&2; \
	  echo "Then run make again, or name the interpreter: make PYTHON=/path/to/python3 setup" >&2; exit 1; fi; \
	echo "installing into $(VENV) with $$python: about half a minute"; \
	$$python -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	@touch $@

$(READY): $(LOCKED) pyproject.toml
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY) ## a dual write with planted faults: found against planted
	@$(BIN)/stream-recon demo

demo-kafka: $(READY) ## the same on a Kafka broker of its own, fetched by Maven the first time
	@$(BIN)/python tools/kafka/broker.py --exec $(BIN)/stream-recon demo

broker: $(READY) ## a Kafka broker in the foreground, data in .broker; prints KAFKA_BOOTSTRAP
	@$(BIN)/python tools/kafka/broker.py

WORKERS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 4 ? n + 1 : 4)))
# Many tests wait for brokers: one more worker than cores, but no more brokers than four.

test: $(READY) ## the whole test suite, real Kafka included; files side by side on the cores that there are
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

crash: $(READY) ## of the tests those that kill, stop and take over workers on a real broker
	@$(BIN)/python -m pytest tests/kafka/test_exactly_once.py

check: $(READY) ## format, lint, types, layers, quick tests: under a minute
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/tidy tests/unit

test-keys: $(READY) ## root keys in a real Vault, which is built with Go the first time (minutes)
	@$(BIN)/python -m tools.vault.build
	@$(BIN)/python -m pytest -v tests/vault/vault_stories.py

soak: $(READY) ## the laws on 1,500 seeded histories each way, about 20 minutes; RECON_SOAK_FROM=n begins at seed n
	@RECON_SOAK_SEEDS=$${RECON_SOAK_SEEDS:-1500} $(BIN)/python -m pytest -q tests/laws/test_soak.py

soak-sim: $(READY) ## the service in a simulated world on 5,000 seeds, about 10 minutes; RECON_SIM_SEEDS=n, RECON_SIM_FROM=n
	@$(BIN)/stream-recon simulate --seeds $${RECON_SIM_SEEDS:-5000} --from $${RECON_SIM_FROM:-0}

soak-cluster: $(READY) ## three brokers under faults, 10 rounds, about 25 minutes; RECON_CLUSTER_ROUNDS=n, RECON_CLUSTER_FROM=n is the first seed
	@export RECON_CLUSTER_FROM=$${RECON_CLUSTER_FROM:-$$RANDOM} RECON_CLUSTER_ROUNDS=$${RECON_CLUSTER_ROUNDS:-10}; \
	echo "RECON_CLUSTER_FROM=$$RECON_CLUSTER_FROM RECON_CLUSTER_ROUNDS=$$RECON_CLUSTER_ROUNDS"; \
	$(BIN)/python -m pytest -v tests/kafka/test_cluster.py tests/kafka/cluster_stories.py

soak-service: $(READY) ## a live service under faults, an hour and a warm-up of 21 minutes, on a quiet machine: answers, memory, lag; RECON_SERVICE_MINUTES=n, RECON_SERVICE_SEED=n
	@$(BIN)/python -m tools.soak --minutes $${RECON_SERVICE_MINUTES:-83} --seed $${RECON_SERVICE_SEED:-$$RANDOM}

format: $(READY) ## put the code into form
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(READY) ## what the work costs on this machine
	@for benchmark in benchmarks/*.py; do $(BIN)/python "$$benchmark"; done

bench-peers: $(READY) ## the same job by other engines, installed into .broker, about an hour; ARGS="--only REGEX --size N --rounds N --write"
	@$(BIN)/python -m benchmarks.peers $(ARGS)

dashboards: $(READY) ## write monitoring/grafana/ anew
	@$(BIN)/python -m tools.dashboards

schemas: $(READY) ## write schemas/ anew from the configuration model
	@$(BIN)/python -m stream_recon.config.schema schemas/topology.schema.json

lock: ## resolve the dependencies anew (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: python3 -m pip install uv" >&2; exit 1; }
	@uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  pyproject.toml -o requirements/runtime.txt
	@uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  pyproject.toml --extra vault --extra kms --group dev -c requirements/runtime.txt -o requirements/dev.txt

clean: ## remove what was built here
	@rm -rf $(VENV) build dist *.egg-info .broker .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find stream_recon tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
