# make setup | demo | test | lint | audit | bench NAME=demo | stubs | lock | clean
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Embedded means nothing leaves the machine: the libraries' own reporting is off.
export RAY_USAGE_STATS_ENABLED = 0
export MLFLOW_DISABLE_TELEMETRY = true

.PHONY: setup demo test lint audit bench stubs lock clean

setup: $(READY)

$(READY): pyproject.toml .ci/constraints.txt proto/generate.py $(wildcard proto/interplay/v1/*.proto)
	@echo "Setting up $(VENV) (once; about two minutes)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -qq --disable-pip-version-check --no-compile \
		--constraint .ci/constraints.txt --editable '.[cpu,training,dev]'
	@touch $@

stubs: $(READY)
	$(BIN)/python proto/generate.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/bandit -q -c pyproject.toml -r features serving training
	.ci/secrets

# Asks PyPI which of our versions have known vulnerabilities; fails where one cannot be asked for.
AUDITOR := .interplay/pip-audit
audit:
	@test -x $(AUDITOR)/bin/pip-audit || { $(PYTHON) -m venv $(AUDITOR) && \
		$(AUDITOR)/bin/pip install -qq --disable-pip-version-check pip-audit==2.10.1; }
	$(AUDITOR)/bin/pip-audit --strict --requirement .ci/constraints.txt --no-deps --disable-pip

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/bandit -q -c pyproject.toml -r features serving training
	$(BIN)/pytest --numprocesses 3 --dist loadfile

# DATA=../path/to/tmall runs on real interactions instead of simulated ones.
demo: $(READY)
	@$(BIN)/python -m benchmarks.walkthrough $(if $(DATA),--data $(DATA))

bench: $(READY)
	@test -f benchmarks/$(subst -,_,$(NAME)).py || { \
		echo "make bench NAME=<one of: ablation cold decision demo faults features gpu history memory overload precision quality retraining scoring serving serving-peers soak streaming swap training>"; \
		exit 2; }
	@$(BIN)/python -m benchmarks.$(subst -,_,$(NAME)) $(ARGS)

# Renews the versions that everything is installed and tested with.
lock:
	rm -rf $(VENV) && $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[cpu,training,dev]'
	$(BIN)/pip freeze --exclude-editable | sed 's/+cpu$$//' | grep -v ' @ ' > .ci/constraints.txt
	touch $(READY)

clean:
	rm -rf $(VENV) .interplay .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
