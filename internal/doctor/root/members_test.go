package root

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/otpgate/otpgate/internal/doctor/target"
)

// A group whose members cannot be listed is not taken for one that has none: a rule
// without a password for it would be no more than a note.
func TestEmptyGroup(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		files map[string]string
		want  bool
	}{
		{map[string]string{"group": "wheel:x:10:\n", "passwd": "root:x:0:0::/:\n"}, true},
		{map[string]string{"group": "wheel:x:10:ann\n", "passwd": "root:x:0:0::/:\n"}, false},
		{map[string]string{"group": "wheel:x:10:\n"}, false}, // the main groups are not known
	} {
		m := &target.Machine{Root: t.TempDir(), GroupKnown: func(string) (bool, error) { return true, nil }}
		for name, text := range c.files {
			path := filepath.Join(m.Root, "etc", name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		r := &reading{exam: &exam{Exam: &Exam{Machine: m}}, people: &people{t.Context(), m, map[string]listing{}}}
		if got := r.empty("wheel"); got != c.want {
			t.Errorf("%v: found %t, expected %t", c.files, got, c.want)
		}
	}
}
