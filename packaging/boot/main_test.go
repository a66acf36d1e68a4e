// Package boot_test installs the package that `make packages` built on a Debian
// whose process 1 is systemd, and walks through what befalls a machine: starts,
// failures, reboots, power cuts, full disks, upgrades. [TestNamespaces] boots in
// namespaces, within seconds, and what `make vm` runs in virtual machines with a
// kernel of their own. It promises to leave the real machine as it was.
package boot_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/otpgate/otpgate/e2e/machine"
)

// TestMain runs again in namespaces where only the loopback is a network.
func TestMain(m *testing.M) { os.Exit(machine.Run(nil, m.Run)) }

// built returns the deb.
func built(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("../../build/packages/*.deb")
	if err != nil || len(found) != 1 {
		t.Fatalf("expected one deb in build/packages, found %q, %v; run make packages", found, err)
	}
	path, err := filepath.Abs(found[0])
	if err != nil {
		t.Fatal(err)
	}
	// Other programs read it, so that this is how go test learns of a change.
	if _, err := os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	return path
}
