# qsketch: `make` prints the targets. The work is done by cargo and by the scripts in infra/.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Which local stack (its folder is .local/$STACK), and which cargo profile its binaries have.
STACK ?= dev
PROFILE ?= dev
export STACK PROFILE

# The prompt goes through the environment as it was typed: neither make nor the shell reads quotes, dollars or line breaks in it.
PROMPT ?= Explain the Pythagorean theorem
override QSKETCH_PROMPT := $(value PROMPT)
export QSKETCH_PROMPT
unexport PROMPT

# What is measured: the number of jobs at one in flight, and with more; see `qsketch-bench run --help`.
BENCH ?= ministack
WAYS = --ways queues$(,)handed-on$(,)unclaimed$(,)handed-on-unclaimed
BENCH_LOADS = --in-flight 1$(,)8$(,)32$(,)64 $(WAYS) $(if $(filter fast,$(BENCH)),--jobs 500$(,)2000 --queued 100x20$(,)10000 --soak 20000,--jobs 100$(,)500)
, := ,

# How many simulated schedules, from which seed on, and in which broken world (none when empty).
N ?= 20000
SEED ?= 0
BROKEN ?=

# How many inputs each target of the fuzzers gets.
CASES ?= 1000000

# How many jobs go through the chaos of SEED.
JOBS ?= 200

# What the Rust tests need to start their own emulators and renders.
ROOT := $(CURDIR)
TEST_ENV = QSKETCH_MINISTACK="$(ROOT)/infra/ministack" QSKETCH_MANIM_PYTHON="$(ROOT)/.local/_venv/manim/bin/python"

.PHONY: help setup up down demo test bench simulate fuzz chaos check build clean

help: ## print the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo '  STACK=name takes another local stack than dev; PROFILE=release builds optimised binaries.'

setup: ## install what is missing: Debian packages, Manim, MiniStack, tools
	@infra/setup all

up: ## bring the local stack up: MiniStack, queues, table, functions, workers
	@infra/setup build stack render
	@infra/up

down: ## end the local stack; its jobs and videos are gone with it
	@infra/down

demo: ## turn a prompt into demo/out.mp4 on the local stack; PROMPT="..." takes yours
	@infra/setup build stack render
	@infra/up
	@infra/demo

bench: ## measure the coordination on MiniStack; BENCH=fast on ElasticMQ and dynoxide, and wide steps and lists
	@infra/setup build stack $(if $(filter fast,$(BENCH)),fast)
	@echo 'bench: the release build (minutes from nothing)'
	@cargo build --quiet --release --locked -p qsketch-bench
	@cargo run --quiet --release --locked -p qsketch-bench -- run --stack $(BENCH) $(BENCH_LOADS) --keep
	@$(if $(filter fast,$(BENCH)),for what in wide list; do cargo run --quiet --release --locked -p qsketch-bench -- $$what --keep; done)

simulate: ## run N simulated schedules from SEED on (20000 from 0); each seed replays exactly
	@infra/setup build
	@echo 'simulate: the build (minutes from nothing)'
	@cargo build --quiet --locked -p qsketch-simulation
	@cargo run --quiet --locked -p qsketch-simulation -- --schedules $(N) --seed $(SEED) $(if $(BROKEN),--broken $(BROKEN))

fuzz: ## give CASES (1000000) damaged and invented inputs, drawn from SEED, to everything that reads input
	@infra/setup build
	@echo 'fuzz: the build (minutes from nothing)'
	@cargo build --quiet --release --locked -p qsketch-faults
	@cargo run --quiet --release --locked -p qsketch-faults -- --cases $(CASES) --seed $(SEED)

chaos: ## run JOBS jobs (200) on a local stack while processes, network, queues, disks, clocks fail by SEED
	@infra/setup build stack
	@echo 'chaos: the build (minutes from nothing)'
	@cargo build --quiet --locked -p qsketch-chaos
	@$(TEST_ENV) cargo run --quiet --locked -p qsketch-chaos -- --seed $(SEED) --jobs $(JOBS) $(if $(BROKEN),--broken $(BROKEN))

build: ## build everything, tests too
	@echo 'build: all crates and tests (minutes from nothing)'
	@cargo build --quiet --locked --workspace --all-targets

check: ## formats, lints, docs, licences, templates
	@infra/setup build check
	@infra/check

test: ## everything: check, unit, model, conformance, and videos through a deployed local stack
	@infra/setup all
	@infra/check
	@$(MAKE) --no-print-directory build
	@echo 'test: the scripts in infra'
	@.local/_venv/ministack/bin/python -B -m unittest discover --start-directory infra/tests
	@echo 'test: the crates'
	@$(TEST_ENV) cargo test --quiet --locked --workspace

clean: ## end all local stacks of this clone, and remove all that was built or installed in it
	@infra/down --all
	@cargo clean --quiet
	@rm -rf .local demo/out*
