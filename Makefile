# make demo    the main job, on embedded defaults: a question as text and as speech, answered over loopback
# make test    every gate and every test, of every language whose toolchain is there
# make docs    the documentation site, in build/site; strict, and every link is checked
# make deployment  the tables of docs/deployment.md and docs/proxies.md: servers and proxies, tried on loopback; pipecat
# make packages  what is released, built and tried in clean environments; other versions of our readers' packages
# make bench   benchmarks/results.md, and README's table from it
# make fuzz    a minute of libFuzzer: half on the C client's codec, half on the C extension beside the pure codec
# make soak    five minutes of mixed abuse of the reference application, and stored streams while servers and Redis fail
# make format  what the formatters would have it be

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := objectstreaming object_streaming wav_streaming tests examples benchmarks fuzz docs setup.py \
	$(wildcard clients/*.py clients/*/tests/*.py)
SPELLED := $(SOURCES) $(wildcard *.md clients/*.md clients/*/README.md spec/*.md) tools mkdocs.yml pyproject.toml Makefile

.DEFAULT_GOAL := help
.PHONY: help demo test lint types python python-native python-rest python-pure sanitize bench deployment fuzz fuzz-c fuzz-native clients conformance docs workflows sdist wheels format clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is wanted, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)

BUILT_FROM := pyproject.toml setup.py clients/c/objectstreaming.h $(wildcard objectstreaming/native/*.[ch])

$(VENV)/.demo: $(BIN)/python $(BUILT_FROM)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
	@touch $@

$(VENV)/.dev: $(BIN)/python $(BUILT_FROM)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.demo

$(VENV)/.fuzz: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	@touch $@

demo: $(VENV)/.demo
	@command -v espeak-ng >/dev/null || command -v flite >/dev/null || tests/programs espeak-ng flite
	$(BIN)/objectstreaming demo

test: programs lint types workflows python sanitize clients conformance
	@echo "make test: all gates passed"

.PHONY: programs
programs:
	tests/programs espeak-ng flite ffmpeg sox chromium clang redis-server jq curl tshark nginx

lint: $(VENV)/.dev
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/codespell $(SPELLED)

types: $(VENV)/.dev
	$(BIN)/mypy

# The whole suite, doctests and README included, on the native codec, and on the pure one all that depends on which codec it
# is. The codec's modules are covered to the last branch by their own tests, on both; the rest runs without the measuring,
# which doubles its time. Three at a time: much of it is waiting.
python: $(VENV)/.dev node-packages
	@$(BIN)/python -c 'from objectstreaming.frames import CODEC; assert CODEC == "native", "the C extension was not built: is there a compiler?"'
	@rm -f .coverage.native .coverage.pure
	@$(MAKE) --no-print-directory -j3 --output-sync=target python-rest python-codec-native python-codec-pure python-native python-pure
	$(BIN)/python -m coverage combine --quiet .coverage.native .coverage.pure
	$(BIN)/python -m coverage report --fail-under=100 --show-missing

# For eventsource-parser, which reads views in tests/server/test_view_readers.py, and for the folders that have packages.
.PHONY: node-packages
node-packages:
	@! command -v npm >/dev/null || $(MAKE) --no-print-directory -C clients/typescript node_modules/.package-lock.json
	@! command -v npm >/dev/null || $(MAKE) --no-print-directory tests/peers/node_modules/.package-lock.json \
		tests/kaitai/node_modules/.package-lock.json

%/node_modules/.package-lock.json: %/package.json %/package-lock.json
	npm --prefix $* ci --silent
	@touch $@

# The peers' readers of our views, with the other version of the AI SDK.
.PHONY: packages-peers
packages: packages-peers
packages-peers: $(VENV)/.dev tests/peers/ai7/node_modules/.package-lock.json
	OBJECTSTREAMING_PEERS=ai7 $(BIN)/python -m pytest -q tests/peers

PYTEST := $(BIN)/python -m pytest --durations=10
CODEC_TESTS := tests/codec tests/client/test_interrupted.py objectstreaming wav_streaming
# What else depends on which codec runs. The mutants of the conformance suite have a codec of their own.
USES_OF_THE_CODEC := tests/client tests/conformance tests/duplex tests/server tests/testing

python-codec-native:
	COVERAGE_FILE=.coverage.native $(PYTEST) --cov --cov-report= $(CODEC_TESTS)

python-codec-pure:
	OBJECTSTREAMING_PURE=1 COVERAGE_FILE=.coverage.pure $(PYTEST) --cov --cov-report= $(CODEC_TESTS)

python-native:
	$(PYTEST) $(USES_OF_THE_CODEC) --ignore=tests/client/test_interrupted.py

python-pure:
	OBJECTSTREAMING_PURE=1 $(PYTEST) $(USES_OF_THE_CODEC) --ignore=tests/client/test_interrupted.py -k 'not mutant'

python-rest:
	$(PYTEST) tests object_streaming $(addprefix --ignore=,tests/codec $(USES_OF_THE_CODEC))

# The native codecs under AddressSanitizer and UndefinedBehaviorSanitizer.
sanitize: $(VENV)/.dev
	PYTHON=$(BIN)/python tests/sanitize.sh

clients:
	clients/each build test

conformance: $(VENV)/.dev
	$(BIN)/objectstreaming conformance --all

# The first test builds the site. The suite has these tests too (tests/project), so `make test` does not come here.
docs: $(VENV)/.dev
	$(BIN)/python -m pytest -q tests/project/test_site.py tests/project/test_docs.py

# actionlint is a program in Go; its module is fetched once.
ACTIONLINT := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
workflows:
	@if command -v go >/dev/null; then go run $(ACTIONLINT); \
	elif [ "$$CI" = true ]; then echo "MISSING TOOLCHAIN: go, for actionlint" >&2; exit 1; \
	else echo "MISSING TOOLCHAIN: go; the workflows are NOT CHECKED" >&2; fi

# What is released: dist/*.tar.gz, and on each system that system's wheels (pyproject.toml, [tool.cibuildwheel]).
sdist: $(VENV)/.dev
	$(BIN)/python -m build --sdist --outdir dist

wheels:
	$(PYTHON) -m pip install --quiet --disable-pip-version-check 'cibuildwheel>=3,<5'
	$(PYTHON) -m cibuildwheel --output-dir dist

# What is released, built and installed where nothing of this checkout is.
.PHONY: packages packages-python packages-typescript packages-rust packages-c packages-go packages-java
packages: packages-python packages-typescript packages-rust packages-c packages-go packages-java

packages-python:
	tests/wheels.sh
	tests/extras.sh

packages-typescript packages-rust packages-c packages-go packages-java: packages-%: $(VENV)/.dev
	$(MAKE) -C clients/$* packages

# Tries every server and proxy, and writes the tables of docs/deployment.md and docs/proxies.md: 17 minutes beside other work.
# Then a pipeline of pipecat's, whose environment is half a gigabyte.
deployment: $(VENV)/.dev
	CI=true tests/programs nginx caddy haproxy
	PYTHONPATH=tests:tests/deployment $(BIN)/python tests/deployment
	test -d .venv-pipecat || $(PYTHON) -m venv .venv-pipecat
	.venv-pipecat/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[server,client]' 'pipecat-ai>=1.3,<2'
	.venv-pipecat/bin/python tests/deployment/pipecat_bot.py 2>/dev/null

# Writes benchmarks/results.md and README's table, in about twelve minutes; valgrind counts the instructions.
# Then prints what stores cost.
bench: $(VENV)/.dev
	tests/programs valgrind || true  # without it the column of instructions is empty, and says why
	test -d .venv-bench || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	PYTHONPATH=. .venv-bench/bin/python -m benchmarks
	$(BIN)/python benchmarks/stores.py

# A minute of libFuzzer, half of it each; more with FUZZ_SECONDS=... Debian has the runtime that fuzz-c links in
# libclang-rt-*-dev; that of fuzz-native comes with atheris.
FUZZ_SECONDS ?= 60
fuzz: fuzz-c fuzz-native

fuzz-c: programs
	$(MAKE) -C clients/c fuzz FUZZ_SECONDS=$$(($(FUZZ_SECONDS) / 2))

fuzz-native: programs $(VENV)/.fuzz
	PYTHON=$(BIN)/python fuzz/native_and_pure.sh -max_total_time=$$(($(FUZZ_SECONDS) / 2))

SOAK_SECONDS ?= 300
.PHONY: soak
soak: $(VENV)/.dev
	$(BIN)/python tests/soak/abuse.py $(SOAK_SECONDS)
	$(BIN)/python tests/soak/streams.py
	$(BIN)/python -m pytest -q tests/store/redis_topologies.py

format: $(VENV)/.dev
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

clean:
	rm -rf $(VENV) build dist .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
