# Everything a person or a machine does with this repository. `make` lists it.

SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

python := .venv/bin/python
# test processes: twice as many as a small machine has cores, since most tests wait for something half of their time
JOBS ?= 4
# more words for a command: make demo ARGS="--accounts 1000", make test ARGS="-k lease -x"
ARGS ?=

.PHONY: help setup demo run test check style types imports pages format reference bench clean

help: ## Show this list
	@printf '\n  \033[1mwafleet\033[0m  a fleet of WhatsApp numbers as one reliable system\n\n'
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  \033[36mmake %-10s\033[0m %s\n", $$1, $$2 }' Makefile
	@printf '\n  Options: ARGS="..." is passed on, PYTHON=... chooses the interpreter, WAFLEET_* are the settings.\n\n'

setup: ## Install everything into .venv (a second time takes no time)
	@PYTHON="$(PYTHON)" scripts/setup

demo: setup ## Start a busy fleet on a simulated WhatsApp network
	@exec $(python) -m wafleet demo $(ARGS)

run: setup ## Start wafleet with the settings in WAFLEET_*, .env and wafleet.toml
	@exec $(python) -m wafleet up $(ARGS)

test: setup ## Run every test, on a PostgreSQL of its own
	@$(python) -m pytest -n $(JOBS) --dist worksteal $(ARGS)

check: style types imports pages ## Check style, types, imports and the reference pages (with -k: all of them)

style: setup
	@$(python) -m ruff check .
	@$(python) -m ruff format --check .

types: setup
	@$(python) -m pyright

imports: setup
	@.venv/bin/lint-imports --no-logo

pages: setup
	@$(python) docs/generate.py --check

format: setup ## Put the code into the house style
	@$(python) -m ruff check --fix .
	@$(python) -m ruff format .

reference: setup ## Write docs/reference/ anew from the code
	@$(python) docs/generate.py

bench: setup ## Measure, with this machine's own limits beside each figure
	@$(python) -m benchmarks $(ARGS)

clean: ## Remove what can be made again (data folders stay)
	@rm -rf .venv .pytest_cache .ruff_cache .import_linter_cache .hypothesis dist
	@find src tests benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
