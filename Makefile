# Every target sets up what it needs, so on a fresh machine no step comes before it. Setup itself
# needs make, python3 with venv, and root (or sudo) if packages are missing.

PYTHON := .venv/bin/python
TOX := .venv/bin/tox
OUT ?= out
SAMPLE_OUT := out/sample
ARCH ?=
SOURCE ?=
SHA256 ?=
# All architectures of the sample, or those in ARCH.
SAMPLE_ARCHES := $(or $(ARCH),$(shell uname -m))

ARCH_FLAGS := $(foreach arch,$(ARCH),--arch $(arch))
ifeq ($(SOURCE),sample)
SOURCE_FLAGS = $(foreach arch,$(SAMPLE_ARCHES),--source "$$(readlink -f $(SAMPLE_OUT)/$(arch))")
else
SOURCE_FLAGS = $(foreach source,$(SOURCE),--source '$(source)') $(foreach digest,$(SHA256),--sha256 $(digest))
endif
BUILD = $(PYTHON) build.py $(1) --out $(OUT) $(ARCH_FLAGS) $(SOURCE_FLAGS) $(FLAGS)

comma := ,
space := $() $()

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile
	@echo "  make test-TIER      one tier: $(TIERS)"
	@echo
	@echo "  SOURCE=sample        Nix from Debian's packages, if you cannot reach the release"
	@echo "  SOURCE=FILE|URL      an installer or a Nix binary tarball (a URL needs SHA256=HEX)"
	@echo "  ARCH='x86_64 aarch64'  default: this machine's"

.PHONY: setup
setup: ## install missing programs with apt or dnf, and Python packages into .venv
	@tools/setup

.PHONY: sample
sample: setup ## make a tarball of Nix from Debian's packages, for tests
	@$(foreach arch,$(SAMPLE_ARCHES), \
	    tarball=$$($(PYTHON) -m sample --arch $(arch) --out $(SAMPLE_OUT)) \
	    && ln -sf "$${tarball##*/}" $(SAMPLE_OUT)/$(arch) &&) true

ifeq ($(SOURCE),sample)
rpm srpm stage: sample
endif

.PHONY: fetch stage srpm rpm
fetch: setup ## download the pinned release into the cache, and verify it
	@$(call BUILD,fetch)
stage: setup ## unpack and verify the closure in out/stage
	@$(call BUILD,stage)
srpm: setup ## build the source package
	@$(call BUILD,srpm)
rpm: setup ## build the source package, and the packages from it
	@$(call BUILD,rpm)

.PHONY: oci repo publish
oci: setup ## make an OCI image of the built packages; REGISTRY=HOST/OWNER also pushes it
	@$(call BUILD,oci $(if $(REGISTRY),--registry '$(REGISTRY)'))
REPO ?= $(OUT)/repo
repo: setup ## make a dnf repository of the built packages: REPO=DIR, KEY=ID or FLAGS=--unsigned, BASEURL=URL
	@$(call BUILD,repo '$(REPO)' $(if $(KEY),--key '$(KEY)') $(if $(BASEURL),--baseurl '$(BASEURL)'))
publish: setup ## upload the source package to COPR: PROJECT=OWNER/NAME
	@$(call BUILD,publish --project '$(PROJECT)')

.PHONY: pins pins-advisories pins-update
pins: setup ## show the pinned release; FLAGS=--json prints JSON
	@$(PYTHON) build.py pins show $(FLAGS)
pins-advisories: setup ## list the advisories that apply, or may apply, to the pinned release
	@$(PYTHON) build.py pins advisories $(FLAGS)
pins-update: setup ## pin the newest release, or VERSION=V; FLAGS=--dry-run only shows the changes
	@$(PYTHON) build.py pins update $(if $(VERSION),--version '$(VERSION)') $(FLAGS)

.PHONY: release-files
release-files: setup ## build the files of a release in out/release; TAG=vVERSION-RELEASE is checked
	@$(call BUILD,release $(if $(TAG),--tag '$(TAG)'))

.PHONY: demo
demo: setup ## build the package, boot a host with it, and use Nix there as a user (root)
	@rm -f $(OUT)/demo/*.rpm
	@$(MAKE) --no-print-directory rpm SOURCE=sample OUT=$(OUT)/demo FLAGS='--level 3 --quiet'
	@$(PYTHON) -m tests.demo $(OUT)/demo $(PICTURE)

.PHONY: picture
picture: PICTURE := docs/demo.svg
picture: demo ## run the demo, and draw the README's picture of it

.PHONY: accept
# Some shells set a HOST variable of their own.
ifneq ($(origin HOST),command line)
HOST :=
endif
# FLAGS is passed in the environment, so it may contain any quotes.
accept: export ACCEPT_HOST = $(HOST)
accept: export ACCEPT_SSH = $(SSH)
accept: ## check the README's promises on a real host: HOST=USER@HOST, SSH='OPTIONS', FLAGS=--help
	@python3 -m accept $${ACCEPT_SSH:+--ssh="$$ACCEPT_SSH"} $(FLAGS) -- "$$ACCEPT_HOST"

.PHONY: bench
bench: sample ## measure the time and space that builder and host take (root)
	@$(PYTHON) -m bench "$$(readlink -f $(SAMPLE_OUT)/$(shell uname -m))"

TIERS := lint types unit rpm host ostree image
# Make the environments of tiers side by side, run the tiers, and print where the time went.
RUN_TIERS = rm -rf out/times; status=0; \
    $(TOX) run-parallel --quiet --notest --parallel-no-spinner -e $(1) || exit; \
    $(TOX) run -e $(1) || status=$$?; $(PYTHON) -m tests.times out/times; exit $$status

.PHONY: $(TIERS:%=test-%) lint types test check torture
lint: test-lint ## run the tier lint: ruff, shellcheck, shfmt, actionlint, mandoc
types: test-types ## run mypy
test: setup ## run the tiers lint, types, unit, rpm and host
	@$(call RUN_TIERS,lint$(comma)types$(comma)unit$(comma)rpm$(comma)host)
check: setup ## run every tier
	@$(call RUN_TIERS,$(subst $(space),$(comma),$(TIERS)))
torture: setup ## run all kills, power cuts and fuzzing (hours); NIX_AURORA_SEED=N
	@NIX_AURORA_TORTURE=1 $(TOX) run -e unit,host,ostree
$(TIERS:%=test-%): test-%: setup
	@$(call RUN_TIERS,$*)

.PHONY: clean
clean: ## remove what was built, but not the cache
	chmod -R u+w $(OUT) 2>/dev/null; rm -rf $(OUT) .tox .venv
