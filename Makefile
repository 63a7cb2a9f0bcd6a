# Everything that a person types. `make demo` and `make test` need nothing but this clone, python3 and make.
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
# The newest kubectl that is there, to compare with; looked for when it is used, for make remembers what $(wildcard) saw.
KUBECTL = $(shell ls $(CACHE)/release/*/bin/linux/*/kubectl 2>/dev/null | tail -n 1)

.PHONY: help
help: ## Say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.ready: requirements/dev.txt lab/bootstrap
	@lab/bootstrap $(VENV) $<
	@touch $@

# Other sets of tools, beside it.
.cache/%/.ready: requirements/%.txt lab/bootstrap
	@lab/bootstrap .cache/$* $<
	@touch $@

.PHONY: tools
tools: $(VENV)/.ready ## Set up .venv and the system packages

.PHONY: demo
demo: tools ## Three masters, a highly available kube-scheduler, and a pod that it bound
	@lab/demo

.PHONY: test
test: tools ## Lint, unit tests, tests with other tools, the oldest and the newest ansible-core, Molecule
	@python3 tests/steps.py lint binaries unit fuzz oldest 'cores CORES="oldest core-2.21"' integration page molecule

.PHONY: nightly
nightly: tools ## All of test and what it leaves out, every version that can be run, drills with the default times, the benchmark, release-check
	@python3 tests/steps.py test release-check 'fuzz FUZZ_SECONDS=600 FUZZ_SEED=$(shell date +%s)' 'integration WHICH=nightly' 'cores CORES=core-2.20' 'unit CORE=core-2.20' 'unit CORE=core-2.21' \
	    'molecule WHICH=' 'molecule CORE=oldest' 'molecule CORE=core-2.21' 'molecule S=repair' 'molecule S=rotate WHICH=' \
	    'molecule S=rotate WHICH= LAB_KUBE_VERSION=1.20.2' 'molecule S=life' 'molecule S=external' 'molecule S=adopt' 'molecule S=adopt LAB_KUBE_VERSION=1.20.2' \
	    'molecule S=systems' 'molecule S=monitoring' 'molecule S=monitoring LAB_KUBE_VERSION=1.30.14' 'molecule S=monitoring LAB_KUBE_VERSION=1.20.2' versions drills clusters bench

.PHONY: lint
lint: tools ## ansible-lint (production), yamllint, ruff, mypy, changelog fragments, licences of all files
	ruff check
	ruff format --check
	mypy -p ansible_collections.kube_ha.scheduler.plugins
	mypy lab tests molecule
	yamllint --strict .
	antsibull-changelog lint
	reuse lint --quiet || reuse lint
	ansible-lint --offline --profile production --strict
	@$(if $(VALE),$(MAKE) --no-print-directory prose,echo "lint: prose skipped: Vale is not installed (make prose builds it)")

# Vale from PATH, otherwise built once from its Go module. Its version is the one in tests/prose/vale/go.mod.
VALE_BUILT = $(CACHE)/vale/3.25.1/vale
VALE = $(or $(shell command -v vale),$(wildcard $(VALE_BUILT)))
.PHONY: prose
prose: tools $(or $(VALE),$(VALE_BUILT)) ## Vale on the pages, task names, messages, docstrings and comments, by the rules in styles/KubeHA
	python3 -m tests.prose.check $(or $(VALE),$(VALE_BUILT))

$(VALE_BUILT):
	@python3 lab/need.py go=golang-go gcc=gcc
	mkdir -p $(@D)
	cd tests/prose/vale && GOTOOLCHAIN=local go build -o $@ github.com/vale-cli/vale/v3/cmd/vale

# The shipped code, or any other directory to compare it with.
FIGURES ?= plugins
.PHONY: figures
figures: tools ## Print figures about names and size of the shipped code (FIGURES="plugins DIRECTORY", VERBOSE=-v)
	$(VENV)/bin/python tests/structure/figures.py $(VERBOSE) $(FIGURES)

.PHONY: unit
unit: tools $(if $(CORE),.cache/$(CORE)/.ready) ## Unit tests: seconds, no container (CORE=core-2.21 for another ansible-core)
	KUBECTL=$(KUBECTL) $(if $(CORE),.cache/$(CORE)/bin/python -m )pytest -q -n 2

# Seconds for all parts together, and what makes other cases.
FUZZ_SECONDS ?= 30
FUZZ_SEED ?= 1
.PHONY: fuzz
fuzz: tools ## Malformed options of every module, hostile answers of apiservers and hosts (FUZZ_SECONDS=600 FUZZ_SEED=2)
	FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_SEED=$(FUZZ_SEED) pytest -q -n 2 -p no:hypothesispytest tests/fuzz

.PHONY: oldest
oldest: ## Unit tests with the oldest ansible-core and cryptography that are supported
	@$(MAKE) --no-print-directory unit CORE=oldest

