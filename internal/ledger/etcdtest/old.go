package etcdtest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/otpgate/otpgate/internal/testprogram"
)

var versionLine = regexp.MustCompile(`^etcd Version: (\d\.\d\.\d\d)\n`)

// Old is the etcd that is installed, but for its version, which is one that can lose data.
func Old(t testing.TB) (program, version string) {
	t.Helper()
	installed, err := exec.LookPath("etcd")
	if err != nil {
		t.Fatalf("%v; packaging/deps test installs it", err)
	}
	said, err := exec.Command(installed, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	found := versionLine.FindSubmatch(said)
	if found == nil {
		t.Fatalf("etcd --version: %q, expected a version of six characters", said)
	}
	old := bytes.Clone(found[1])
	copy(old, "3.4.1")
	text, err := os.ReadFile(installed)
	if err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(t.TempDir(), "etcd")
	if err := testprogram.Write(program, bytes.ReplaceAll(text, found[1], old)); err != nil {
		t.Fatal(err)
	}
	return program, string(old)
}
