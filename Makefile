# The targets are thin. The logic is in tests/harness (machines and clusters) and tests/support/e2e (the end-to-end scenario).
PYTHON ?= python3
BIN := .venv/bin
# Each run ends with the 20 tests that took longest.
PYTEST := $(BIN)/pytest --durations=20 --durations-min=1
HARNESS := $(BIN)/python -m tests.harness

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-unit test-cluster test-e2e attack bench-operator bench-server lint format docs package sbom scan lock images up down status clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: .venv/.installed ## Create .venv with both packages and the development tools

.venv/.installed: requirements/dev.txt operator/pyproject.toml server/pyproject.toml
	@PYTHON=$(PYTHON) tests/harness/venv.sh

demo: venv ## Run the end-to-end scenario, up to an answer (MODE=full-stack: with Qdrant and the pipeline)
	@$(BIN)/python -m tests.support.e2e.demo $(if $(MODE),--mode $(MODE))

test: venv lint test-unit test-cluster test-e2e ## Set up everything and run all tests

test-unit: venv ## Run the tests that need neither a cluster nor a container
	$(PYTEST) -n 3 --dist worksteal tests/repository tests/benchmarks tests/flame_operator tests/flame_server tests/attacks

test-cluster: venv ## Run the tests of the charts and those against a real API server (built from source the first time)
	@$(HARNESS) tools
	$(PYTEST) -n 2 --dist loadfile --no-loadscope-reorder tests/charts tests/cluster

test-e2e: venv ## Run the tests of the images and of the end-to-end scenario on a real node
	@$(BIN)/python -m tests.support.e2e.product
	$(PYTEST) tests/e2e

attack: venv ## Make the attacks of docs/security.md at their full size, and print figures (25 minutes)
	@$(HARNESS) tools
	ATTACK_FULL_SIZE=1 $(PYTEST) -s tests/attacks

bench-operator: venv ## Measure the operator on its own control plane (ARGS="--help" for options)
	@$(HARNESS) tools
	@$(BIN)/python -m benchmarks.operator $(ARGS)

bench-server: venv ## Measure the search server on one core (ARGS="--help" for options)
	@$(BIN)/python -m benchmarks.server $(ARGS)

lint: venv ## Run ruff, mypy --strict and import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: venv ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock"

docs: venv ## Generate docs/resource.md, the charts' READMEs and the server chart's schema
	$(BIN)/python -m docs.generate
	$(BIN)/python -m docs.server_values
	$(BIN)/python -m docs.chart_readmes
	$(BIN)/python -m docs.rooms
	$(BIN)/python -m docs.attacks

package: venv ## Package the charts into build/charts (reproducibly: same sources, same bytes)
	@$(BIN)/python -m release.charts

sbom: venv ## Write the SBOMs of the images into build/sbom
	@$(BIN)/python -m release.sbom

scan: venv ## Scan the images for known vulnerabilities, if a scanner is installed
	@$(BIN)/python -m release.scan

lock: venv ## Update the locked dependencies, with hashes
	$(LOCK) operator/pyproject.toml server/pyproject.toml --group dev -o requirements/dev.txt
	$(LOCK) operator/pyproject.toml -c requirements/dev.txt -o requirements/operator.txt
	$(LOCK) server/pyproject.toml -c requirements/dev.txt -o requirements/server.txt
	$(LOCK) requirements/build.in -c requirements/dev.txt -o requirements/build.txt
	for tool in checkov cyclonedx envoy; do \
		$(LOCK) tests/harness/tools/$$tool/requirements.in -o tests/harness/tools/$$tool/requirements.txt; done

images: venv ## Build both images
	@$(BIN)/python -m tests.support.e2e.product --images-only

up: venv ## Start a cluster (kind, or one node built from source)
	@$(HARNESS) up

down: ## Stop the cluster and everything else that was started; keep only the cache
	@if [ -x $(BIN)/python ]; then $(HARNESS) down; else echo "nothing to stop: there is no .venv"; fi

status: venv ## Show what is running
	@$(HARNESS) status

clean: down ## Stop everything and remove all generated files from the source tree
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache \
		operator/build server/build operator/*.egg-info server/*.egg-info
