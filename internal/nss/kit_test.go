package nss

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// These tests are not about how long a machine takes that has other things to do.
func init() {
	for _, a := range []*asker{own, groups, usual} {
		a.patience = never
	}
}

const inside = "OTPGATE_TEST_NSS"

// alone runs the test again in mounts of its own, with these lines in
// nsswitch.conf and a service called probe, see e2e/testdata/nss_probe.c. It is
// true there.
func alone(t *testing.T, lines string) bool {
	t.Helper()
	if os.Getenv(inside) != "" {
		return true
	}
	dir := t.TempDir()
	write(t, dir+"/nsswitch.conf", lines+"\n")
	for _, command := range [][]string{
		{"gcc", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-o", dir + "/libnss_probe.so.2", "../../e2e/testdata/nss_probe.c"},
		{"cp", "-a", "/etc/ld.so.conf", dir + "/conf"},
		{"sh", "-c", `echo "$0" >> "$0/conf"`, dir},
		{"/sbin/ldconfig", "-i", "-X", "-f", dir + "/conf", "-C", dir + "/cache"},
	} {
		if output, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", command, err, output)
		}
	}
	const script = `mount --bind "$0/nsswitch.conf" /etc/nsswitch.conf && mount --bind "$0/cache" /etc/ld.so.cache &&
		mount -t tmpfs none /var/lib && mkdir /var/lib/extrausers /var/lib/nss-probe && exec "$@"`
	cmd := exec.Command("unshare", "--mount", "sh", "-c", script, dir, os.Args[0], "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), inside+"=1")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %.4000s", err, output)
	}
	return false
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// probe writes one of the service's files.
func probe(t *testing.T, name, text string) {
	t.Helper()
	write(t, filepath.Join("/var/lib/nss-probe", name), text)
}

// fifo is what a question hangs on.
type fifo string

func newFIFO(t *testing.T) fifo {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return fifo(path)
}

// held waits until a question hangs on the fifo, and returns what lets it go on.
func (f fifo) held(t *testing.T) (release func()) {
	t.Helper()
	for {
		fd, err := unix.Open(string(f), unix.O_WRONLY, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return func() { _ = unix.Close(fd) }
	}
}
