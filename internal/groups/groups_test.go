package groups

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const inside = "OTPGATE_TEST_GROUPS"

// Many ask at once, of a name service that the C library goes through group by
// group, as libnss-extrausers is.
func TestManyAtOnce(t *testing.T) {
	if os.Getenv(inside) != "" {
		askAtOnce(t)
		return
	}
	dir := t.TempDir()
	var text strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&text, "extra%d:x:%d:root\n", i, 20000+i)
	}
	for name, content := range map[string]string{"nsswitch.conf": "passwd: files\ngroup: files extrausers\n", "group": text.String(), "passwd": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const script = `mount --bind "$0/nsswitch.conf" /etc/nsswitch.conf && mount -t tmpfs none /var/lib && mkdir /var/lib/extrausers && cp "$0/group" "$0/passwd" /var/lib/extrausers && exec "$@"`
	cmd := exec.Command("unshare", "--mount", "sh", "-c", script, dir, os.Args[0], "-test.run=^TestManyAtOnce$")
	cmd.Env = append(os.Environ(), inside+"=1")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %.2000s", err, output)
	}
}

func askAtOnce(t *testing.T) {
	account, err := user.Lookup("root")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				found, err := Of(account)
				if err != nil || !slices.Contains(found, "21999") {
					t.Errorf("%d groups, %v", len(found), err)
				}
			}
		})
	}
	all.Wait()
}
