# `make run` is the way in, `make test` is everything that must hold; `make help` lists the parts.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:
.DEFAULT_GOAL := help

CARGO_DENY := 0.20.2
DENY := target/tools/cargo-deny-$(CARGO_DENY)/bin/cargo-deny
VENV := target/venv

# What each step is about, above what it prints.
say = @printf '\n\033[1m== %s\033[0m\n' "$(1)"

.PHONY: help run build test fmt clippy deny codegen unit e2e soak soak-upgrades soak-store setup compare compare-protocols bench-check

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: ## install what the build lacks, build, and run a complete example on 127.0.0.1:8080; ARGS='--listen …' for `dev`
	@scripts/setup build
	$(call say,Build the release binary)
	cargo build --release --locked --bin portcullis
	@exec target/release/portcullis dev $(ARGS)

build: ## build the binary that the tests run
	cargo build --locked --bin portcullis

test: setup fmt clippy deny codegen unit e2e ## run everything that must hold
	$(call say,All of it holds)

setup:
	@scripts/setup test

fmt: ## formatting
	$(call say,Formatting)
	cargo fmt --all --check

clippy: ## lints; a warning is an error
	$(call say,Lints)
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy -p portcullis-fuzz --features soak --bin soak --locked -- -D warnings

deny: $(DENY) ## who may depend on what, licences, sources
	$(call say,Dependencies: who may name what; licences; sources)
	$(DENY) --locked check --hide-inclusion-graph bans licenses sources

# Unoptimised: it runs for seconds and would build for minutes.
$(DENY):
	$(call say,Install cargo-deny $(CARGO_DENY))
	cargo install --quiet --debug --locked --root target/tools/cargo-deny-$(CARGO_DENY) cargo-deny@$(CARGO_DENY)

codegen: $(VENV)/ready ## generated code and the ledger are what their sources give
	$(call say,Generated code)
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" cargo xtask codegen --check

unit: ## unit tests, fuzz targets over their corpora, and the store suite on SQLite and PostgreSQL
	$(call say,Unit tests; fuzz targets; the store suite on SQLite and PostgreSQL)
	cargo test --workspace --locked

e2e: $(VENV)/ready ## end to end: the real binary under boto3, the AWS CLI and pycognito
	$(call say,End to end)
	cargo build --locked --bin portcullis
	$(VENV)/bin/python -m pytest tests/e2e

compare: $(VENV)/ready ## speed beside bare Pingora, nginx and HAProxy, on a quiet machine; ARGS='--memory' for memory too
	@scripts/setup compare
	$(call say,Build what is compared)
	cargo build --profile dist --locked -p portcullis --bin portcullis --example bare
	$(call say,Compare)
	$(VENV)/bin/python benches/compare/compare.py $(ARGS)

compare-protocols: $(VENV)/ready ## HTTP/2, gRPC, large answers and silent WebSockets beside bare Pingora, on a quiet machine
	@scripts/setup compare
	$(call say,Build what is compared)
	cargo build --profile dist --locked -p portcullis --bin portcullis --example bare
	$(VENV)/bin/python benches/compare/protocols.py $(ARGS)

soak: ## give each fuzz target a million mutated cases; TARGETS='admission routes', CASES=N, LIMIT=seconds
	@scripts/setup build
	@scripts/soak $(TARGETS)

soak-upgrades: $(VENV)/ready ## a hundred upgrades and reloads of the release binary under load; UPGRADES=N, RELOADS=N, ANSWERS=N between two
	@scripts/setup build
	cargo build --release --locked --bin portcullis
	PORTCULLIS_BIN=target/release/portcullis UPGRADES=$(or $(UPGRADES),100) RELOADS=$(or $(RELOADS),100) \
		ANSWERS=$(or $(ANSWERS),500) $(VENV)/bin/python -m pytest tests/e2e/test_upgrades.py -k under_load -s -q

soak-store: $(VENV)/ready ## how soon the release binary is ready again after kill -9 on a store of a million users; USERS=N, READY=seconds
	@scripts/setup build
	cargo build --release --locked --bin portcullis
	PORTCULLIS_BIN=target/release/portcullis USERS=$(or $(USERS),1000000) READY=$(or $(READY),0.15) \
		$(VENV)/bin/python -m pytest tests/e2e/test_large_store.py -s -q

bench-check: ## instructions of each stage of a request's way, held against a budget; UPDATE=1 writes the budget anew
	@scripts/setup bench-check
	$(call say,Count instructions)
	cargo bench --profile release --locked -p portcullis-benches --bench instructions

# Marked ready only when all of it is installed; a changed list makes it anew.
$(VENV)/ready: tests/requirements.txt
	$(call say,Install the tests' Python packages)
	rm -rf $(VENV)
	python3 -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement $<
	@touch $@
