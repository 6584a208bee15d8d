# Two commands set everything up: `make demo` and `make test`. They need Python 3.11+, make and git.

PYTHON ?= python3
PORT ?= 3000
UI ?= 1
VENV := .venv
BIN := $(VENV)/bin
DEMO := .log_assets/demo
STAMP := $(VENV)/.installed
BENCH_STAMP := $(VENV)/.installed-bench

.PHONY: demo clean-demo test test-slow test-browser test-trino aws-local bench lint template format install clean

demo: $(STAMP)
	@mkdir -p $(DEMO)
	@PORT=$(PORT) UI=$(UI) sh deploy/demo.sh $(abspath $(BIN)) $(DEMO)

clean-demo:
	rm -rf $(DEMO)

test: $(STAMP)
	$(BIN)/pytest -n 2

test-slow: $(STAMP)
	$(BIN)/pytest -n 2 -m slow

test-browser: $(STAMP)
	$(BIN)/pytest -m browser

# Needs Java 24 or newer, and Maven; Trino itself comes from Maven Central, once.
test-trino: $(STAMP)
	$(BIN)/pytest -m 'trino or conformance'

# S3, Glue, Trino and Athena on this machine, until Ctrl+C; prints settings to paste.
aws-local: $(STAMP)
	@$(BIN)/python -m log_assets_tests.aws_local

# Everything against its peers, in one run: some 15 minutes; QUICK=1 takes two. Writes bench/results.json.
bench: $(BENCH_STAMP)
	@$(BIN)/python -m bench $(if $(QUICK),--quick)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/cfn-lint deploy/template.yaml

# What deploy/template.yaml has from athena_sql/.
template: $(STAMP)
	$(BIN)/python deploy/generate.py

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install: $(STAMP)

$(BENCH_STAMP): $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,bench]'
	@touch $@

# Made anew when what is asked for changes.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) .log_assets
