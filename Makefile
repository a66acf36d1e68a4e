# make demo   shows a login with password and code, and leaves nothing behind
# make test   builds everything and passes every test; needs root
# make stress runs the tests COUNT times (10) in changing order beside LOAD (8) busy threads; needs root
# make soak   runs the tests that are long: 100,000 logins, 500 kills, one code on three clients 200 times, one at three servers with a ledger in etcd 1,000 times, and logins while etcd fails 260 times; and measures the verifier; needs root
# make load   has people log in while others attack the verifier, for LAST (20s) each, or 200 enroll at once, and measures that; needs root
# make vm     walks through starts, failures and power cuts of a virtual machine; needs root
# make arm64  builds packages for arm64 and tries them by emulation; needs root
# make fuzz   runs each fuzz test for FUZZTIME (20s)
# make packages builds a deb and an rpm in build/packages
# make build | bench | lint | install | uninstall | clean

GO ?= $(shell command -v go || echo /usr/local/go/bin/go)
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
STATEDIR ?= /var/lib
BUILD := build
SFTPD := $(addprefix $(BUILD)/,otpgate-sftpd otpgate-sftpd-front otpgate-sftpd-login otpgate-sftpd-worker)
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# Where the PAM modules of this distribution are; DESTDIR does not change it.
SECURITYDIR ?= $(shell packaging/securitydir)
# Whose stacks the SFTP server's own includes: packaging/pam.d has each.
PAMSTACK ?= $(if $(wildcard /etc/debian_version),debian,redhat)

# A clone that another user made must build too, and git refuses to describe
# it then, so the version is not taken from the tree by go. The tests, lint and
# tools are compiled as the programs are: what both import is compiled once.
export GOFLAGS := -buildvcs=false -trimpath $(filter-out -buildvcs=% -trimpath,$(GOFLAGS))
export CGO_ENABLED := 1
export GO
export BUILD

