package e2e

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/otpgate/otpgate/e2e/machine"
)

// expectOwner fails t unless the file is that uid's and gid's.
func expectOwner(t *testing.T, info fs.FileInfo, uid, gid int) {
	t.Helper()
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) != uid || int(st.Gid) != gid {
		t.Errorf("%s: expected uid %d gid %d, found %+v", info.Name(), uid, gid, st)
	}
}

// writeKey gives the person another key and returns the path of its private
// half.
func writeKey(t *testing.T, p *machine.Person) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "another")
	if output, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v: %s", err, output)
	}
	public, err := os.ReadFile(path + ".pub")
	must(t, err)
	authorize(t, p, string(public))
	return path
}
