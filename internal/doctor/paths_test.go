package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// A stack with more ways through it than anybody can try takes no time, and
// that not all were tried is said.
func TestManyWays(t *testing.T) {
	var text strings.Builder
	for n := range 30 {
		fmt.Fprintf(&text, "auth [success=ok default=ignore] pam_succeed_if.so uid >= %d\n", n)
	}
	text.WriteString("auth requisite pam_unix.so\nauth required pam_otpgate.so\n")
	began := time.Now()
	found := stackOf(t, text.String()).Problems()
	if len(found) != 1 || found[0].ID != "stack-too-long" {
		t.Errorf("found %v", found)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v", took)
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
