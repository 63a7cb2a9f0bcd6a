# All commands of this repository. `make demo` and `make test` need only this clone, python3 and
# make.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

LAB_NAME ?= kube-ha
LAB_MASTERS ?= 3
export LAB_NAME LAB_MASTERS LAB_SUITES LAB_KUBE_VERSION LAB_SCHEDULERS LAB_BINARIES LAB_BINARY_URL

VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH):/usr/local/go/bin
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export MOLECULE_GLOB := molecule/*/molecule.yml
S ?= default

LAB := python3 lab/lab.py
CACHE = $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/kube_ha_scheduler
# The shell searches for the newest cached kubectl, because make caches the result of $(wildcard).
KUBECTL = $(shell ls $(CACHE)/release/*/bin/linux/*/kubectl 2>/dev/null | tail -n 1)

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.ready: requirements/dev.txt lab/bootstrap
	@lab/bootstrap $(VENV) $<
	@touch $@

# The requirements of further environments, each with its own pins.
.cache/%/.ready: requirements/%.txt lab/bootstrap
	@lab/bootstrap .cache/$* $<
	@touch $@

.PHONY: tools
tools: $(VENV)/.ready ## Install .venv and the system packages

.PHONY: demo
demo: tools ## Deploy a highly available kube-scheduler on three hosts and schedule a pod
	@lab/demo

.PHONY: test
test: tools ## Run lint, Molecule and all other tests that take minutes, as CI does
	@python3 tests/steps.py lint binaries unit fuzz oldest \
	    'cores CORES=oldest' integration page molecule

# .github/workflows/nightly.yml runs the same steps, each as a job.
.PHONY: nightly
nightly: tools ## Run make test and the longer tests: all versions, default drill times, benchmark
	@python3 tests/steps.py test release-check \
	    'fuzz FUZZ_SECONDS=600 FUZZ_SEED=$(shell date +%s)' 'integration WHICH=nightly' \
	    'cores CORES=core-2.20' 'cores CORES=core-2.21' 'unit CORE=core-2.20' 'unit CORE=core-2.21' \
	    'molecule WHICH=' 'molecule CORE=oldest' 'molecule CORE=core-2.21' 'molecule S=repair' \
	    'molecule S=rotate WHICH=' 'molecule S=rotate WHICH= LAB_KUBE_VERSION=1.20.2' \
	    'molecule S=life' 'molecule S=external' \
	    'molecule S=adopt' 'molecule S=adopt LAB_KUBE_VERSION=1.20.2' 'molecule S=systems' \
	    'molecule S=monitoring' 'molecule S=monitoring LAB_KUBE_VERSION=1.30.14' \
	    'molecule S=monitoring LAB_KUBE_VERSION=1.20.2' \
	    versions drills clusters bench

.PHONY: lint
lint: tools ## Run ruff, mypy, yamllint, ansible-lint and further linters
	ruff check
	ruff format --check
	mypy -p ansible_collections.kube_ha.scheduler.plugins
	mypy lab tests molecule
	yamllint --strict .
	antsibull-changelog lint
	reuse lint --quiet || reuse lint
	ansible-lint --offline --profile production --strict
	@$(if $(VALE),$(MAKE) --no-print-directory prose,\
	    echo "lint: prose skipped: Vale is not installed; run make prose to build it")

# If PATH has no Vale, make builds the version that tests/prose/vale/go.mod pins.
VALE_BUILT = $(CACHE)/vale/3.25.1/vale
VALE = $(or $(shell command -v vale),$(wildcard $(VALE_BUILT)))
.PHONY: prose
prose: tools $(or $(VALE),$(VALE_BUILT)) ## Check pages, task names, messages and comments with Vale
	python3 -m tests.prose.check $(or $(VALE),$(VALE_BUILT))

$(VALE_BUILT):
	@python3 lab/need.py go=golang-go gcc=gcc
	mkdir -p $(@D)
	cd tests/prose/vale && GOTOOLCHAIN=local go build -o $@ github.com/vale-cli/vale/v3/cmd/vale

# By default, the figures cover the shipped code. FIGURES selects another directory for comparison.
FIGURES ?= plugins
.PHONY: figures
figures: tools ## Print figures about names and size of the code (FIGURES=DIRECTORY VERBOSE=-v)
	$(VENV)/bin/python tests/structure/figures.py $(VERBOSE) $(FIGURES)

.PHONY: unit
unit: $(if $(CORE),.cache/$(CORE)/.ready,tools) ## Run the unit tests (CORE=core-2.21)
	KUBECTL=$(KUBECTL) $(if $(CORE),.cache/$(CORE)/bin/python -m )pytest -q -n 2

# FUZZ_SECONDS is the total time of all parts. FUZZ_SEED selects the generated cases.
FUZZ_SECONDS ?= 30
FUZZ_SEED ?= 1
.PHONY: fuzz
fuzz: tools ## Test malformed options and hostile results (FUZZ_SECONDS=600 FUZZ_SEED=2)
	FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_SEED=$(FUZZ_SEED) \
	    pytest -q -n 2 -p no:hypothesispytest tests/fuzz

.PHONY: oldest
oldest: ## Run the unit tests with the oldest supported ansible-core and cryptography
	@$(MAKE) --no-print-directory unit CORE=oldest

# `integration` runs the same tests with the ansible-core of .venv. If this machine has no Python
# for a version, make skips that version with a message.
CORES ?= oldest core-2.20 core-2.21
.PHONY: cores
cores: tools ## Test the role on simulated hosts with each further ansible-core (CORES="…")
	@for core in $(CORES); do \
	    lab/bootstrap --find requirements/$$core.txt >/dev/null || \
	        { echo "cores: $$core skipped"; continue; }; \
	    $(MAKE) --no-print-directory .cache/$$core/.ready; \
	    grep ansible-core== requirements/$$core.txt; \
	    .cache/$$core/bin/python -m pytest -q -n 2 -m cores tests/integration/simulated; \
	done

# Each worker gets whole files, so that the fixtures create their certificates only once.
# WHICH is the value of pytest's option -m. If WHICH is empty, all tests run.
WHICH ?= not nightly
.PHONY: integration
integration: tools ## Test modules, and the role on simulated hosts (WHICH= also selects slow tests)
	@python3 lab/need.py cfssl=golang-cfssl go=golang-go
	@python3 lab/debs.py promtool >/dev/null
	pytest -q -rs -n 2 --dist loadfile -m "$(WHICH)" tests/integration \
	    --ignore tests/integration/leader_info

.PHONY: page
page: tools .cache/page/.ready ## Test the HTML pages of status and drill in headless Chromium
	@python3 lab/need.py chromium=chromium chromedriver=chromium-driver
	.cache/page/bin/python -m pytest -q -n 2 tests/page

.PHONY: binaries
binaries:
	@$(LAB) binaries

# Each clone and scenario has a separate lab, so that tests do not affect the demo or each other.
CLONE := $(shell pwd -P | cksum | cut -c1-6)

# make builds binaries and image first, because Molecule would hide the progress.
.PHONY: molecule
molecule: export LAB_NAME := kube-ha-test-$(CLONE)-$(S)
# The upgrade tests also need an older minor version.
molecule: export LAB_SCHEDULERS := $(if $(filter default upgrade,$(S)),1.36.1,$(LAB_SCHEDULERS))
# CORE applies to the runs of the tests. Molecule and its own deployment use the ansible-core of
# .venv.
molecule: export LAB_ANSIBLE_PLAYBOOK := $(if $(CORE),$(CURDIR)/.cache/$(CORE)/bin/ansible-playbook)
molecule: $(if $(CORE),.cache/$(CORE)/.ready)
molecule: tools binaries ## Run Molecule on containers (S=scenario CORE=oldest WHICH=)
	@$(LAB) image
	@$(if $(filter external adopt,$(S)),python3 lab/need.py cfssl=golang-cfssl openssl=openssl)
	KUBECTL=$(KUBECTL) PYTEST_ADDOPTS='-m "$(WHICH)" --durations=12' molecule test --scenario-name $(S)

# Each version has a separate lab, and the versions run in sequence. If a version is not in the
# cache, the lab downloads or builds that version, which takes minutes.
VERSIONS ?= 1.37.2 1.36.1 1.35.4 1.34.4 1.33.13 1.30.14 1.20.2
.PHONY: versions
versions: export LAB_NAME := kube-ha-versions-$(CLONE)
versions: tools ## Test every available Kubernetes version on three hosts (VERSIONS="…")
	@for version in $(VERSIONS); do \
	    export LAB_KUBE_VERSION=$$version; \
	    $(LAB) down; $(LAB) up; pytest -q -s -p no:cacheprovider molecule/default/version; \
	done
	@$(LAB) down

# The drills use the default election times. 1.20.2 does not release its lease when it stops.
DRILL_VERSIONS ?= 1.37.2 1.20.2
DRILL_ROUNDS ?= 1
.PHONY: drills
drills: export LAB_NAME := kube-ha-drills-$(CLONE)
drills: export DRILL_ROUNDS := $(DRILL_ROUNDS)
drills: tools ## Run every drill with the default times (DRILL_VERSIONS="…" DRILL_ROUNDS=5)
	@for version in $(DRILL_VERSIONS); do \
	    export LAB_KUBE_VERSION=$$version; \
	    $(LAB) down; $(LAB) up; pytest -q -s -p no:cacheprovider molecule/drill/nightly; \
	done
	@$(LAB) down

.PHONY: clusters
clusters: tools ## Measure 1 to 100 simulated clusters in one play; write docs/benchmark.md
	$(VENV)/bin/python tests/benchmark/clusters.py

# --- release

# This target does not upload the tarball. CONTRIBUTING.md describes the upload.
.PHONY: release-check
release-check: tools ## Run all release checks on the tarball
	@python3 tests/steps.py lint installed importer docs ee-check sanity

# Each check builds the tarball again, so that the check can run alone and never uses an old
# tarball.
TARBALL = $(shell ls $(CURDIR)/dist/*.tar.gz)

.PHONY: tarball
tarball: tools ## Build the tarball of a release with its changelog: dist/*.tar.gz
	python3 tests/release/tarball.py dist

.PHONY: installed
installed: tools tarball ## Install the tarball into an empty path and use the collection
	TARBALL=$(TARBALL) pytest -q -n 2 tests/integration/simulated/test_installed.py

# The target includes the two checks that Automation Hub adds. A warning is an error.
.PHONY: importer
importer: export GALAXY_IMPORTER_CHECK_REQUIRED_TAGS := true
importer: export GALAXY_IMPORTER_REQUIRE_V1_OR_GREATER := true
importer: export PATH := $(CURDIR)/.cache/importer/bin:$(PATH)
importer: tools tarball .cache/importer/.ready ## Run galaxy-importer on the tarball, as Galaxy does
	cd dist && python -m galaxy_importer.main $(TARBALL) | tee importer.log
	! grep -E '^(WARNING|ERROR)' dist/importer.log

# The item `tools` of CORES is the ansible-core of .venv.
.PHONY: sanity
sanity: CORES := tools $(CORES)
sanity: tools tarball ## Run ansible-test sanity with every ansible-core (CORES="tools …")
	@venvs=; for core in $(CORES); do \
	    [[ $$core != tools ]] || { venvs="$$venvs $(VENV)"; continue; }; \
	    lab/bootstrap --find requirements/$$core.txt >/dev/null || \
	        { echo "sanity: $$core skipped"; continue; }; \
	    $(MAKE) --no-print-directory .cache/$$core/.ready; venvs="$$venvs .cache/$$core"; \
	done; \
	python3 tests/release/sanity.py $(TARBALL) $$venvs

# The tarball is installed first, because `create` accepts requirements that do not exist.
.PHONY: ee-check
ee-check: tools tarball .cache/release/.ready ## Create an execution environment from the tarball
	rm -rf dist/ee
	cd dist && env -u ANSIBLE_CONFIG ANSIBLE_COLLECTIONS_PATH=ee/collections \
	    ansible-galaxy collection install --offline $(TARBALL)
	.cache/release/bin/ansible-builder introspect \
	    --write-pip dist/ee/python.txt --write-bindep dist/ee/system.txt dist/ee/collections
	grep cryptography dist/ee/python.txt
	grep openssh-client dist/ee/system.txt
	cp docs/examples/execution-environment.yml dist/ee/
	cp $(TARBALL) dist/ee/collection.tar.gz
	cd dist/ee && $(CURDIR)/.cache/release/bin/ansible-builder create
	test -f dist/ee/context/_build/collection.tar.gz

# antsibull-docs writes the pages of modules and role. A warning is an error.
.PHONY: docs
docs: export PATH := $(CURDIR)/.cache/docs/bin:$(PATH)
docs: tools tarball .cache/docs/.ready ## Build the documentation site: dist/docs/html/index.html
	rm -rf dist/docs
	mkdir -p dist/docs
	cp -r docs dist/docs/source
	mkdir dist/docs/source/collection
	tar -xzf $(TARBALL) -O CHANGELOG.rst >dist/docs/source/changelog.rst
	antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs all .
	antsibull-docs collection --use-current --squash-hierarchy --fail-on-error \
	    --dest-dir dist/docs/source/collection kube_ha.scheduler
	sphinx-build --quiet --fail-on-warning --keep-going --builder html \
	    dist/docs/source dist/docs/html

.PHONY: requirements
requirements: .cache/lock/.ready ## Pin all tools with hashes (UPGRADE= keeps fitting versions)
	@for set in $(basename $(wildcard requirements/*.in)); do \
	    least=$$(sed -nE 's/^# python >= (3\.[0-9]+)$$/\1/p' $$set.in); \
	    .cache/lock/bin/uv pip compile --quiet --universal --fork-strategy fewest \
	        --python-version $${least:-3.11} --generate-hashes $(UPGRADE) \
	        --custom-compile-command "make requirements" $$set.in --output-file $$set.txt; \
	    [[ -z $$least ]] || sed -i "1i # python >= $$least" $$set.txt; \
	done
UPGRADE = --upgrade

.PHONY: lab-up
lab-up: tools ## Start the lab: hosts with a real etcd and kube-apiserver
	@$(LAB) up

.PHONY: lab-down
lab-down: ## Remove the lab and its files
	@$(LAB) down

.PHONY: lab-status
lab-status: ## Show the containers of the lab and the health of its control plane
	@$(LAB) status

BENCH_ROUNDS ?= 5
BENCH_MASTERS ?= 3 12
.PHONY: bench
bench: export LAB_NAME := kube-ha-bench-$(CLONE)
bench: tools binaries .cache/bench/.ready ## Measure deployments and write docs/benchmark.md
	@python3 lab/need.py cfssl=golang-cfssl ssh=openssh-client
	$(VENV)/bin/python tests/benchmark/x509_cert.py .cache/bench/bin/ansible-playbook
	$(VENV)/bin/python tests/benchmark/deployment.py \
	    --rounds $(BENCH_ROUNDS) --masters "$(BENCH_MASTERS)"
