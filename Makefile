# Everything a person or CI runs. Each target works alone in a fresh clone that has Python >= 3.10, Rust and make:
# it makes .venv, installs what it needs there, and builds the extension when the Rust sources have changed.

PYTHON ?= python3
CARGO  ?= cargo

VENV   := .venv
BIN    := $(VENV)/bin
STAMPS := $(VENV)/stamps
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

RUST := Cargo.toml Cargo.lock $(shell find crates -name '*.rs' -o -name Cargo.toml)
CODE := python tests examples $(wildcard benchmarks)

# maturin installs into the environment that these two name; an active conda would be a second, contradictory answer.
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
unexport CONDA_PREFIX

.DEFAULT_GOAL := help
.PHONY: help demo demo-train test test-long test-5gb test-gpu tuples fuzz lint format bench bench-encode bench-train bench-gpu \
	bench-sample golden docs build clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

demo: $(STAMPS)/extension  ## the whole way from text to batches, in about a minute
	$(BIN)/python examples/demo.py

demo-train: $(STAMPS)/dev $(STAMPS)/extension  ## from text to a model that writes, four minutes on two cores; installs PyTorch
	$(BIN)/python examples/demo_train.py

test: $(STAMPS)/dev $(STAMPS)/extension  ## the Rust tests, then the Python tests and every docstring example
	$(CARGO) test --locked -p tokenmill
	$(BIN)/python -m pytest

test-long: $(STAMPS)/dev $(STAMPS)/extension  ## only the tests that take minutes (marked long, or ignored in Rust)
	$(CARGO) test --locked --release -p tokenmill -- --ignored --skip six
	$(BIN)/python -m pytest -m long

# Files that pytest does not find by itself: `make test` never skips one.
test-gpu: $(STAMPS)/dev $(STAMPS)/extension  ## what only a GPU can show; fails where there is none
	$(BIN)/python -m pytest tests/gpu/cuda_*.py

test-5gb: $(STAMPS)/dev $(STAMPS)/extension  ## a document of 5 GB in one line, in bounded memory; ARGS="--folder DIR" for where 6 GB fit
	$(BIN)/python tests/long_document.py $(ARGS)

tuples:  ## the splitters on every string of six representative characters; half an hour
	$(CARGO) test --locked --release -p tokenmill --test split_oracle -- --ignored six

# Coverage for libFuzzer by a stable compiler: what cargo-fuzz passes, without the sanitizers, which need a nightly one.
# --target, so that build scripts and procedural macros are built without.
FUZZED  := split encode
SECONDS := 60
HOST     = $(shell rustc -vV | sed -n 's/^host: //p')
COVERAGE := --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1

fuzz:  ## random inputs against the definitions, guided by coverage: make fuzz SECONDS=60 FUZZED="split encode"
	RUSTFLAGS="$(COVERAGE)" $(CARGO) build --locked --release --manifest-path fuzz/Cargo.toml --target $(HOST)
	@set -e; for target in $(FUZZED); do \
		mkdir -p fuzz/corpus/$$target fuzz/artifacts/$$target; echo "== $$target, $(SECONDS) s"; \
		fuzz/target/$(HOST)/release/$$target fuzz/corpus/$$target -max_total_time=$(SECONDS) -max_len=2000 \
			-verbosity=0 -print_final_stats=1 -artifact_prefix=fuzz/artifacts/$$target/ \
			|| { echo "the input is in fuzz/artifacts/$$target; run the target on that file to repeat it" >&2; exit 1; }; \
	done

lint: $(STAMPS)/dev $(STAMPS)/extension  ## formatting, lints and types of both languages; changes nothing
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy --strict
	MYPYPATH=python:examples $(BIN)/mypy --strict examples/demo.py examples/demo_train.py examples/loaders/*.py
	$(BIN)/python -m mypy.stubtest tokenmill._core
	$(CARGO) fmt --check
	$(CARGO) fmt --check --manifest-path fuzz/Cargo.toml
	$(CARGO) metadata --locked --manifest-path fuzz/Cargo.toml --format-version 1 > /dev/null  # its lock file is up to date
	$(CARGO) clippy --locked --all-targets -- -D warnings

format: $(STAMPS)/dev  ## formats both languages and fixes what the linters can fix
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)
	$(CARGO) fmt

bench: $(STAMPS)/dev $(STAMPS)/extension  ## runs each benchmarks/*.py, one claim a file; of encoding, the short version
	@set -e; for file in $(filter-out benchmarks/_% benchmarks/encode.py benchmarks/train_gpu.py,$(wildcard benchmarks/*.py)); do \
		echo "== $$file"; $(BIN)/python $$file; done
	@echo "== benchmarks/encode.py"; $(BIN)/python benchmarks/encode.py --quick

# The peers' own environments lie in .bench and are made on first use. ARGS="--help" lists the choices.
bench-encode: $(STAMPS)/dev $(STAMPS)/extension  ## encoding against all peers, an hour; make bench-encode ARGS=--quick: minutes
	$(BIN)/python benchmarks/encode.py $(ARGS)

bench-train: $(STAMPS)/dev $(STAMPS)/extension  ## training against all peers; make bench-train ARGS="--texts en=en.jsonl.zst"
	$(BIN)/python benchmarks/train.py $(ARGS)

bench-sample: $(STAMPS)/dev $(STAMPS)/extension  ## batches against other loaders, their environments in .bench, warm and cold
	$(BIN)/python benchmarks/sample.py --cold --all $(ARGS)
	$(BIN)/python benchmarks/sample_start.py --all

bench-gpu: $(STAMPS)/dev $(STAMPS)/extension  ## training on one GPU: make bench-gpu ARGS="corpus.tm --size 124m 350m"
	$(BIN)/python benchmarks/train_gpu.py $(ARGS)

golden: $(STAMPS)/dev $(STAMPS)/extension  ## compares with recorded results on large corpora: make golden CORPORA=folder
	$(BIN)/python tests/golden/check.py $(CORPORA)

docs: $(STAMPS)/dev $(STAMPS)/extension  ## runs the code blocks of every Markdown page and follows its local links
	$(BIN)/python -m pytest tests/test_docs.py

build: $(STAMPS)/extension  ## .venv with tokenmill in it, ready to use

clean:  ## removes all that the other targets made
	rm -rf $(VENV) .bench target fuzz/target fuzz/corpus fuzz/artifacts .hypothesis .mypy_cache .pytest_cache \
		.ruff_cache python/tokenmill/_core*.so
	find python tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# The stamps: one empty file per finished step, so that a step is repeated only when what it read has changed.

# --group needs pip 25.1.
$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "tokenmill needs Python 3.10 or newer; name one: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade "pip>=25.1"
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/dev: $(STAMPS)/venv pyproject.toml
	$(PIP) install --group dev
	@touch $@

$(STAMPS)/maturin: $(STAMPS)/venv
	$(PIP) install "maturin>=1.16,<2"
	@touch $@

# Release mode: the demo and the tests see what users get. maturin also installs the run-time dependencies.
$(STAMPS)/extension: $(STAMPS)/maturin pyproject.toml $(RUST)
	$(BIN)/maturin develop --release --locked --group runtime
	@touch $@