# What the tools' own ansible-core does in `integration`. One that no Python on this machine can run is skipped, and says so.
CORES ?= oldest core-2.20 core-2.21
.PHONY: cores
cores: tools ## The role on simulated masters with every other ansible-core that is supported (CORES="…")
	@for core in $(CORES); do \
	    lab/bootstrap --find requirements/$$core.txt >/dev/null || { echo "cores: $$core is skipped"; continue; }; \
	    $(MAKE) --no-print-directory .cache/$$core/.ready; \
	    grep ansible-core== requirements/$$core.txt; \
	    .cache/$$core/bin/python -m pytest -q -n 2 -m cores tests/integration/simulated; \
	done

# By file, so that the matrix of certificates is made once. Which tests, as pytest's -m takes it; empty for all.
WHICH ?= not nightly
.PHONY: integration
integration: tools ## Modules beside cfssl, openssl, pkilint and Go; alerts by promtool; the role on simulated masters; no container (WHICH= for all)
	@python3 lab/need.py cfssl=golang-cfssl go=golang-go
	@python3 lab/debs.py promtool >/dev/null
	pytest -q -n 2 --dist loadfile -m "$(WHICH)" tests/integration --ignore tests/integration/leader_info

.PHONY: page
page: tools .cache/page/.ready ## The pages of status and drill in headless Chromium: a phone, a screen, paper, light and dark; no container
	@python3 lab/need.py chromium=chromium chromedriver=chromium-driver
	.cache/page/bin/python -m pytest -q -n 2 tests/page

.PHONY: binaries
binaries:
	@$(LAB) binaries

# Labs of this clone's and scenario's own: no test touches the demo's, or stumbles over one that other tests left.
CLONE := $(shell pwd -P | cksum | cut -c1-6)

# Binaries and image come first, where their progress is seen.
.PHONY: molecule
molecule: export LAB_NAME := kube-ha-test-$(CLONE)-$(S)
# The older of the two minors of the tests of upgrades.
molecule: export LAB_SCHEDULERS := $(if $(filter default upgrade,$(S)),1.36.1,$(LAB_SCHEDULERS))
# Another ansible-core for all that the tests run; Molecule itself, and its own deployment, have the tools'.
molecule: export LAB_ANSIBLE_PLAYBOOK := $(if $(CORE),$(CURDIR)/.cache/$(CORE)/bin/ansible-playbook)
molecule: tools binaries $(if $(CORE),.cache/$(CORE)/.ready) ## Molecule on containers (S=scenario; WHICH= for all, with what make test leaves out; CORE=oldest for another ansible-core)
	@$(LAB) image
	@$(if $(filter external adopt,$(S)),python3 lab/need.py cfssl=golang-cfssl openssl=openssl)
	KUBECTL=$(KUBECTL) PYTEST_ADDOPTS='-m "$(WHICH)" --durations=12' molecule test --scenario-name $(S)

# Each on a lab of its own, one after the other. A version that the cache lacks is downloaded, or built: minutes.
VERSIONS ?= 1.37.2 1.36.1 1.35.4 1.34.4 1.33.13 1.30.14 1.20.2
.PHONY: versions
versions: export LAB_NAME := kube-ha-versions-$(CLONE)
versions: tools ## Every version that can be run, on three masters each (VERSIONS="…")
	@for version in $(VERSIONS); do \
	    export LAB_KUBE_VERSION=$$version; \
	    $(LAB) down; $(LAB) up; pytest -q -s -p no:cacheprovider molecule/default/version; \
	done
	@$(LAB) down

# With the times that a cluster has by default; 1.20.2 does not give its lease back when it is stopped.
DRILL_VERSIONS ?= 1.37.2 1.20.2
DRILL_ROUNDS ?= 1
.PHONY: drills
drills: export LAB_NAME := kube-ha-drills-$(CLONE)
drills: export DRILL_ROUNDS := $(DRILL_ROUNDS)
drills: tools ## Fail-over drills of every kind with the default times (DRILL_VERSIONS="…" DRILL_ROUNDS=5)
	@for version in $(DRILL_VERSIONS); do \
	    export LAB_KUBE_VERSION=$$version; \
	    $(LAB) down; $(LAB) up; pytest -q -s -p no:cacheprovider molecule/drill/nightly; \
	done
	@$(LAB) down

.PHONY: clusters
clusters: tools ## 1 to 100 clusters of three simulated masters in one play: wall time, CPU and memory, in docs/benchmark.md
	$(VENV)/bin/python tests/benchmark/clusters.py

# --- what a release needs

# All but the upload, which CONTRIBUTING.md describes.
.PHONY: release-check
release-check: tools ## Every gate of a release, on the tarball as it would be uploaded
	@python3 tests/steps.py lint installed importer docs ee-check sanity

