package e2e

import (
	"io/fs"
	"syscall"
	"testing"
)

// expectOwner fails t unless the file is that uid's and gid's.
func expectOwner(t *testing.T, info fs.FileInfo, uid, gid int) {
	t.Helper()
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) != uid || int(st.Gid) != gid {
		t.Errorf("%s: expected uid %d gid %d, found %+v", info.Name(), uid, gid, st)
	}
}
