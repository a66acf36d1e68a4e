package packages_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/machine"
)

// tooNew has a library need a glibc that no system has, as one does that was
// built on a newer release.
func tooNew(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	const had, wants = "GLIBC_" + oldestGlibc, "GLIBC_2.99"
	for section, replace := range map[string][2][]byte{
		".dynstr": {[]byte(had + "\x00"), []byte(wants + "\x00")},
		// The loader compares a hash of the name first.
		".gnu.version_r": {binary.LittleEndian.AppendUint32(nil, hashOf(had)), binary.LittleEndian.AppendUint32(nil, hashOf(wants))},
	} {
		found := file.Section(section)
		if found == nil {
			t.Fatalf("%s has no %s", path, section)
		}
		part := data[found.Offset : found.Offset+found.FileSize]
		if bytes.Count(part, replace[0]) != 1 {
			t.Fatalf("expected %s once in %s of %s", had, section, path)
		}
		copy(part, bytes.Replace(part, replace[0], replace[1], 1))
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// hashOf is System V's, which versions are looked up by.
func hashOf(name string) uint32 {
	h := uint32(0)
	for _, c := range []byte(name) {
		h = h<<4 + uint32(c)
		high := h & 0xf0000000
		h = (h ^ high>>24) &^ high
	}
	return h
}

// repacked is a package after a change of its tree, as its next version.
func (d debian) repacked(t *testing.T, deb string, change func(tree string)) string {
	t.Helper()
	dir, err := os.MkdirTemp(d.root+"/root", "repacked-")
	if err != nil {
		t.Fatal(err)
	}
	tree := strings.TrimPrefix(dir, d.root)
	d.run(t, "dpkg-deb", "--raw-extract", deb, tree)
	d.run(t, "sed", "-i", "s/^Version: .*/Version: 99-1/", tree+"/DEBIAN/control")
	change(d.root + tree)
	d.run(t, "dpkg-deb", "-Znone", "--build", tree)
	d.run(t, "rm", "-r", tree)
	return tree + ".deb"
}

// An upgrade to a module that this system cannot load is refused as long as the
// old one is in its place, also where dpkg is told to ignore dependencies.
func TestDebRefusesWhatWouldNotLoad(t *testing.T) {
	t.Parallel()
	onEach(t, [2]string{"2207", "2217"}, testDebRefuses)
}

func testDebRefuses(t *testing.T, d debian) {
	deb := d.bring(t, built(t, "deb"))
	d.run(t, "dpkg", "-i", deb)
	secret := d.enroll(t)
	d.run(t, "cp", "/usr/share/doc/otpgate/examples/sshd_config.d/10-otpgate.conf", "/etc/ssh/sshd_config.d/")
	d.run(t, "otpctl", "pam", "enable", "sshd", "--confirm-within", "0s", "--force")
	before := d.files(t, "/usr", "/etc")

	var script string
	newer := d.repacked(t, deb, func(tree string) {
		modules, err := filepath.Glob(tree + "/usr/lib/*/security/pam_otpgate.so")
		if err != nil || len(modules) != 1 {
			t.Fatalf("found the modules %q, %v", modules, err)
		}
		tooNew(t, modules[0])
		// As packaging/package/build does it.
		glibc := strings.TrimSpace(output(t, machine.Files+"/needs", tree))
		if glibc != "2.99" {
			t.Fatalf("expected what was built to need 2.99, found %s", glibc)
		}
		script = tree + "/DEBIAN/preinst"
		output(t, "sed", "-i", "s/^glibc=.*/glibc="+glibc+"/", script)
		output(t, "sed", "-i", "s/libc6 (>= [0-9.]*)/libc6 (>= "+glibc+")/", tree+"/DEBIAN/control")
	})
	d.expectRefused(t, before, "pre-dependency", "dpkg", "-i", newer)
	d.expectRefused(t, before, "this package needs glibc 2.99 or later, and here is 2.", "dpkg", "--force-depends", "-i", newer)
	d.expectRefused(t, before, "make packages builds one here", "dpkg", "--force-all", "-i", newer)
	d.expectIn(t, d.code(t, secret, 1))

	another := d.repacked(t, deb, func(tree string) {
		output(t, "sed", "-i", "s/^Architecture: .*/Architecture: s390x/; /^Pre-Depends:/d; /^Depends:/d", tree+"/DEBIAN/control")
	})
	d.expectRefused(t, before, "this package is for s390x", "dpkg", "--force-architecture", "-i", another)
	d.expectIn(t, d.code(t, secret, 2))

	// What would have been, without it.
	unguarded := d.repacked(t, newer, func(tree string) {
		if err := os.Remove(tree + "/DEBIAN/preinst"); err != nil {
			t.Fatal(err)
		}
	})
	if said, err := d.try("dpkg", "--force-depends", "-i", unguarded); err != nil {
		t.Fatalf("dpkg: %v\n%s", err, said)
	}
	if got := d.login(t, d.code(t, secret, 3)); got.In(alice) || got.Codes > 0 {
		t.Errorf("a module that cannot be loaded let alice in, or asked: %+v", got)
	}
	d.run(t, "dpkg", "--force-downgrade", "-i", deb)
	d.expectIn(t, d.code(t, secret, 3))
}

// expectRefused has dpkg fail with what is wanted, and the system stay as before.
func (d debian) expectRefused(t *testing.T, before map[string]string, want string, args ...string) {
	t.Helper()
	said, err := d.try(args...)
	if err == nil || !strings.Contains(said, want) {
		t.Errorf("%q: expected it to fail with %q, found %v\n%s", args, want, err, said)
	}
	if names := changed(before, d.files(t, "/usr", "/etc")); len(names) > 0 {
		t.Errorf("%q changed %q", args, names)
	}
	if state := d.run(t, "dpkg-query", "-W", "-f", "${Status}", "otpgate"); state != "install ok installed" {
		t.Errorf("%q: the package is %q", args, state)
	}
}

// The same with rpm, on a system whose glibc is older than what was built.
func TestRPMRefusesWhatWouldNotLoad(t *testing.T) {
	t.Parallel()
	d := newDebian(t, bookworm, "2208")
	rpm := built(t, "rpm")
	d.rpm(t, "-i", rpm)
	before := d.files(t, "/usr", "/etc")
	d.run(t, "mv", "/usr/bin/getconf", "/root/getconf")
	d.write(t, "/usr/bin/getconf", "#!/bin/sh\necho glibc 2.28\n")
	d.run(t, "chmod", "755", "/usr/bin/getconf")
	said, err := exec.Command("rpm", "--root", d.root, "--nodeps", "-U", "--force", rpm).CombinedOutput()
	if err == nil || !strings.Contains(string(said), "or later, and here is 2.28") {
		t.Errorf("expected the upgrade to be refused, found %v\n%s", err, said)
	}
	d.run(t, "mv", "/root/getconf", "/usr/bin/getconf")
	if names := changed(before, d.files(t, "/usr", "/etc")); len(names) > 0 {
		t.Errorf("the refused upgrade changed %q", names)
	}
}
