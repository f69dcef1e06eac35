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

.PHONY: all deps build docs demo test bench bench-deps lint format install install-files uninstall deb clean swift-present

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

# A few at a time: the test library would begin all of them at once, and each would wait for its turn on two threads
# while its devices and programs go on. Then the builds and boots, which keep both processors busy by themselves.
TEST_WIDTH = --experimental-maximum-parallelization-width 6
BUILDS_WIDTH = --experimental-maximum-parallelization-width 3

test: deps swift-present
	"$(SWIFT)" build -j $(JOBS) --build-tests
	"$(SWIFT)" test --skip-build --skip ApplianceTests $(TEST_WIDTH)
	"$(SWIFT)" test --skip-build --filter ApplianceTests $(BUILDS_WIDTH)
	@$(call give_back)

# The other tools among it.
bench-deps:
	@./.ci/install-dependencies bench

# Ratios against other tools: on devices in memory and on slow ones, and upon the same base image.
bench: bench-deps build
	./Benchmarks/write $(RELEASE)/flashlayer
	./Benchmarks/build $(RELEASE)/flashlayer
	./Benchmarks/devices $(RELEASE)/flashlayer

lint: swift-present
	"$(SWIFT)" format lint --strict --recursive Sources Tests Package.swift

format: swift-present
	"$(SWIFT)" format --in-place --recursive Sources Tests Package.swift

# Where udev and systemd-tmpfiles look, below /usr and below /usr/local.
UDEV_RULES = $(DESTDIR)$(PREFIX)/lib/udev/rules.d
TMPFILES = $(DESTDIR)$(PREFIX)/lib/tmpfiles.d
BASH_COMPLETIONS = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
ZSH_COMPLETIONS = $(DESTDIR)$(PREFIX)/share/zsh/site-functions
FISH_COMPLETIONS = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
MANUAL = $(DESTDIR)$(PREFIX)/share/man
UNITS = $(DESTDIR)$(PREFIX)/lib/systemd/system
SYSUSERS = $(DESTDIR)$(PREFIX)/lib/sysusers.d

install: build install-files

# What is built already, such as by an ordinary user: make && sudo make install-files.
install-files:
	install -D -m 755 $(RELEASE)/flashlayer $(DESTDIR)$(PREFIX)/bin/flashlayer
	install -D -m 755 $(RELEASE)/flashlayer-builder $(DESTDIR)$(PREFIX)/libexec/flashlayer/flashlayer-builder
	install -D -m 755 $(RELEASE)/flashlayerd $(DESTDIR)$(PREFIX)/bin/flashlayerd
	install -d $(UNITS)
	sed 's,^ExecStart=/usr/bin/,ExecStart=$(PREFIX)/bin/,' systemd/flashlayerd.service > $(UNITS)/flashlayerd.service
	chmod 644 $(UNITS)/flashlayerd.service
	install -D -m 644 systemd/flashlayerd-sysusers.conf $(SYSUSERS)/flashlayerd.conf
	install -D -m 644 systemd/flashlayerd.8 $(MANUAL)/man8/flashlayerd.8
	install -D -m 644 udev-rules/85-flashlayer.rules $(UDEV_RULES)/85-flashlayer.rules
	install -D -m 644 systemd/flashlayer.conf $(TMPFILES)/flashlayer.conf
	install -d $(BASH_COMPLETIONS) $(ZSH_COMPLETIONS) $(FISH_COMPLETIONS) $(MANUAL)/man1 $(MANUAL)/man5
	$(RELEASE)/flashlayer --generate-completion-script bash | sed '1{/^#!/d}' > $(BASH_COMPLETIONS)/flashlayer
	$(RELEASE)/flashlayer --generate-completion-script zsh > $(ZSH_COMPLETIONS)/_flashlayer
	$(RELEASE)/flashlayer --generate-completion-script fish > $(FISH_COMPLETIONS)/flashlayer.fish
	$(RELEASE)/flashlayer _manual $(MANUAL)/man1
	$(RELEASE)/flashlayer _manual --section 5 $(MANUAL)/man5
	chmod 644 $(MANUAL)/man1/flashlayer*.1 $(MANUAL)/man5/flashlayer.toml.5
	@$(call tell_services)

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/flashlayer $(DESTDIR)$(PREFIX)/libexec/flashlayer/flashlayer-builder \
		$(DESTDIR)$(PREFIX)/bin/flashlayerd $(UNITS)/flashlayerd.service $(SYSUSERS)/flashlayerd.conf \
		$(MANUAL)/man8/flashlayerd.8 $(UDEV_RULES)/85-flashlayer.rules $(TMPFILES)/flashlayer.conf $(BASH_COMPLETIONS)/flashlayer \
		$(ZSH_COMPLETIONS)/_flashlayer $(FISH_COMPLETIONS)/flashlayer.fish $(MANUAL)/man1/flashlayer.1 $(MANUAL)/man1/flashlayer-*.1 \
		$(MANUAL)/man5/flashlayer.toml.5
	-rmdir $(DESTDIR)$(PREFIX)/libexec/flashlayer 2>/dev/null
	@$(call tell_services)

# Debian packages, in .build/deb, of what is built already. Another RELEASE packs other programs.
DEB = .build/deb
DEB_SOURCE = $(DEB)/flashlayer

deb:
	@test -x $(RELEASE)/flashlayer || { echo "make: build the programs first: make" >&2; exit 66; }
	@command -v dh >/dev/null || { echo "make: no debhelper: apt-get install debhelper" >&2; exit 69; }
	rm -rf $(DEB)
	mkdir -p $(DEB_SOURCE)
	cp -a Makefile README.md debian docs systemd udev-rules $(DEB_SOURCE)
	cd $(DEB_SOURCE) && RELEASE=$(abspath $(RELEASE)) dpkg-buildpackage --build=binary --no-sign --no-check-builddeps
	rm -rf $(DEB_SOURCE)
	@$(call give_back)
	@ls $(DEB)/*.deb

# Not where files are only put together for a package.
tell_services = test -n "$(DESTDIR)" || { \
	systemd-tmpfiles --create flashlayer.conf 2>/dev/null; udevadm control --reload 2>/dev/null; true; }

clean:
	rm -rf .build

# What root built belongs to the user who called sudo.
give_back = test -z "$$SUDO_UID" || chown -R "$$SUDO_UID:$$SUDO_GID" .build