# Built anew for each gate, so that each can be run alone and none is shown an old one.
TARBALL = $(shell ls $(CURDIR)/dist/*.tar.gz)

.PHONY: tarball
tarball: tools ## The tarball as it would be uploaded, with its changelog: dist/*.tar.gz
	python3 tests/release/tarball.py dist

.PHONY: installed
installed: tools tarball ## That tarball installed into an empty path, and used by its names from another directory
	TARBALL=$(TARBALL) pytest -q -n 2 tests/integration/simulated/test_installed.py

# With the two checks that Automation Hub adds. A warning is an error.
.PHONY: importer
importer: export GALAXY_IMPORTER_CHECK_REQUIRED_TAGS := true
importer: export GALAXY_IMPORTER_REQUIRE_V1_OR_GREATER := true
importer: export PATH := $(CURDIR)/.cache/importer/bin:$(PATH)
importer: tools tarball .cache/importer/.ready ## What Galaxy runs on an upload, galaxy-importer, on that tarball
	cd dist && python -m galaxy_importer.main $(TARBALL) | tee importer.log
	! grep -E '^(WARNING|ERROR)' dist/importer.log

.PHONY: sanity
sanity: tools tarball ## ansible-test sanity with every supported ansible-core, on that tarball and on the repository
	@cores=; for core in $(CORES); do \
	    lab/bootstrap --find requirements/$$core.txt >/dev/null || { echo "sanity: $$core is skipped"; continue; }; \
	    $(MAKE) --no-print-directory .cache/$$core/.ready; cores="$$cores .cache/$$core"; \
	done; \
	python3 tests/release/sanity.py $(TARBALL) $(VENV) $$cores

# Installed first: `create` alone takes requirements that do not exist.
.PHONY: ee-check
ee-check: tools tarball .cache/release/.ready ## The files of an execution environment for AWX and ansible-navigator, made from that tarball installed
	rm -rf dist/ee
	cd dist && env -u ANSIBLE_CONFIG ANSIBLE_COLLECTIONS_PATH=ee/collections ansible-galaxy collection install --offline $(TARBALL)
	.cache/release/bin/ansible-builder introspect --write-pip dist/ee/python.txt --write-bindep dist/ee/system.txt dist/ee/collections
	grep cryptography dist/ee/python.txt
	grep openssh-client dist/ee/system.txt
	cp docs/examples/execution-environment.yml dist/ee/
	cp $(TARBALL) dist/ee/collection.tar.gz
	cd dist/ee && $(CURDIR)/.cache/release/bin/ansible-builder create
	test -f dist/ee/context/_build/collection.tar.gz

# Modules and role by antsibull-docs, the pages of docs/, and the changelog. A warning is an error.
.PHONY: docs
docs: export PATH := $(CURDIR)/.cache/docs/bin:$(PATH)
docs: tools tarball .cache/docs/.ready ## The documentation as a site: dist/docs/html/index.html
	rm -rf dist/docs
	mkdir -p dist/docs
	cp -r docs dist/docs/source
	mkdir dist/docs/source/collection
	tar -xzf $(TARBALL) -O CHANGELOG.rst >dist/docs/source/changelog.rst
	antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs all .
	antsibull-docs collection --use-current --squash-hierarchy --fail-on-error --dest-dir dist/docs/source/collection kube_ha.scheduler
	sphinx-build --quiet --fail-on-warning --keep-going --builder html dist/docs/source dist/docs/html

.PHONY: requirements
requirements: .cache/lock/.ready ## Pin all tools again, with their hashes (UPGRADE= keeps the versions that still fit)
	@for set in $(basename $(wildcard requirements/*.in)); do \
	    least=$$(sed -nE 's/^# python >= (3\.[0-9]+)$$/\1/p' $$set.in); \
	    .cache/lock/bin/uv pip compile --quiet --universal --fork-strategy fewest --python-version $${least:-3.11} --generate-hashes \
	        $(UPGRADE) --custom-compile-command "make requirements" $$set.in --output-file $$set.txt; \
	    [[ -z $$least ]] || sed -i "1i # python >= $$least" $$set.txt; \
	done
UPGRADE = --upgrade

.PHONY: lab-up
lab-up: tools ## Start the lab: masters with a real etcd and kube-apiserver
	@$(LAB) up

.PHONY: lab-down
lab-down: ## Remove the lab and all that it left
	@$(LAB) down

.PHONY: lab-status
lab-status: ## Show the lab's containers and the health of its control plane
	@$(LAB) status

BENCH_ROUNDS ?= 5
BENCH_MASTERS ?= 3 12
.PHONY: bench
bench: export LAB_NAME := kube-ha-bench-$(CLONE)
bench: tools binaries .cache/bench/.ready ## The walk-through, a plain role and ours side by side; x509_cert beside community.crypto: docs/benchmark.md
	@python3 lab/need.py cfssl=golang-cfssl ssh=openssh-client
	$(VENV)/bin/python tests/benchmark/x509_cert.py .cache/bench/bin/ansible-playbook
	$(VENV)/bin/python tests/benchmark/deployment.py --rounds $(BENCH_ROUNDS) --masters "$(BENCH_MASTERS)"
