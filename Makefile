# make test, make demo: from a fresh clone, on Debian 12 or later, as root (all tests) or not (those that can).
# PYTHON=... picks the interpreter that .venv is made with; ARGS="-k pool" goes to pytest, which runs WORKERS tests at
# a time: one more than there are CPUs, since tests on machines often wait.

VENV := .venv
WORKERS := $(shell expr $$(nproc) + 1)
READY := $(VENV)/.ready

.DELETE_ON_ERROR:
.PHONY: demo test bench docs lint machine deb rpm wheel release clean venv

demo: $(READY) machine
	$(VENV)/bin/python examples/demo.py

test: $(READY) machine
	$(VENV)/bin/python -m pytest --numprocesses $(WORKERS) --dist worksteal $(ARGS)

# Its peers: honcho from PyPI, pm2 from npm; foreman where Debian's ruby-foreman is installed.
bench: $(READY) machine
	$(VENV)/bin/python -m pip install --quiet --editable '.[bench]'
	$(VENV)/bin/python -m tests.benchmarks $(ARGS)

# The references of all keys and of the fields of all formats, from the tables that pm-native reads configs by.
docs: $(READY)
	$(VENV)/bin/python -c 'from pm_native.config.reference import reference_page as page; print(page(), end="")' \
		>docs/config.md
	$(VENV)/bin/python -c 'from pm_native.importers.reference import formats_page as page; print(page(), end="")' \
		>docs/formats.md

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# What is shipped, in dist/: `make release` builds and checks all of it (see CONTRIBUTING.md).
deb:
	packaging/bootstrap.sh packages >/dev/null
	packaging/build.sh deb dist

rpm:
	packaging/bootstrap.sh packages >/dev/null
	packaging/build.sh rpm dist

wheel: $(READY)
	$(VENV)/bin/python -m pip install --quiet --editable '.[release]'
	$(VENV)/bin/python -m build --outdir dist
	$(VENV)/bin/python -m twine check --strict dist/*.whl dist/*.tar.gz

release: wheel deb rpm
	lintian --pedantic --display-info --fail-on=error,warning,info,pedantic --allow-root dist/*.changes
	rpmlint --config packaging/rpm/rpmlint.toml dist/*.rpm dist/*.spec

venv: $(READY)

# Installed anew only when the project's metadata changes: the code itself is used in place. A virtualenv that
# was moved or lost its interpreter is made again.
$(READY): pyproject.toml packaging/bootstrap.sh
	python=$$(packaging/bootstrap.sh) && \
	if ! $(VENV)/bin/python -m pip --version >/dev/null 2>&1; then "$$python" -m venv --clear $(VENV); fi
	PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore \
		$(VENV)/bin/python -m pip install --quiet --editable '.[test,lint]'
	touch $@

# Each time: it takes a moment, and the next run may be the first as root.
machine:
	@packaging/bootstrap.sh machine >/dev/null

# Machines whose owner is dead go first: what is left of one may be in use by a live run.
clean:
	if [ -x $(VENV)/bin/python ] && [ -d .machine ]; then $(VENV)/bin/python -m tests.machine --mop-up; fi
	rm -rf $(VENV) .cache build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
