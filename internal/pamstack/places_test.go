package pamstack

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/pamstack/pamtest"
)

// Where files are looked for, and what stands in for those that are missing:
// libpam in a root of its own, and Load below it, say the same.
func TestPlaces(t *testing.T) {
	o := pamtest.New(t)
	const mark = "/mark.so"
	for name, files := range map[string]map[string]string{
		"the admin's counts, not the vendor's": {
			"etc/pam.d/s": "auth required MARK id=admin\n", "usr/lib/pam.d/s": "auth required MARK id=vendor\n",
		},
		"the vendor's":             {"etc/pam.d/other": "auth required MARK id=other\n", "usr/lib/pam.d/s": "auth required MARK id=vendor\n"},
		"includes of the vendor's": {"etc/pam.d/s": "auth include x\n", "usr/lib/pam.d/x": "auth required MARK id=vendor\n"},
		"a directory that Debian's library does not know": {
			"etc/pam.d/other": "auth required MARK id=other\n", "usr/etc/pam.d/s": "auth required MARK id=vendor\n",
		},
		"other for a service that is not there": {
			"etc/pam.d/other": "auth required MARK id=other\naccount required MARK id=other ret=7\n",
		},
		"other for a type that is not there": {
			"etc/pam.d/s": "auth required MARK id=own\n", "etc/pam.d/other": "auth required MARK id=other\naccount required MARK id=other\n",
		},
		"nothing":                      {"etc/pam.d/unrelated": ""},
		"other in capitals":            {"etc/pam.d/OTHER": "auth required MARK id=other\n"},
		"pam.conf":                     {"etc/pam.conf": "s auth required MARK id=conf\nt auth required MARK id=t\nS account required MARK id=capital\n"},
		"pam.conf beside pam.d":        {"etc/pam.conf": "s auth required MARK id=conf\n", "etc/pam.d/other": "auth required MARK id=other\n"},
		"other of pam.conf":            {"etc/pam.conf": "other auth required MARK id=conf\ns account required MARK id=own\n"},
		"an include of pam.conf":       {"etc/pam.conf": "s auth include /etc/x\n", "etc/x": "auth required MARK id=x\n"},
		"a file that ends in a line":   {"etc/pam.d/s": "auth required MARK id=own\nauth required \\", "etc/pam.d/other": "auth required MARK id=other\n"},
		"an absolute include":          {"etc/pam.d/s": "auth include /etc/x\n", "etc/x": "auth required MARK id=x\n"},
		"a directory for a service":    {"etc/pam.d/s/x": "", "etc/pam.d/other": "auth required MARK id=other\n"},
		"an empty service":             {"etc/pam.d/s": "# nothing\n", "etc/pam.d/other": "auth required MARK id=other\n"},
		"an include of what has other": {"etc/pam.d/s": "@include other\n", "etc/pam.d/other": "auth required MARK id=other\n"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for path, text := range files {
				write(t, filepath.Join(root, path), strings.ReplaceAll(text, "MARK", mark))
			}
			want := strings.Join(said(t, o.Chrooted(t, root, nil, o.Oracle, "-", "s"))[0], "\n")
			got := strings.Join(foretold(Tree{Root: root, Debian: debian}, "s", mark), "\n")
			if got != want {
				t.Errorf("libpam:\n%s\nWalk:\n%s", want, got)
			}
		})
	}
}

// Where libpam is not Debian's, the second directory of the vendor counts too, as
// the last one.
func TestSecondVendorDirectory(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/usr/etc/pam.d/sshd", "auth required pam_unix.so\n")
	write(t, root+"/usr/etc/pam.d/su", "auth required pam_deny.so\n")
	write(t, root+"/usr/lib/pam.d/su", "auth required pam_unix.so\n")
	write(t, root+"/etc/pam.d/login", "auth include sshd\n")
	tree := Tree{Root: root}
	for service, want := range map[string]string{"sshd": "/usr/etc/pam.d/sshd:1", "su": "/usr/lib/pam.d/su:1", "login": "/usr/etc/pam.d/sshd:1"} {
		stack, err := tree.Load(service)
		if err != nil || len(stack.Lines(Auth)) != 1 || stack.Lines(Auth)[0].Position.String() != want {
			t.Errorf("%s: %v, %v; expected the line of %s", service, stack.Lines(Auth), err, want)
		}
	}
	if names, err := tree.Services(); err != nil || len(names) != 3 {
		t.Errorf("found the services %q, %v", names, err)
	}
	tree.Debian = true
	if _, found := tree.Find("sshd"); found {
		t.Error("Debian's library does not look there")
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
