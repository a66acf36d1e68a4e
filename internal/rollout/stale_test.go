package rollout

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// includedFile is the file from which a service has its password module by an include.
func includedFile(t *testing.T, root, service string) (path string) {
	t.Helper()
	source, err := authstack.Load(pamstack.Of(root), service, config.Default())
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range source.Lines {
		if len(line.Via) > 0 && strings.HasPrefix(line.Name(), "pam_unix") {
			path = root + line.File
		}
	}
	return path
}

// What Plan has written out is not stale until what it was made from changes, for each
// distribution where it does so; taken back and written again it is not stale either.
func TestStale(t *testing.T) {
	files, err := filepath.Glob("testdata/stock/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%q, %v", files, err)
	}
	written := 0
	for _, file := range files {
		root, services := stock(t, file)
		for _, service := range services {
			tree, settings := pamstack.Of(root), config.Default()
			line := Line{Module: authstack.ModuleName, Arguments: []string{"protocol=login"}}
			edit, err := Plan(tree, settings, service, line)
			if err != nil || !strings.Contains(edit.After, authstack.WrittenFrom) {
				continue
			}
			written++
			stale := func(text string) (string, bool) {
				t.Helper()
				tree.Edited = map[string]string{edit.Path: text}
				stack, err := authstack.Load(tree, service, settings)
				if err != nil {
					t.Fatal(err)
				}
				return Stale(tree, settings, stack)
			}
			if change, ok := stale(edit.After); ok {
				t.Errorf("%s: %s: found stale at once: %s", file, service, change)
			}
			from := includedFile(t, root, service)
			text, err := os.ReadFile(from)
			if err != nil {
				t.Fatal(err)
			}
			changed := strings.Replace(string(text), "auth", "auth required pam_faillock.so preauth deny=3\nauth", 1)
			if err := os.WriteFile(from, []byte(changed), 0o644); err != nil {
				t.Fatal(err)
			}
			if change, ok := stale(edit.After); !ok || !strings.Contains(change, "deny=3") {
				t.Errorf("%s: %s: expected that the new line is missed, found %q, %v", file, service, change, ok)
			}
			tree.Edited = map[string]string{edit.Path: authstack.TakenBack(edit.After)}
			again, err := Plan(tree, settings, service, line)
			if err != nil {
				t.Fatal(err)
			}
			if change, ok := stale(again.After); ok {
				t.Errorf("%s: %s: written again it is stale: %s", file, service, change)
			}
			if err := os.WriteFile(from, text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if written == 0 {
		t.Error("nothing was written out")
	}
}
