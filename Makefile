# Every target sets up what it needs. `make help` lists them.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
WORKERS ?= 4 # tests wait more than they work
TESTS ?= tests/cluster

.DEFAULT_GOAL := help
.PHONY: help demo up test test-kubernetes check bench bench-gateway bench-kubernetes bench-scheduler drill drill-kubernetes drill-scheduler format images lock protos setup

help: ## what there is to make
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(READY) ## the main job: endpoints and a pipeline of models built, queued, started, called and stopped (TARGET=container: in containers)
	@$(RUN) -m examples.demo

up: $(READY) ## the embedded platform in the foreground (API_PORT 8080, ROUTER_PORT 8000, ROUTER_GRPC_PORT 9090, TARGET process)
	@$(RUN) -m services

test: $(READY) ## every test that needs no cluster, with real servers, registries and containers
	@$(RUN) -m tests.beds
	@$(RUN) -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-kubernetes: $(READY) ## what needs a cluster: on one of our own, or that of KUBECONFIG with REGISTRY (TESTS: which files)
	@$(RUN) -m tests.beds
	@[ -n "$$KUBECONFIG" ] && [ -n "$$REGISTRY" ] || $(RUN) -m tests.beds.kubernetes up
	@$(RUN) -m pytest -q $(TESTS)

check: $(READY) ## formatting, lint, types and import rules
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

bench: $(READY) ## the benchmarks, as a table, beside their anchors
	@$(RUN) -m benchmarks

bench-kubernetes: $(READY) ## 300 endpoints at once on a real API server with a played node, beside kubectl
	@$(RUN) -m benchmarks kubernetes

bench-gateway: $(READY) ## what the gateway adds to a prediction, beside grpcio alone
	@$(RUN) -m benchmarks gateway

bench-scheduler: $(READY) ## admissions from 100,000, Kueue's trace, submissions, a million listed; fails where less is met than was asked
	@$(RUN) -m benchmarks scheduler scheduler-api --submissions 20000

drill: $(READY) ## kills every service, the broker and the database at random moments, and checks the outcome
	@$(RUN) -m benchmarks.drill

drill-scheduler: $(READY) ## gives 100,000 GPUs by five schedulers that are killed and stopped, with a referee (RECORD=file: its figures)
	@$(RUN) -m benchmarks.drill.scheduler $(if $(RECORD),--record $(RECORD))

drill-kubernetes: $(READY) ## ten minutes with an API server that misbehaves once a second, and checks the outcome
	@$(RUN) -m benchmarks.drill.kubernetes --seconds 600

format: $(READY) ## put the code into its one form
	$(VENV)/bin/ruff check --fix-only -q .
	$(VENV)/bin/ruff format -q .

images: $(READY) ## the platform's own images, into REGISTRY=host:port/prefix (BASE, BUILDER_BASE, VALUES=file for Helm)
	@$(RUN) -m charts.images

lock: $(READY) ## resolve the dependencies of pyproject.toml anew
	$(VENV)/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --extra dev \
		--upgrade --quiet --output-file requirements.lock pyproject.toml
	@for service in api builder scheduler router; do \
		$(VENV)/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --quiet \
			--constraint requirements.lock --group pyproject.toml:$$service --no-annotate \
			--no-header --output-file charts/images/$$service.lock || exit 1; \
	done

protos: $(READY) ## write the Python of shared/protos/ anew
	@$(RUN) -m shared.protos

setup: $(READY) ## the virtual environment with all it needs

$(READY): requirements.lock client/pyproject.toml
	@sh .ci/venv $(PYTHON) $(VENV)
	@touch $@
