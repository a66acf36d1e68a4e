package pamfiles

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// Passwords that cannot be read are doubt, and not passwords of which none is empty.
func TestUnreadableShadow(t *testing.T) {
	t.Parallel()
	e := &Exam{Machine: &target.Machine{Root: t.TempDir()}}
	s := authstack.Stack{Stack: pamstack.Stack{Service: "login"}, Lines: []pamstack.Line{{Module: "pam_unix.so", Args: []string{"nullok"}}}}
	if e.emptyPasswords(s); len(e.findings) > 0 {
		t.Errorf("a machine without the file: %v", e.findings)
	}
	// As another user would find it: root reads everything, but no link to itself.
	path := filepath.Join(e.Machine.Root, "etc/shadow")
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("shadow", path); err != nil {
		t.Fatal(err)
	}
	e.Machine = &target.Machine{Root: e.Machine.Root} // a run reads it once
	if e.emptyPasswords(s); len(e.findings) != 1 || e.findings[0].ID != "not-looked-at" {
		t.Errorf("a file that cannot be read: %v", e.findings)
	}
}
