package target

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// A directory in memory is told from one on a disk.
func TestVolatile(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "space")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if !space(dir).Volatile {
		t.Error("a directory of a tmpfs is on a disk")
	}
	if space("/etc").Volatile {
		t.Error("/etc is in memory")
	}
}

// A label is read as SELinux keeps it.
func TestLabel(t *testing.T) {
	m := &Machine{Root: t.TempDir()}
	if err := os.WriteFile(m.Root+"/pam_otpgate.so", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := m.label("/pam_otpgate.so"); got != "" {
		t.Errorf("a file without a label has %q", got)
	}
	const label = "unconfined_u:object_r:user_home_t:s0"
	if err := unix.Setxattr(m.Root+"/pam_otpgate.so", "security.selinux", []byte(label+"\x00"), 0); err != nil {
		t.Fatal(err)
	}
	if got := m.label("/pam_otpgate.so"); got != label {
		t.Errorf("the label is %q, expected %q", got, label)
	}
}
