PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
# What the program needs to run, and what its tests need besides.
RUNTIME := .venv/.runtime
READY := .venv/.ready
COMPILE := $(BIN)/pip-compile --quiet --no-header --generate-hashes --allow-unsafe --strip-extras \
	--no-emit-options --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --annotation-style=line
PIP := $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check install

.PHONY: help demo check fix test cover bench bench-wait run screenshot lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 17

demo: $(RUNTIME) ## watch bursts become calls and replies, with a takeover and a crash
	@$(BIN)/debouncer demo $(ARGS)

check: $(READY) ## check style, formatting and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

fix: $(READY) ## repair style and formatting where that can be done safely
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

test: $(READY) ## run every test, on every core
	@$(BIN)/pytest -n auto --dist worksteal $(ARGS)

cover: $(READY) ## run the tests and print which lines they reach (in the tests' own processes)
	@$(BIN)/pytest -n auto --dist worksteal $(ARGS) --cov

bench: $(READY) ## measure, each figure beside its baseline
	@$(BIN)/python -m benchmarks $(ARGS)

bench-wait: $(READY) ## replay recorded conversations under each way to wait; others: ARGS="--data FILE"
	@$(BIN)/python -m benchmarks.wait $(ARGS)

run: $(RUNTIME) ## run everything in one command (settings: .env)
	@$(BIN)/debouncer up $(ARGS)

screenshot: $(READY) ## take the picture of the page for the README, of a demo
	@$(BIN)/python -m tests.browser.screenshot $(ARGS)

lock: $(READY) ## pin and hash the dependencies again (on Python 3.11; newer releases: ARGS=--upgrade)
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
		|| { echo "The lock is made on Python 3.11, the oldest that it serves."; exit 1; }
	@$(COMPILE) $(ARGS) --extra dev --build-deps-for editable -o requirements.lock pyproject.toml
	@$(COMPILE) $(ARGS) -c requirements.lock --build-deps-for wheel -o deploy/requirements.lock pyproject.toml
	@$(COMPILE) $(ARGS) -c requirements.lock --extra otel --build-deps-for wheel -o deploy/otel.lock pyproject.toml

clean: ## remove what the other targets made, .venv included (data/ stays)
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUNTIME): deploy/requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "debouncer needs Python 3.11 or newer, and $(PYTHON) is older or missing. Name one that fits: make demo PYTHON=python3.12"; exit 1; }
	@echo "Setting up .venv with hash-checked packages; about half a minute, only the first time ..."
	@$(PYTHON) -m venv .venv || { echo "$(PYTHON) has no venv module (on Debian: apt install python3-venv)."; exit 1; }
	@$(PIP) --require-hashes -r deploy/requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(READY): $(RUNTIME) requirements.lock
	@echo "Adding the packages of the tests to .venv; about a minute, only the first time ..."
	@$(PIP) --require-hashes -r requirements.lock
	@touch $@