GO_SOURCES := $(shell find . -name '*.go' -not -path './$(BUILD)/*') go.mod go.sum
C_SOURCES := $(wildcard pam_module/front/*.[ch]) pam_module/front/build.sh pam_module/front/module.map

export VERSION

.PHONY: build packages demo test vm arm64 stress soak load fuzz bench lint install uninstall clean deps fresh

build: $(BUILD)/pam_otpgate.so $(BUILD)/pam_otpgate_core.so $(BUILD)/otpgate-verifierd $(BUILD)/otpgate-gateway $(BUILD)/otpgate-ledgerd $(BUILD)/otpgate-portal $(BUILD)/otpgate-send $(BUILD)/otpctl $(SFTPD)

$(BUILD)/pam_otpgate.so: $(C_SOURCES)
	@mkdir -p $(BUILD)
	pam_module/front/build.sh $@

$(BUILD)/pam_otpgate_core.so: $(GO_SOURCES)
	@mkdir -p $(BUILD)
	$(GO) build -trimpath -buildmode=c-shared -ldflags '-s -w' -o $@ ./pam_module/core
	@rm -f $(BUILD)/pam_otpgate_core.h

# What the programs say of themselves. The file changes only if the version
# does, and then whatever says it is built anew.
$(BUILD)/version: always
	@mkdir -p $(BUILD)
	@echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' >$@
.PHONY: always

$(BUILD)/otpgate-verifierd: $(GO_SOURCES) $(BUILD)/version
	@mkdir -p $(BUILD)
	$(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $@ ./pam_module/verifierd

$(BUILD)/otpgate-gateway: $(GO_SOURCES) $(BUILD)/version
	@mkdir -p $(BUILD)
	$(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $@ ./gateway

$(BUILD)/otpgate-ledgerd: $(GO_SOURCES) $(BUILD)/version
	@mkdir -p $(BUILD)
	$(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $@ ./ledgerd

$(BUILD)/otpgate-portal: $(GO_SOURCES) $(BUILD)/version
	@mkdir -p $(BUILD)
	$(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $@ ./portal

$(BUILD)/otpgate-send: $(GO_SOURCES) $(BUILD)/version
	@mkdir -p $(BUILD)
	$(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $@ ./pam_module/send

$(BUILD)/otpgate-sftpd: $(GO_SOURCES) $(BUILD)/version
	@mkdir -p $(BUILD)
	$(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $@ ./sftpd

$(BUILD)/otpgate-sftpd-login: $(GO_SOURCES)
	@mkdir -p $(BUILD)
	$(GO) build -trimpath -ldflags '-s -w' -o $@ ./sftpd/login

# Without cgo system calls that give up rights hold for every thread, and the
# programs are small.
$(BUILD)/otpgate-sftpd-front $(BUILD)/otpgate-sftpd-worker: $(BUILD)/otpgate-sftpd-%: $(GO_SOURCES)
	@mkdir -p $(BUILD)
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o $@ ./sftpd/$*

$(BUILD)/otpctl: $(GO_SOURCES) $(BUILD)/version
	@mkdir -p $(BUILD)
	$(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $@ ./otpctl

$(BUILD)/demo: $(GO_SOURCES)
	@mkdir -p $(BUILD)
	$(GO) build -o $@ ./packaging/demo

packages:
	@packaging/deps build
	@$(MAKE) --no-print-directory build
	packaging/package/build

demo:
	@packaging/deps demo
	@packaging/progress 'demo: building' $(MAKE) --no-print-directory build $(BUILD)/demo
	@$(BUILD)/demo

test:
	@packaging/deps test
	@$(MAKE) --no-print-directory build lint packages
	$(GO) run ./packaging/suite ./...

# Which test failed how often is said in the end, and build/failed has what it
# said. PACKAGES=./internal/... and TESTS=TestOne choose.
COUNT ?= 10
LOAD ?= 8
PACKAGES ?= ./...
TESTS ?=
stress:
	@packaging/deps test
	@$(MAKE) --no-print-directory build packages
	$(GO) run ./packaging/suite -shuffle -times $(COUNT) -load $(LOAD) -run '$(TESTS)' $(PACKAGES)

# A Debian of SUITE (bookworm) boots under QEMU, with KVM where it works.
vm:
	@packaging/deps vm
	@$(MAKE) --no-print-directory packages
	$(GO) test -count=1 -timeout 6h -v -run TestVM ./packaging/boot -args -vm

# Packages for arm64, tried by emulation: docs/packages.md says what with.
arm64:
	@packaging/deps arm64
	@$(MAKE) --no-print-directory build
	packaging/arm64

soak:
	@packaging/deps test
	$(GO) test -count=1 -timeout 60m -v -run 'TestMemory|TestKilled' -bench 'Stalled|SlowGateway|Start' -benchtime 1x ./pam_module/verifierd -args -soak
	@$(MAKE) --no-print-directory build
	$(GO) test -count=1 -timeout 60m -v -run TestRemoteOnce ./e2e -args -rounds 200
	$(GO) test -count=1 -timeout 60m -v -run TestOneCodeAtThreeVerifiers ./ledgerd -args -rounds 1000
	$(GO) test -count=1 -timeout 60m -v -run TestFaults ./ledgerd -args -kills 50 -stops 10 -cuts 200 -measured

LAST ?= 20s
load:
	@packaging/deps test
	@$(MAKE) --no-print-directory build
	$(GO) test -count=1 -timeout 60m -v -run '^$$' -bench Load -benchtime 1x ./e2e -args -load $(LAST)

lint:
	packaging/lint

fuzz:
	@packaging/fuzz $(FUZZTIME)

bench:
	@packaging/deps bench
	@$(MAKE) --no-print-directory build
	$(GO) run ./bench
	$(GO) run ./bench/sftp

# fresh runs demo and test in a new Debian made by debootstrap: SUITE=trixie, or
# bookworm.
fresh:
	packaging/fresh $(SUITE)

deps:
	packaging/deps test

install: build
	@test -n '$(SECURITYDIR)' || { echo 'install: no directory of PAM modules found; name it with SECURITYDIR=/path' >&2; exit 1; }
	install -D -m 644 $(BUILD)/pam_otpgate.so $(DESTDIR)$(SECURITYDIR)/pam_otpgate.so
	install -D -m 644 $(BUILD)/pam_otpgate_core.so $(DESTDIR)$(SECURITYDIR)/pam_otpgate_core.so
	install -D -m 755 $(BUILD)/otpgate-verifierd $(DESTDIR)$(PREFIX)/sbin/otpgate-verifierd
	install -D -m 755 $(BUILD)/otpgate-gateway $(DESTDIR)$(PREFIX)/sbin/otpgate-gateway
	install -D -m 755 $(BUILD)/otpgate-ledgerd $(DESTDIR)$(PREFIX)/sbin/otpgate-ledgerd
	install -D -m 755 $(BUILD)/otpgate-portal $(DESTDIR)$(PREFIX)/sbin/otpgate-portal
	install -D -m 755 $(BUILD)/otpgate-send $(DESTDIR)$(PREFIX)/libexec/otpgate/otpgate-send
	install -D -m 755 $(BUILD)/otpgate-sftpd $(DESTDIR)$(PREFIX)/sbin/otpgate-sftpd
	for part in front login worker; do \
		install -D -m 755 $(BUILD)/otpgate-sftpd-$$part $(DESTDIR)$(PREFIX)/libexec/otpgate/otpgate-sftpd-$$part || exit 1; \
	done
	test -e $(DESTDIR)$(SYSCONFDIR)/pam.d/otpgate-sftpd || install -D -m 644 packaging/pam.d/$(PAMSTACK)/otpgate-sftpd $(DESTDIR)$(SYSCONFDIR)/pam.d/otpgate-sftpd
	install -D -m 755 $(BUILD)/otpctl $(DESTDIR)$(PREFIX)/bin/otpctl
	install -d -m 755 $(DESTDIR)$(SYSCONFDIR)/otpgate
	install -d -m 700 $(DESTDIR)$(SYSCONFDIR)/otpgate/users $(DESTDIR)$(SYSCONFDIR)/otpgate/break-glass $(DESTDIR)$(SYSCONFDIR)/otpgate/secrets $(DESTDIR)$(STATEDIR)/otpgate $(DESTDIR)$(STATEDIR)/otpgate-keys
	packaging/installunits '$(DESTDIR)' '$(PREFIX)'
	packaging/installmonitoring '$(DESTDIR)$(PREFIX)/share/otpgate'
	GO='$(GO)' packaging/installdocs '$(DESTDIR)$(PREFIX)'
	@echo 'Installed. No login has changed: see "On a real sshd" in README.md.'

# A line in pam.d without its module denies everybody, so the lines go first.
uninstall:
	@packaging/nolines '$(DESTDIR)$(SYSCONFDIR)/pam.d'
	rm -f $(DESTDIR)$(SECURITYDIR)/pam_otpgate.so $(DESTDIR)$(SECURITYDIR)/pam_otpgate_core.so
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/sbin/otpgate-,verifierd gateway ledgerd portal) $(DESTDIR)$(PREFIX)/bin/otpctl
	rm -f $(DESTDIR)$(PREFIX)/libexec/otpgate/otpgate-send $(addprefix $(DESTDIR)$(PREFIX)/libexec/otpgate/otpgate-sftpd-,front login worker)
	rm -f $(DESTDIR)$(PREFIX)/sbin/otpgate-sftpd $(DESTDIR)$(SYSCONFDIR)/pam.d/otpgate-sftpd
	if [ -d $(DESTDIR)$(PREFIX)/libexec/otpgate ]; then rmdir $(DESTDIR)$(PREFIX)/libexec/otpgate; fi
	packaging/installmonitoring --remove '$(DESTDIR)$(PREFIX)/share/otpgate'
	packaging/installunits --remove '$(DESTDIR)' '$(PREFIX)'
	packaging/installdocs --remove '$(DESTDIR)$(PREFIX)'
	@echo 'If you copied it: rm /etc/ssh/sshd_config.d/10-otpgate.conf, which turns passwords off, and reload sshd.'
	@echo 'Removed. Secret files and ledger are kept in $(SYSCONFDIR)/otpgate and $(STATEDIR)/otpgate.'

clean:
	rm -rf $(BUILD)
