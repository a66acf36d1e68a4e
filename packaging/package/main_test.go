// Package packages_test installs and removes the packages that `make packages`
// built, in copies of Debian 12 and 13 that packaging/deps made, with a real sshd.
package packages_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/otpgate/otpgate/e2e/machine"
)

func TestMain(m *testing.M) { os.Exit(machine.Run(prepare, m.Run)) }

// prepare builds programs that are in no package: age's and the demo, which
// documents have people run, and what says what a package needs.
func prepare(dir string) error {
	for _, path := range []string{"filippo.io/age/cmd/age-keygen", "../demo", "../needs"} {
		output, err := exec.Command("go", "build", "-o", filepath.Join(dir, filepath.Base(path)), path).CombinedOutput()
		if err != nil {
			return fmt.Errorf("build %s: %w\n%s", path, err, output)
		}
	}
	return nil
}

// built returns the package of that ending.
func built(t *testing.T, ending string) string {
	t.Helper()
	return builtIn(t, "../../build", ending)
}

// builtIn is that of a build in another directory.
func builtIn(t *testing.T, build, ending string) string {
	t.Helper()
	found, err := filepath.Glob(build + "/packages/*." + ending)
	if err != nil || len(found) != 1 {
		t.Fatalf("expected one %s in %s/packages, found %q, %v; run make packages", ending, build, found, err)
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
