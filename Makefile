# Thin targets: what they do lives in tests/harness (machines and clusters) and tests/support/e2e (the main job).
PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/pytest
HARNESS := $(BIN)/python -m tests.harness

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-unit test-cluster test-e2e bench-operator bench-server lint format docs package sbom scan lock images up down status clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: .venv/.installed ## Make .venv with both packages and the development tools

.venv/.installed: requirements/dev.txt pyproject.toml
	@PYTHON=$(PYTHON) tests/harness/venv.sh

demo: venv ## The main job, end to end, up to an answer (MODE=full-stack: with Qdrant and the pipeline)
	@$(BIN)/python -m tests.support.e2e.demo $(if $(MODE),--mode $(MODE))

test: venv lint test-unit test-cluster test-e2e ## Set everything up and run all tests

test-unit: venv ## Tests that need neither a cluster nor a container
	$(PYTEST) -n 2 --dist worksteal tests/repository tests/benchmarks tests/flame_operator tests/flame_server

test-cluster: venv ## Tests of the chart and against a real API server (built from source the first time)
	@$(HARNESS) tools
	$(PYTEST) -n 2 --dist loadfile tests/charts tests/cluster

test-e2e: venv ## Tests of the images and of the main job on a real node
	@$(BIN)/python -m tests.support.e2e.product
	$(PYTEST) tests/e2e

bench-operator: venv ## Measure the operator on a control plane of its own (ARGS="--help" for options)
	@$(HARNESS) tools
	@$(BIN)/python -m benchmarks.operator $(ARGS)

bench-server: venv ## Measure the search server on one core (ARGS="--help" for options)
	@$(BIN)/python -m benchmarks.server $(ARGS)

lint: venv ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: venv ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock"

docs: venv ## Write docs/resource.md, the charts' READMEs and the server chart's schema
	$(BIN)/python -m docs.generate
	$(BIN)/python -m docs.server_values
	$(BIN)/python -m docs.chart_readmes

package: venv ## Package the charts into build/charts, the same bytes for the same sources
	@$(BIN)/python -m release.charts

sbom: venv ## Write what the images consist of into build/sbom
	@$(BIN)/python -m release.sbom

scan: venv ## Scan the images for known weaknesses, where a scanner is installed
	@$(BIN)/python -m release.scan

lock: venv ## Lock the dependencies anew, with hashes
	$(LOCK) pyproject.toml --all-extras --group dev -o requirements/dev.txt
	$(LOCK) pyproject.toml --extra operator -c requirements/dev.txt -o requirements/operator.txt
	$(LOCK) pyproject.toml --extra server -c requirements/dev.txt -o requirements/server.txt
	$(LOCK) requirements/build.in -c requirements/dev.txt -o requirements/build.txt
	for tool in checkov cyclonedx; do \
		$(LOCK) tests/harness/tools/$$tool/requirements.in -o tests/harness/tools/$$tool/requirements.txt; done

images: venv ## Build both images
	@$(BIN)/python -m tests.support.e2e.product --images-only

up: venv ## Start a cluster (kind, or one node built from source)
	@$(HARNESS) up

down: ## Stop the cluster and everything that was started; leaves only the cache
	@if [ -x $(BIN)/python ]; then $(HARNESS) down; else echo "nothing to stop: there is no .venv"; fi

status: venv ## What runs
	@$(HARNESS) status

clean: down ## Remove what was made inside the tree
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
