# Every target does its own set-up; `make demo` and `make test` need Python 3.11 to 3.13 and make, nothing else.
# PYTHON=… names the Python; without it .ci/find-python looks for one.
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# One more than there are processors, at most four: some tests wait for a daemon.
TESTERS := $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n < 4 ? n + 1 : 4)))

.PHONY: help setup demo test test-real fuzz test-pythons torture audit mutants coverage lint docs pictures lock bench clean
.DEFAULT_GOAL := help

help:
	@echo "make demo       the whole story on bundled real data"
	@echo "make test       the tests (no root, under 8 minutes)"
	@echo "make test-real  the tests against real counterparts (installs them; Debian, root)"
	@echo "make fuzz       10,000 requests made up for the API (after make test-real)"
	@echo "make test-pythons  the tests on each of Python 3.11, 3.12 and 3.13 that is installed"
	@echo "make torture    the long form of the tests against harm, hours (ROW=5: one row): docs/reliability.md"
	@echo "make audit      hashes, licences, a bill of materials (.audit/sbom.json), known advisories"
	@echo "make mutants    which changes of the deciding and measuring code no test notices, hours (FILES=… some of it)"
	@echo "make coverage   the tests, with the branches that they reach; at least 95 % of the code that decides and measures"
	@echo "make lint       ruff, mypy, the import-layer test"
	@echo "make docs       what is made from the code (tables, schemas), and the pages as a web site: .docs/site/docs"
	@echo "make pictures   the pictures of the documentation, taken anew (after make test-real)"
	@echo "make bench      the benchmarks, beside the peers (installs them)"

setup: $(READY)

$(READY): requirements-dev.lock pyproject.toml
	python=$$(.ci/find-python $(PYTHON)) && "$$python" -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

demo: $(READY)
	$(BIN)/driftd demo

test: $(READY)
	$(BIN)/pytest -m "not real" -n $(TESTERS) --dist worksteal

test-pythons:
	tests/pythons

# Without parallel tests: its figures are times too.
torture: $(READY)
	DRIFTD_TORTURE=long DRIFTD_TORTURE_ROW=$(ROW) $(BIN)/pytest -p no:xdist tests/torture

audit: $(READY)
	test -x .audit/bin/pip-audit || $(BIN)/python -m venv .audit
	.audit/bin/pip install --quiet --disable-pip-version-check "pip-audit>=2.7,<3" "cyclonedx-bom>=5,<8"
	$(BIN)/python .ci/audit.py .audit/bin

# In a copy, mutants/: each change of one operator, number or name is held against the tests that reach it.
mutants: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check "mutmut>=3.8,<4"
	$(BIN)/mutmut run $(FILES)
	$(BIN)/mutmut results

# A target of its own: counting branches makes the tests about half as long again.
coverage: $(READY)
	$(BIN)/pytest -m "not real" -n $(TESTERS) --dist worksteal --cov --cov-report=term:skip-covered
	$(BIN)/python .ci/branches.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest tests/test_layers.py

test-real: $(READY)
	tests/real/install
	$(BIN)/pytest -m real

fuzz: $(READY)
	DRIFTD_FUZZ=1500 $(BIN)/pytest tests/real/test_api_fuzzed.py

pictures: $(READY)
	$(BIN)/python docs/pictures/make.py
	DRIFTD_PICTURES=1 $(BIN)/pytest tests/real/test_pictures.py

# The site is made by tools of their own, in .docs; what they warn of is an error.
docs: $(READY) .docs/.ready
	$(BIN)/python docs/write.py
	.docs/bin/sphinx-build -q -W -c docs . .docs/site
	@echo ".docs/site/docs/index.html"

.docs/.ready: requirements-docs.lock
	$(BIN)/python -m venv .docs
	.docs/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-docs.lock
	@touch .docs/.ready

bench: $(READY)
	$(BIN)/python -m benchmarks

# Needs uv; writes hashes only, never where packages come from. Spark's client is left out: tests/real/install has Spark.
EXTRAS := $(filter-out spark,$(shell sed -n '/^\[project.optional-dependencies\]/,/^\[dep/s/^\([a-z-]*\) = .*/\1/p' pyproject.toml))

lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-emit-find-links --no-annotate --no-header --extra postgres --extra github-app -o requirements.lock pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-emit-find-links --no-annotate --no-header $(EXTRAS:%=--extra %) --group dev -o requirements-dev.lock pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-emit-find-links --no-annotate --no-header --group docs -o requirements-docs.lock

clean:
	rm -rf $(VENV) .venv-3.* .docs .demo .real .bench .coverage*
