# `make` alone lists what there is. Every target first brings .venv to the state that requirements.lock names.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# Ray has wheels for 3.11 to 3.14. A name on PATH may still not run (a version manager's stand-in), and Debian
# splits venv from python3: so each candidate is tried, not looked up.
USABLE := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
PYTHON ?= $(shell for name in python3.13 python3.12 python3.11 python3; do \
	"$$name" -c '$(USABLE)' >/dev/null 2>&1 && echo "$$name" && break; done)

BIN := .venv/bin
READY := .venv/.ready

.PHONY: help lab book test check format lock clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1|\2/p' Makefile | while IFS='|' read -r name text; do \
		printf '%-14s %s\n' "$$name" "$$text"; done

.venv: $(READY)

# Byte-compiled at once: otherwise every process that Ray starts compiles the same files again.
$(READY): requirements.lock pyproject.toml
	@{ $(BIN)/python -c '$(USABLE)' && $(BIN)/python -m pip --version; } >/dev/null 2>&1 || { \
		if [ -z '$(PYTHON)' ] || ! '$(PYTHON)' -c '$(USABLE)' >/dev/null 2>&1; then \
			echo 'No usable Python: install 3.11 to 3.14 with its venv module, or name one with PYTHON=/path/to/python3.' >&2; \
			exit 2; fi; \
		echo 'Creating .venv'; '$(PYTHON)' -m venv --clear .venv; }
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > .venv/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r .venv/uv.lock
	@echo 'Installing the packages of requirements.lock'
	@VIRTUAL_ENV=.venv $(BIN)/python -m uv pip sync --quiet --compile-bytecode --require-hashes requirements.lock
	@VIRTUAL_ENV=.venv $(BIN)/python -m uv pip install --quiet --no-deps --no-build-isolation --editable .
	@mkdir -p .venv/share/jupyter/lab/settings
	@echo '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}' \
		> .venv/share/jupyter/lab/settings/overrides.json
	@touch $(READY)

# JupyterLab would otherwise ask other hosts for news and updates. It refuses to run as root unless told to, and in a
# container there is often nobody else; it listens on this machine alone and asks for a token all the same. The labs link
# to the glossary in book/, so the server's root is the repository; its first page is the folder of the labs.
LAB_OPTIONS := --ServerApp.ip=127.0.0.1 --LabApp.default_url=/lab/tree/labs --LabApp.news_url=None \
	--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate \
	--ContentsManager.hide_globs='["__pycache__", "*.pyc", "*.egg-info", "conftest.py", "ruff.toml", "_build"]'

# Without npm's packages the labs open all the same; live figures then show their numbers and do not move.
lab: $(READY) ## open the labs in JupyterLab, on this machine only (ARGS=--no-browser opens no window)
	@$(BIN)/python -m book.tools.web || true
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m jupyterlab $(LAB_OPTIONS) $(if $(filter 0,$(shell id -u)),--allow-root) $(ARGS)

# SERVE=no builds and stops; PORT=8080 asks for a port.
book: $(READY) ## run what is stale, build the book and serve it (SERVE=no: only build)
	@$(BIN)/python -m book.tools.build $(if $(filter no,$(SERVE)),--no-serve) $(if $(PORT),--port $(PORT)) $(ARGS)

# What only computes runs on all cores. What depends on times, notebooks among it, then runs alone, one after the other.
# The book is built from what the notebooks put out, so browsers come last, and with them whatever else waits for other
# programs: one more at once than there are cores. Pytest's code 5 means that ARGS left a part without tests.
AT_ONCE := $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )))
test: check ## check, then run every test and every lab (ARGS="-k quorum" passes options on to pytest)
	@$(BIN)/python -m pytest -n auto -m 'not real and not browser' tests $(ARGS) || [ $$? -eq 5 ]
	@$(BIN)/python -m pytest -m timed tests labs $(ARGS) || [ $$? -eq 5 ]
	@$(BIN)/python -m pytest -n $(AT_ONCE) --dist=load -m '(real or browser) and not timed' tests $(ARGS) || [ $$? -eq 5 ]

check: $(READY) ## lint, formatting, and which layer may import which
	@$(BIN)/python -m ruff check --quiet --output-format concise .
	@$(BIN)/python -m ruff format --quiet --check .
	@found=$$($(BIN)/lint-imports --no-cache --no-logo 2>&1) || { echo "$$found"; exit 1; }

format: $(READY) ## format the code and sort its imports
	@$(BIN)/python -m ruff check --quiet --fix-only .
	@$(BIN)/python -m ruff format --quiet .

# No index and no address is written, so that the file is the same whatever mirror a machine uses.
lock: $(READY) ## resolve the newest packages that pyproject.toml allows (a plain `make` then installs them)
	@$(BIN)/python -m uv pip compile pyproject.toml --quiet --upgrade --all-extras --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-header --output-file requirements.lock

clean: ## remove what was built, and .venv
	rm -rf .venv _build labkit/live/built .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
