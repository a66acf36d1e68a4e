package packages_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A line that calls the module keeps make uninstall from going on. The copies
// that otpctl pam keeps are no services; they are named, as one that is put
// back would deny everybody.
func TestNoLines(t *testing.T) {
	const script = "../nolines"
	if _, err := os.ReadFile(script); err != nil { // so that go test learns of a change
		t.Fatal(err)
	}
	const copied = "sshd.before-otpgate-20261122T204122Z"
	for name, c := range map[string]struct {
		files  map[string]string
		refuse bool
		say    string
	}{
		"nothing":           {map[string]string{"sshd": "@include common-auth\n"}, false, ""},
		"a line":            {map[string]string{"sshd": line}, true, "sshd:auth required pam_otpgate.so"},
		"a comment":         {map[string]string{"sshd": "# " + line}, false, ""},
		"a copy":            {map[string]string{"sshd": "@include common-auth\n", copied: line}, false, copied},
		"a copy and a line": {map[string]string{"su": line, copied: line}, true, "su:auth required pam_otpgate.so"},
		"a copy without it": {map[string]string{copied: "@include common-auth\n"}, false, ""},
	} {
		dir := t.TempDir()
		for file, text := range c.files {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		said, err := exec.Command(script, dir).CombinedOutput()
		if (err != nil) != c.refuse || !strings.Contains(string(said), c.say) || c.say == "" && len(said) > 0 {
			t.Errorf("%s: %v, said %q; expected %q", name, err, said, c.say)
		}
	}
}
