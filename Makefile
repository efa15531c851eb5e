# Every command that people and CI use. `make` alone lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= tillroll-data
PORT ?= 8080
# Two more than there are cores, up to eight: tests often wait for the processes that they speak to.
WORKERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN); expr $$((n < 6 ? n : 6)) + 2)
# uv trusts what the machine trusts, as pip does.
export UV_SYSTEM_CERTS ?= true

.DEFAULT_GOAL := help
.PHONY: help run test attack prove check format wheel docs advisories bench soak kill-rounds fuzz screenshots lock clean

help: ## List the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

run: $(VENV)/.run ## Install into .venv, and serve on http://127.0.0.1:8080 (PORT=, DATA=)
	$(BIN)/tillroll serve --data $(DATA) --port $(PORT)

test: $(VENV)/.dev $(VENV)/.tools ## Install, fetch the real parts that tests speak to, and run every test on all cores
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal $(PYTEST)

attack: $(VENV)/.dev ## Attack a real server in every way that was found, in a minute
	$(BIN)/python -m tests.attack

prove: $(VENV)/.dev $(VENV)/.fuzz $(VENV)/.tools ## Prove at length, in hours: all seeds, pairs of kills, kill rounds, fuzzing
	$(BIN)/python -m tests.prove

check: $(VENV)/.dev $(VENV)/.lint ## Format, lint and strict types: Python, the page's scripts, the kernel in C
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m tests.lint

format: $(VENV)/.dev ## Format the code and mend what lint can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.bench $(VENV)/.tools ## Measure speed, memory and cost, beside the alternatives (FULL=1: the page over 10^8 purchases)
	$(BIN)/python -m bench $(if $(FULL),--full)

soak: $(VENV)/.dev ## Simulate faults for as long as MINUTES= says (default 10)
	$(BIN)/python -m tests.simulation.soak --minutes $(or $(MINUTES),10)

kill-rounds: $(VENV)/.dev $(VENV)/.tools ## Kill real processes for ROUNDS= rounds (default 100) and recount after each
	$(BIN)/python -m tests.e2e.kill_rounds --rounds $(or $(ROUNDS),100)

fuzz: $(VENV)/.fuzz ## Fuzz every decoder for MINUTES= (default 30) each
	$(BIN)/python -m tests.fuzz --minutes $(or $(MINUTES),30)

wheel: $(VENV)/.dev ## Build a wheel for every Python from 3.11, a source archive and a list of what is in them, into dist
	$(BIN)/python -m release

docs: $(VENV)/.dev ## Build a site of the guides into build/site, with every link checked
	$(BIN)/python -m release.site

advisories: $(VENV)/.dev ## Ask for known advisories of what is locked; needs a network that reaches a database of them
	$(BIN)/uv tool run --from pip-audit==2.10.1 pip-audit --strict --require-hashes --disable-pip --requirement requirements/run.txt
	$(BIN)/uv tool run --from pip-audit==2.10.1 pip-audit --strict --require-hashes --disable-pip --requirement requirements/dev.txt

screenshots: $(VENV)/.dev $(VENV)/.tools ## Draw the page in every state into docs/screenshots
	$(BIN)/python -m tests.browser.screenshots

lock: $(VENV)/.dev ## Choose versions anew and write them, with hashes, to requirements/
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --custom-compile-command "make lock" \
		--upgrade pyproject.toml requirements/build.in -o requirements/run.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --custom-compile-command "make lock" \
		--upgrade pyproject.toml requirements/build.in --extra aws --extra parquet --group test --group lint -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --custom-compile-command "make lock" \
		--upgrade pyproject.toml --group bench --constraints requirements/dev.txt -o requirements/bench.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --custom-compile-command "make lock" \
		--upgrade --group fuzz -o requirements/fuzz.txt

clean: ## Remove what was built, not what was stored
	rm -rf $(VENV) .tools build src/*.egg-info src/tillroll/*.so

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("tillroll needs Python 3.11 or newer; set PYTHON=" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

SOURCES := pyproject.toml setup.py $(wildcard src/tillroll/_kernel.c native/*.[ch] native/python/*.[ch])

$(VENV)/.run: requirements/run.txt $(SOURCES) | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(SOURCES) | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.run

$(VENV)/.bench: requirements/bench.txt $(VENV)/.dev
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	@touch $@

$(VENV)/.fuzz: requirements/fuzz.txt $(VENV)/.dev
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/fuzz.txt
	@touch $@

$(VENV)/.lint: tests/lint/package-lock.json $(VENV)/.dev
	$(BIN)/python -m tests.lint fetch
	@touch $@

$(VENV)/.tools: $(VENV)/.dev $(wildcard tests/tools/*)
	$(BIN)/python -m tests.tools
	@touch $@
