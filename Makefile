# The front door. The build itself is meson.build; this file only knows what people type.
# `make` builds the release program build/unpark from what `make deps` installed.

BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
FUZZ_SECONDS ?= 60
LOAD_SECONDS ?= 180
export UNPARK ?= $(BUILD)/unpark

.PHONY: all help deps check check-all unit house program demo exam load bench fuzz install format lint clean

all: $(BUILD)/sources ## build the program, build/unpark (the default)
	@ninja -C $(BUILD) --quiet unpark

help: ## list what can be made
	@sed -n 's/^\([a-z-]*\):.* ## \(.*\)/make \1\t\2/p' Makefile | expand -t 16

deps: ## install the Debian packages that building and testing need
	@tools/deps

# Configures once, and again whenever a source file came or went.
$(BUILD)/sources: always
	@if ! test -f $(BUILD)/build.ninja; then meson setup $(BUILD) >/dev/null; fi
	@tools/sources all >$@.new; \
	if cmp -s $@.new $@; then rm $@.new; \
	else meson setup --reconfigure $(BUILD) >/dev/null && mv $@.new $@; fi

.PHONY: always
always:

check: all unit house ## run all tests on a quick subset of Go toolchains
	@tests/toolchains.sh quick
	UNPARK_TOOLCHAINS=quick tests/run

check-all: all unit house ## run all tests on every Go toolchain from 1.18 on
	@tests/toolchains.sh all
	UNPARK_TOOLCHAINS=all tests/run

unit: $(BUILD)/sources ## run the unit tests alone
	@meson test -C $(BUILD) --print-errorlogs

house: ## run the checks of the house rules alone, and their tests
	@tools/house
	@python3 -m pytest -q tests/checks

demo: ## install what is missing, build, find the leaks of an example service
	@tools/deps
	@$(MAKE) --no-print-directory all
	@examples/demo.sh

exam: all ## take the exam of Go's own leak detection from outside, on every Go toolchain
	@tests/toolchains.sh all | awk '{ print $$2 }' | xargs tests/exam.py --unpark $(UNPARK) --report

load: all ## look for false proofs in real servers under load, LOAD_SECONDS (180) each
	UNPARK_LOAD_SECONDS=$(LOAD_SECONDS) python3 -m pytest -s -q tests/program/test_real_leaks.py

bench: all ## measure speed and memory beside the peers that are installed
	@ninja -C $(BUILD) --quiet bench-floor bench-launch
	@bench/run.py

fuzz: ## fuzz every parser for FUZZ_SECONDS (60) each
	@tools/fuzz $(FUZZ_SECONDS)

install: all ## install below PREFIX (/usr/local), staged in DESTDIR
	@meson setup --reconfigure $(BUILD) -Dprefix=$(abspath $(PREFIX)) >/dev/null
	@ninja -C $(BUILD) --quiet installable >$(BUILD)/install.log || { cat $(BUILD)/install.log; exit 1; }
	@DESTDIR=$(if $(DESTDIR),$(abspath $(DESTDIR))) meson install -C $(BUILD) --no-rebuild --quiet

format: ## format the C sources
	@tools/check-format --fix

lint: house ## run the house checks and clang-tidy
	@tools/tidy

clean: ## remove everything that was built
	@rm -rf build build-*
