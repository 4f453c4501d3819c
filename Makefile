# Front door: each target installs what it lacks, configures a preset of CMakePresets.json, builds
# it in build/<preset> and runs something.  `make help` lists them.  What the build prints goes to
# stderr, so that `make run` prints what the program prints.

PREFIX  ?= /usr/local
DESTDIR ?=
PROGRAM ?=
ARGS    ?=
TESTS   ?=
WERROR  ?=
SECONDS ?= 60
AFL     ?=
JOBS    ?= $(shell nproc 2>/dev/null || echo 2)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.SUFFIXES:

# $(call configure,preset): Ninja, unless the directory is there already and uses something else.
configure = if [ ! -e build/$(1)/CMakeCache.txt ] && command -v ninja >/dev/null; then \
                generator="-G Ninja"; fi; \
            cmake --preset $(1) $$generator $(if $(WERROR),-D ASYNCIO_WERROR=$(WERROR)) >/dev/null
# $(call build,preset,targets)
build = @$(call configure,$(1)) && \
        cmake --build build/$(1) --parallel $(JOBS) $(if $(2),--target $(2)) >&2
# $(call test,preset): the suites; TESTS=regex chooses some.  Then what was skipped, and why.
test = @ctest --preset $(1) --parallel $(JOBS) $(if $(TESTS),-R '$(TESTS)'); status=$$?; \
       python3 tools/skips.py build/$(1)/Testing/Temporary/LastTest.log && exit $$status

##@ What everybody needs

.PHONY: run
run: setup ## build, and run the showcase; or PROGRAM=file.c, with ARGS="..."
ifeq ($(PROGRAM),)
	$(call build,release,example_showcase)
	@build/release/examples/showcase $(ARGS)
else
	$(call build,release,asyncio_static asyncio_tls_static)
	@mkdir -p build/run
	@$(or $(CC),cc) -std=c11 -D_GNU_SOURCE= -O2 -g -Wall -Wextra -Iinclude '$(PROGRAM)' \
	    -o 'build/run/$(basename $(notdir $(PROGRAM)))' build/release/libasyncio-tls.a \
	    build/release/libasyncio.a -pthread -lm -Wl,--as-needed -lssl -lcrypto
	@'build/run/$(basename $(notdir $(PROGRAM)))' $(ARGS)
endif

.PHONY: test
test: setup ## every suite on every back end, with fault injection built in; TESTS=regex
	$(call build,dev)
	$(call test,dev)

.PHONY: install
install: setup ## install below PREFIX (/usr/local), staged in DESTDIR
	$(call build,release)
	@DESTDIR='$(DESTDIR)' cmake --install build/release --prefix '$(PREFIX)'
	@if [ -z '$(DESTDIR)' ] && [ "$$(id -u)" = 0 ]; then ldconfig; fi

##@ For those who change it

.PHONY: bench
bench: setup ## run the benchmarks
	$(call build,release,bench)
	@if [ -x bench/run ]; then exec bench/run $(ARGS); fi; \
	 for program in build/release/bench/*; do \
	     if [ -f "$$program" ] && [ -x "$$program" ]; then \
	         echo "== $${program##*/}"; "$$program" $(ARGS) || exit 1; fi; \
	 done

.PHONY: rules
rules: ## which rules of asyncio the tests name; fails if one is lacking
	@python3 tools/rules.py --require

.PHONY: asan tsan asan-clang tsan-clang
asan tsan: setup ## the suites under AddressSanitizer with UBSan; under ThreadSanitizer
	$(call build,$@)
	$(call test,$@)
asan-clang tsan-clang: setup-all ## the same, compiled by clang
	$(call build,$@)
	$(call test,$@)

.PHONY: sanitize
sanitize: asan tsan asan-clang tsan-clang ## all four

.PHONY: torture
torture: setup ## every test: fail at every call, cancel at every suspension; ARGS=word
	$(call build,dev)
	@python3 tests/torture/run.py build/dev $(ARGS)

.PHONY: fuzz
fuzz: setup-all ## libFuzzer, or AFL++ with AFL=1, on each target for SECONDS=60; ARGS=target
	$(call build,$(fuzz_preset),fuzz)
	@python3 tests/fuzz/run.py build/$(fuzz_preset) $(if $(AFL),--afl) --seconds $(SECONDS) $(ARGS)

.PHONY: soak
soak: setup ## a server under churn, resets and TLS for SECONDS=60: do memory, descriptors grow?
	$(call build,dev,soak)
	@build/dev/tests/soak/soak $(SECONDS)

.PHONY: differential
differential: setup ## random programs here and on CPython 3.13 or later; ARGS="--programs 100000"
	$(call build,dev,differential)
	@python3 tests/differential/run.py build/dev/tests/differential/differential $(ARGS)

SHARE ?= 1
.PHONY: prove
prove: setup ## all of that for some twenty minutes, and one table; ten times as long with SHARE=10
	$(call build,dev)
	@python3 tests/prove.py build/dev --share $(SHARE) $(ARGS)

.PHONY: matrix
matrix: ## every compiler, sanitizer, processor and C library; ARGS=word
	@tools/setup.sh --matrix
	@python3 tools/matrix.py $(ARGS)

.PHONY: planted
planted: setup ## plant one bug after the other: is it noticed?  ARGS="word --by suite"
	@python3 tests/planted/run.py $(ARGS)

.PHONY: simulation
simulation: setup ## servers and clients on a simulated network, by seeds; ARGS="--seeds 100000"
	$(call build,dev,simulate)
	@python3 tests/simulation/run.py build/dev $(ARGS)

COVERAGE_RUNS ?= 20
.PHONY: coverage
coverage: setup-all ## which branches of src/ the tests run, and COVERAGE_RUNS=20 of torture of each
	$(call build,coverage)
	$(call build,coverage-torture)
	@rm -f build/coverage/profiles/* build/coverage-torture/profiles/*
	@ctest --preset coverage --parallel $(JOBS) -E 'house|gate|refused/sysctl'
	@ctest --preset coverage-torture --parallel $(JOBS) -E 'house|gate|refused|world|scale|twins'
	@for backend in epoll uring poll sim; do \
	    python3 tests/torture/run.py build/coverage-torture --max $(COVERAGE_RUNS) \
	        --backend $$backend || exit 1; done
	@python3 tools/coverage.py $(ARGS) build/coverage build/coverage-torture

.PHONY: tidy
tidy: setup-all ## clang's warnings, clang-tidy, and the rules of the house
	$(call build,tidy)
	@python3 tools/tidy.py

fuzz_preset = fuzz$(if $(AFL),-afl)

sources = git ls-files -co --exclude-standard '*.[ch]' ':!:docs'
.PHONY: format format-check
format: setup-all ## lay out every C file as .clang-format says
	@$(sources) | xargs clang-format -i
format-check: setup-all
	@$(sources) | xargs clang-format --dry-run -Werror

.PHONY: clean
clean: ## remove build/
	rm -rf build

.PHONY: setup setup-all
setup:
	@tools/setup.sh
setup-all:
	@tools/setup.sh --all

.PHONY: help
help:
	@awk 'BEGIN { FS = ":.*##" } \
	    /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	    /^[a-z -]+:.*##/ { printf "  make %-22s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
