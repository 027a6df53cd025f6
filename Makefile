# Everything a developer runs. `make` alone lists it.

AGENTS ?= 1
ARGS ?=
BROKERS ?= localhost:9092
# `make sim` without FROM takes fresh seeds.
SEEDS ?= 200
MINUTES ?= 10
# `make up PROFILE=dev` builds faster and runs slower.
PROFILE ?= release
CARGO ?= cargo

target_dir := $(or $(CARGO_TARGET_DIR),target)
binaries := $(target_dir)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))
deployables := -p agent -p materializer-fn -p cache-sidecar

.DEFAULT_GOAL := help
.PHONY: help up build test lint fmt fmt-check clippy doc docs deny shellcheck oracle sim mutants chaos conformance audit localstack dist infra-test bench bench-full deps clean-data

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: deps build ## Run everything in the foreground: make up [AGENTS=2] [ARGS="--verbose"]; Ctrl-C stops it
	@$(binaries)/yaks-dev --agents $(AGENTS) $(ARGS)

build: ## Build what `make up` runs
	$(CARGO) build --profile $(PROFILE) $(deployables) -p dev-stack

# Settings of the shell that `make test` is typed in must not reach the programs under test.
without_settings := env $(patsubst %,-u %,$(filter YAKS_%,$(.VARIABLES)))

test: deps ## All tests; they start the Postgres they need
	$(CARGO) build --workspace --bins --examples
	$(without_settings) $(CARGO) test --workspace

lint: fmt-check clippy doc shellcheck ## All that finds fault without running

fmt: ## Format the code
	$(CARGO) fmt --all

fmt-check: ## Is the code formatted?
	$(CARGO) fmt --all --check

clippy: ## Lints, warnings denied
	$(CARGO) clippy --workspace --all-targets -- -D warnings

doc: ## Build the documentation, warnings denied
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps

docs: ## Write the generated tables of the documents anew
	YAKS_UPDATE_DOCS=1 $(CARGO) test --workspace --test documents

deny: ## Licences, bans and sources of dependencies, with cargo-deny if it is there
	@if command -v cargo-deny >/dev/null 2>&1; then \
		$(CARGO) deny check bans licenses sources; \
	else \
		echo "skipped: cargo-deny is not installed (cargo install cargo-deny)"; \
	fi

shellcheck: ## Lint shell scripts, with shellcheck if it is there
	@if command -v shellcheck >/dev/null 2>&1; then \
		shellcheck -x .ci/run crates/dev-stack/*.sh crates/sim/mutants/*.sh crates/conformance/*.sh crates/conformance/clients/*/*.sh infra/test/*.sh infra/dist/*.sh localstack/*.sh localstack/init/*.sh; \
	else \
		echo "skipped: shellcheck is not installed"; \
	fi

oracle: ## Check a running system: make oracle [BROKERS=host:port] [ARGS="--records 1000"]
	$(CARGO) run --release -p oracle -- --brokers $(BROKERS) $(ARGS)

# Debug binaries, with their assertions: what they cost is less than the wait for an optimizer.
sim: ## Clusters in virtual time with every fault, judged: make sim [SEEDS=2000] [FROM=1] or [SEED=7]
	$(CARGO) build --workspace --bins
	@$(target_dir)/debug/yaks-sim $(if $(SEED),--seed $(SEED),--seeds $(SEEDS) $(if $(FROM),--from $(FROM))) $(ARGS)

mutants: ## Does the simulator find each invariant broken on purpose? (an hour; `.ci/run` checks that the patches apply)
	@crates/sim/mutants/check.sh

# From here on all binaries are built, as the tests have them: each selection of packages has features of its own in sqlx and what stands
# on it, so that the next target would compile half of the dependencies anew.
chaos: deps ## The real programs under faults and load, judged: make chaos [MINUTES=10] [SEED=7]
	$(CARGO) build --profile $(PROFILE) --workspace --bins
	@$(binaries)/yaks-chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

conformance: deps ## Every Kafka client against one agent, two, two behind nginx: make conformance [CLIENTS=kcat,java-4] [LAYOUTS=one] [PROFILE=dev]
	@crates/conformance/install.sh $(target_dir)/conformance
	$(CARGO) build --profile $(PROFILE) --workspace --bins
	@$(without_settings) $(binaries)/yaks-conformance --installed $(target_dir)/conformance \
		$(if $(CLIENTS),--clients $(CLIENTS)) $(if $(LAYOUTS),--layouts $(LAYOUTS)) $(ARGS)

# The data of a run lie beside the programs, and are deleted when it went well.
bench_suite = $(binaries)/yaks-bench suite --data-dir $(target_dir)/bench --json $(target_dir)/bench/result.json $(if $(CASES),--cases $(CASES)) \
	$(if $(bench_function),--zip $(target_dir)/bench/materializer.zip) $(ARGS)
# The function is measured as it is deployed.
bench_function = $(if $(CASES),$(findstring function,$(CASES)),function)
bench_zip = $(if $(bench_function),infra/dist/zip.sh $(target_dir)/bench)

bench: deps ## What it costs and how long it takes, beside what is aimed at, in ten minutes: make bench [CASES=inline,cold]
	$(CARGO) build --profile $(PROFILE) --workspace --bins
	@$(bench_zip)
	@$(without_settings) $(bench_suite)

bench-full: deps ## The same as medians of five, written into docs/PERFORMANCE.md with plots; on a quiet machine, an hour
	$(CARGO) build --profile $(PROFILE) --workspace --bins
	@$(bench_zip)
	@$(without_settings) $(bench_suite) --runs 5 --document docs/PERFORMANCE.md --pictures docs/img

audit: ## Check the index of a live deployment against its bucket; the settings are the agent's: make audit [ARGS="--help"]
	$(CARGO) run --profile $(PROFILE) -p oracle -- audit $(ARGS)

# Compose where there is an engine and the plugin; a docker command alone runs nothing.
localstack: ## yaks on LocalStack, in Docker or, without it, on this machine; check it with localstack/smoke.sh
	@if docker compose version >/dev/null 2>&1 && docker info >/dev/null 2>&1; then \
		docker compose -f localstack/compose.yaml up --build; \
	else \
		$(MAKE) --no-print-directory deps build && YAKS_BINARIES=$(binaries) localstack/host.sh $(ARGS); \
	fi

dist: deps ## What is deployed, into dist/: programs for images, the function's zip and its cold start; lints the Dockerfile
	@infra/dist/programs.sh dist
	@infra/dist/zip.sh dist
	@infra/dist/check.sh dist

infra-test: deps ## Deploy infra/ on an emulated AWS, run the programs on it, destroy it; needs terraform
	@infra/test/run.sh

deps: # Install what is missing, with apt
	@crates/dev-stack/install.sh

clean-data: ## Delete everything `make up` has kept
	@crates/dev-stack/clean-data.sh
