package authstack

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/pamstack"
)

func stackOf(t *testing.T, text string) Stack {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "sshd"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "inner"), []byte("auth requisite pam_unix.so\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	stack, err := Load(pamstack.Tree{ConfDir: dir}, "sshd", config.Default())
	if err != nil {
		t.Fatal(err)
	}
	return stack
}

// Of a stack with more ways through it than anybody can try a bounded number is
// tried, and that not all were is said. What is bounded is the work, not the
// time, which others on the machine may take.
func TestManyWays(t *testing.T) {
	var text strings.Builder
	for n := range 30 {
		fmt.Fprintf(&text, "auth [success=ok default=ignore] pam_succeed_if.so uid >= %d\n", n)
	}
	text.WriteString("auth requisite pam_unix.so\nauth required pam_otpgate.so\n")
	stack := stackOf(t, text.String())
	for _, password := range []bool{true, false} {
		if ways := len(stack.paths(Outcome{Password: password})); ways != maxPaths {
			t.Errorf("password right %v: %d ways tried, expected %d", password, ways, maxPaths)
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	found := stack.Problems()
	runtime.ReadMemStats(&after)
	if len(found) != 1 || found[0].ID != "stack-too-long" {
		t.Errorf("found %v", found)
	}
	// Thirteen questions try them all, at about one allocation a line.
	if each := (after.Mallocs - before.Mallocs) / maxPaths; each > 1000 {
		t.Errorf("%d allocations a way, expected about 400", each)
	}
}

// A module that nobody knows is taken for the password's only where no other
// is.
func TestUnknownModules(t *testing.T) {
	for text, want := range map[string]string{
		"auth requisite pam_homegrown.so\nauth required pam_otpgate.so\n":                                   "",
		"auth sufficient pam_homegrown.so\nauth required pam_otpgate.so\n":                                  "code-never-asked code-replaces-password",
		"auth sufficient pam_homegrown.so\nauth requisite pam_unix.so\nauth required pam_otpgate.so\n":      "code-can-be-skipped",
		"auth required pam_otpgate.so\nauth required pam_homegrown.so\n":                                    "code-before-password",
		"auth [success=ok default=die] pam_unix.so\nauth required pam_otpgate.so debug debug\n":             "argument",
		"auth requisite pam_unix.so\nauth required pam_otpgate.so timeout=601\n":                            "argument",
		"auth requisite pam_unix.so\nauth required pam_otpgate.so timeout=600 debug verifier=off config=/x": "",
	} {
		var ids []string
		for _, f := range stackOf(t, text).Problems() {
			ids = append(ids, f.ID)
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("%s: found %q, expected %q", text, got, want)
		}
	}
}
