# SPDX-License-Identifier: Apache-2.0
# Copyright the flashlayer authors

# sudo's PATH leaves out a toolchain that is not below /usr: look where toolchains live, and ask the user who called.
SWIFT ?= $(shell command -v swift 2>/dev/null \
	|| ls -1d /opt/swift*/usr/bin/swift /usr/libexec/swift/bin/swift /root/.local/share/swiftly/bin/swift 2>/dev/null | head -n 1 \
	|| true)
ifeq ($(strip $(SWIFT)),)
SWIFT := $(shell test -n "$$SUDO_USER" && su - "$$SUDO_USER" -c 'command -v swift' 2>/dev/null)
endif
JOBS ?= 2
PREFIX ?= /usr/local
DESTDIR ?=

RELEASE = .build/release
SWIFT_BUILD = "$(SWIFT)" build -j $(JOBS) -c release --static-swift-stdlib

.PHONY: all deps build docs demo test bench bench-deps lint format install uninstall clean swift-present

all: build

swift-present:
	@test -x "$(SWIFT)" || { \
		echo "make: no Swift toolchain found: install Swift 6.3 (https://swift.org/install), or name it: make SWIFT=/path/to/swift" >&2; \
		exit 69; }

# Everything that is needed to build, run and test, from Debian's own archive.
deps:
	@./.ci/install-dependencies

build: swift-present
	$(SWIFT_BUILD)
	@$(call give_back)

# Pages that the program prints of itself.
docs: build
	$(RELEASE)/flashlayer _rules > docs/safety.md

# The main job, on a loop device: layers in, a disk that boots out.
demo: deps build
	./examples/demo $(RELEASE)/flashlayer

test: deps swift-present
	"$(SWIFT)" build -j $(JOBS) --build-tests
	"$(SWIFT)" test -j $(JOBS) --skip-build
	@$(call give_back)

# The other tools among it.
bench-deps:
	@./.ci/install-dependencies bench

# Ratios against other tools: on devices in memory and on slow ones, and upon the same base image.
bench: bench-deps build
	./Benchmarks/write $(RELEASE)/flashlayer
	./Benchmarks/build $(RELEASE)/flashlayer

lint: swift-present
	"$(SWIFT)" format lint --strict --recursive Sources Tests Package.swift

format: swift-present
	"$(SWIFT)" format --in-place --recursive Sources Tests Package.swift

install: build
	install -D -m 755 $(RELEASE)/flashlayer $(DESTDIR)$(PREFIX)/bin/flashlayer
	install -D -m 755 $(RELEASE)/flashlayer-builder $(DESTDIR)$(PREFIX)/libexec/flashlayer/flashlayer-builder
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	$(RELEASE)/flashlayer --generate-completion-script bash \
		> $(DESTDIR)$(PREFIX)/share/bash-completion/completions/flashlayer
	$(RELEASE)/flashlayer --generate-completion-script zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_flashlayer
	$(RELEASE)/flashlayer --generate-completion-script fish \
		> $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/flashlayer.fish

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/flashlayer $(DESTDIR)$(PREFIX)/libexec/flashlayer/flashlayer-builder \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/flashlayer \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_flashlayer \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/flashlayer.fish
	-rmdir $(DESTDIR)$(PREFIX)/libexec/flashlayer 2>/dev/null

clean:
	rm -rf .build

# What root built belongs to the user who called sudo.
give_back = test -z "$$SUDO_UID" || chown -R "$$SUDO_UID:$$SUDO_GID" .build
