# Linnet: every target installs what it is missing first. `make demo` and `make test` are all a fresh machine needs.
SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := $(CURDIR)/.libtorch
PYTHON := $(VENV)/bin/python3
SUDO := $(shell [ "$$(id -u)" = 0 ] || command -v sudo || true)
# LIBTORCH=/path uses a libtorch that is already installed (its include/ and lib/ directly below).
LIBTORCH ?=
TORCH_DIR = $(if $(LIBTORCH),$(LIBTORCH),$(shell echo $(VENV)/lib/python3*/site-packages/torch))
PKG_CONFIG_DIR := $(VENV)/pkgconfig
# Data sets for experiments: the shared copies where they are, else the user's cache (see `linnet data`).
DATA := $(wildcard $(CURDIR)/../shared/data)

# The two flags that any package depending on Linnet needs too: where libtorch.pc is, and where the program finds the libraries at run time.
SWIFT_FLAGS = --pkg-config-path $(PKG_CONFIG_DIR) -Xlinker -rpath -Xlinker $(TORCH_DIR)/lib

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

.PHONY: toolchain
toolchain:
	@command -v swift >/dev/null || { echo "error: no Swift toolchain on PATH; install Swift 6.1 or later from https://swift.org/install" >&2; exit 1; }

# Debian packages, only those that are missing.
.PHONY: packages
packages: toolchain
	@command -v dpkg-query >/dev/null || exit 0
	missing=""
	for package in pkg-config python3-venv libsqlite3-dev zlib1g-dev; do
	  dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' && continue
	  [ $$package = python3-venv ] && python3 -c 'import venv, ensurepip' 2>/dev/null && continue
	  missing="$$missing $$package"
	done
	[ -z "$$missing" ] && exit 0
	if [ "$$(id -u)" != 0 ] && [ -z "$(SUDO)" ]; then
	  echo "error: these Debian packages are missing and installing them needs root or sudo: apt-get install$$missing" >&2; exit 1
	fi
	$(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq$$missing

$(VENV)/.torch: requirements.txt | packages
	@if [ -n "$(LIBTORCH)" ]; then
	  [ -e "$(LIBTORCH)/include/ATen" ] || { echo "error: LIBTORCH=$(LIBTORCH) has no include/ATen; give the folder that holds libtorch's include/ and lib/" >&2; exit 1; }
	  mkdir -p $(VENV)
	else
	  [ -x $(PYTHON) ] || python3 -m venv $(VENV)
	  $(VENV)/bin/pip install --quiet -r requirements.txt
	fi
	touch $@

.PHONY: libtorch
libtorch: $(VENV)/.torch ## install libtorch into .libtorch and write libtorch.pc
	@mkdir -p $(PKG_CONFIG_DIR)
	libraries="-ltorch -ltorch_cpu -lc10"
	for library in torch_cuda c10_cuda; do [ -e $(TORCH_DIR)/lib/lib$$library.so ] && libraries="$$libraries -l$$library"; done
	cuda=""
	[ -e $(TORCH_DIR)/lib/libtorch_cuda.so ] && for folder in $(TORCH_DIR)/../nvidia/*/include $(or $(CUDA_HOME),/usr/local/cuda)/include; do [ -d $$folder ] && cuda="$$cuda -I$$folder"; done
	{ echo "Name: libtorch"; echo "Description: libtorch for Linnet"; echo "Version: 2.13.0"
	  echo "Cflags: -I$(TORCH_DIR)/include -I$(TORCH_DIR)/include/torch/csrc/api/include$$cuda"
	  echo "Libs: -L$(TORCH_DIR)/lib $$libraries"; } > $(PKG_CONFIG_DIR)/libtorch.pc.new
	cmp -s $(PKG_CONFIG_DIR)/libtorch.pc.new $(PKG_CONFIG_DIR)/libtorch.pc 2>/dev/null && rm $(PKG_CONFIG_DIR)/libtorch.pc.new || mv $(PKG_CONFIG_DIR)/libtorch.pc.new $(PKG_CONFIG_DIR)/libtorch.pc

$(VENV)/.peers: requirements-test.txt | libtorch
	@[ -x $(PYTHON) ] || python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet -r requirements-test.txt
	touch $@

# Optional: without it the application shows drawings in place of interactive plots.
$(VENV)/.web: requirements-web.txt | libtorch
	@[ -x $(PYTHON) ] || python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet -r requirements-web.txt || echo "note: requirements-web.txt could not be installed; plots are drawings"
	touch $@

.PHONY: web
web: build $(VENV)/.web ## serve the catalogue at http://127.0.0.1:8090
	.build/release/linnet web

.PHONY: bench-web
bench-web: build ## measure the web application with 100,000 papers and 500 readers
	python3 Benchmarks/peers/web.py

# A browser for the tests of the web application, where Debian has one.
.PHONY: chromium
chromium:
	@command -v chromium >/dev/null || ! command -v apt-get >/dev/null && exit 0
	if [ "$$(id -u)" != 0 ] && [ -z "$(SUDO)" ]; then echo "note: no chromium, and no root to install it; the browser's tests are skipped"; exit 0; fi
	$(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null \
	  || echo "note: chromium could not be installed; the browser's tests are skipped"

.PHONY: flags
flags: libtorch ## print the flags that a dependent package passes to swift build
	@echo "$(SWIFT_FLAGS)"

.PHONY: build
build: libtorch ## build the libraries and the command line, optimised
	swift build -c release --product linnet $(SWIFT_FLAGS)

.PHONY: demo
demo: build ## install what is missing, build, and run the two-minute tour
	.build/release/linnet demo

SLUGS ?= --all
.PHONY: reproduce
reproduce: build ## run experiments at small scale: make reproduce SLUGS="gla deltanet"; reports go to results/ and RESULTS.md
	@status=0
	LINNET_DATA="$${LINNET_DATA:-$(DATA)}" .build/release/linnet reproduce $(SLUGS) --scale small || status=$$?
	.build/release/linnet results write
	exit $$status

# Optional: a machine for which there is no such wheel runs the benchmarks without that peer.
$(VENV)/.bench-peers: requirements-bench.txt | $(VENV)/.peers
	@$(VENV)/bin/pip install --quiet -r requirements-bench.txt || echo "note: requirements-bench.txt could not be installed; train-step leaves MLX out"
	touch $@

.PHONY: bench
bench: $(VENV)/.bench-peers ## print speed ratios beside Python's torch and MLX, measured in one run
	swift build -c release --product linnet-bench $(SWIFT_FLAGS)
	LINNET_PYTHON=$(PYTHON) .build/release/linnet-bench $(or $(BENCHMARKS),$$(.build/release/linnet-bench | cut -f1))

.PHONY: test
# Two processes: what answers over sockets within time limits would wait behind the arithmetic that keeps all threads busy in the first.
SERVICE_TESTS := PapersTests|LinnetWebTests|ServingTests|CLITests.WebTests
test: $(VENV)/.peers $(VENV)/.web chromium ## run the whole suite
	swift build --build-tests $(SWIFT_FLAGS)
	LINNET_PYTHON=$(PYTHON) swift test --skip-build --skip '$(SERVICE_TESTS)' $(SWIFT_FLAGS)
	LINNET_PYTHON=$(PYTHON) swift test --skip-build --filter '$(SERVICE_TESTS)' $(SWIFT_FLAGS)

.PHONY: test-fixtures
test-fixtures: $(VENV)/.peers ## run the fixtures in LINNET_FIXTURES (default ../shared/fixtures) alone
	LINNET_PYTHON=$(PYTHON) swift test --filter FixtureTests $(SWIFT_FLAGS)

LIBRARIES := Torch NN Optim Training SequenceModels Efficiency Serving Experiments Papers LinnetWeb
DOCUMENTATION := .build/documentation
.PHONY: docs
docs: libtorch ## build the libraries' documentation into .build/documentation; a warning fails
	@docc=$$(command -v docc || xcrun --find docc) || { echo "error: the Swift toolchain on PATH has no docc" >&2; exit 1; }
	graphs=$$(swift build --show-bin-path $(SWIFT_FLAGS))/../symbolgraph
	rm -rf $$graphs $(DOCUMENTATION)
	swift package $(SWIFT_FLAGS) dump-symbol-graph --minimum-access-level public --skip-inherited-docs --emit-extension-block-symbols
	for library in $(LIBRARIES); do
	  own=$(DOCUMENTATION)/.symbols/$$library
	  mkdir -p $$own
	  find $$graphs/ -name "$$library.symbols.json" -exec cp {} $$own \; -o -name "$$library@*.symbols.json" -exec cp {} $$own \;
	  $$docc convert Sources/$$library/$$library.docc --additional-symbol-graph-dir $$own --output-path $(DOCUMENTATION)/$$library \
	    --fallback-display-name $$library --fallback-bundle-identifier linnet.$$library --warnings-as-errors
	done
	echo "to read one: python3 -m http.server --directory $(DOCUMENTATION)/SequenceModels, then http://localhost:8000/documentation/sequencemodels"

.PHONY: test-dependent
test-dependent: libtorch ## build and run a package that depends on Linnet
	swift run --package-path Tests/Dependent $(SWIFT_FLAGS)

.PHONY: format
format: toolchain ## lay the sources out
	swift format --in-place --recursive --parallel Package.swift Sources Tests/*Tests Tests/TestSupport Tests/Dependent/Package.swift Tests/Dependent/Sources Benchmarks

.PHONY: lint
lint: toolchain ## check the layout and the style rules
	swift format lint --strict --recursive --parallel Package.swift Sources Tests/*Tests Tests/TestSupport Tests/Dependent/Package.swift Tests/Dependent/Sources Benchmarks

.PHONY: clean
clean: ## remove build products; .libtorch stays
	rm -rf .build .build-* Tests/Dependent/.build
