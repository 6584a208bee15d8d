# `make` alone lists the targets, from the text after their ##, in this order. Each installs what it needs first.

PYTHON ?= python3
PORT ?= 3000
UI ?= 1
VENV := .venv
BIN := $(VENV)/bin
DEMO := .log_assets/demo
STAMP := $(VENV)/.installed
BENCH_STAMP := $(VENV)/.installed-bench

.DEFAULT_GOAL := help
.PHONY: help demo test lint format reference template requirements test-slow test-trino test-browser fuzz aws-local \
	acceptance-aws bench install clean-demo clean

help:
	@echo 'The first target that is made also installs, into $(VENV): 1 to 2 minutes. Needs Python 3.11+, make and git.'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

demo: $(STAMP) ## from 24 hours of demo logs to a query: 1 minute; then the UI, until Ctrl+C (UI=0: without)
	@mkdir -p $(DEMO)
	@PORT=$(PORT) UI=$(UI) sh deploy/demo.sh $(abspath $(BIN)) $(DEMO)

test: $(STAMP) ## the fast tests: 3 minutes
	$(BIN)/pytest -n 2

lint: $(STAMP) ## ruff, mypy, the direction of imports, cfn-lint: half a minute
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/cfn-lint deploy/template.yaml

format: $(STAMP) ## what ruff can repair by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

reference: $(STAMP) ## docs/options.md, from the commands' own help
	$(BIN)/python -m log_assets_tests.options > docs/options.md

template: $(STAMP) ## the parts of deploy/template.yaml that come from athena_sql/
	$(BIN)/python deploy/generate.py

# setuptools builds the package itself. What the image is made of is what constraints.txt pins, file by file.
requirements: $(STAMP) ## deploy/requirements.txt, the image's, from constraints.txt, with hashes (asks the registry)
	echo setuptools | $(BIN)/uv pip compile --quiet - pyproject.toml --extra postgres -c constraints.txt \
		--generate-hashes --no-emit-index-url --no-strip-extras --no-annotate --python-version 3.11 \
		--python-platform x86_64-unknown-linux-gnu --custom-compile-command 'make requirements' \
		-o deploy/requirements.txt

test-slow: $(STAMP) ## a kill at every write, concurrency, a real daemon, 720 hours: 15 minutes
	$(BIN)/pytest -n 2 -m slow

test-trino: $(STAMP) ## the AWS layer's SQL on a real Trino, the DDL in Hive's parser: 15 minutes (Java 24+, Maven)
	$(BIN)/pytest -m 'trino or conformance'

test-browser: $(STAMP) ## the UI in Chromium
	$(BIN)/pytest -m browser

fuzz: $(STAMP) ## bodies, tokens and payloads against slower readers: 250,000 cases, 5 minutes (SEED=, CASES=, CASE=)
	@$(BIN)/python -m log_assets_tests.fuzz $(if $(SEED),--seed $(SEED)) $(if $(CASES),--cases $(CASES)) \
		$(if $(CASE),--case $(CASE))

aws-local: $(STAMP) ## S3, Glue, Trino and Athena on this machine, until Ctrl+C (Java 24+, Maven)
	@$(BIN)/python -m log_assets_tests.aws_local

acceptance-aws: $(STAMP) ## one run on your AWS account, and all of it taken down: 10 minutes, a US cent (YES=1, KEEP=1)
	@$(BIN)/python -m log_assets_tests.acceptance $(if $(YES),--yes) $(if $(KEEP),--keep)

bench: $(BENCH_STAMP) ## everything against its peers: 15 minutes; QUICK=1 takes two
	@$(BIN)/python -m bench $(if $(QUICK),--quick)

install: $(STAMP) ## the package and its tools, as constraints.txt pins them

$(BENCH_STAMP): $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,bench]'
	@touch $@

# Made anew when what is asked for changes.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

clean-demo: ## remove what the demo made
	rm -rf $(DEMO)

clean: ## remove the installation and .log_assets, with all that lies in it
	rm -rf $(VENV) .log_assets
