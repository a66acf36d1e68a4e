package fronttest

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// In a container nobody listens at /dev/log. What the front has to say then is
// in the file that root has made for it, and not in the host's own output.
func TestLogFile(t *testing.T) {
	eachKit(t, func(t *testing.T, kit *Kit) {
		file, service := NewLogFile(t, 0o640), serviceName(t)
		kit.Stack(t, service, "protocol=crash debug")
		for _, stdio := range []string{"--pipe-stdio", "--close-stdio"} {
			outcome := kit.Login(t, append(file.Host, "--service", service, "--user", "alice", stdio)...)
			unchanged(t, outcome)
			if outcome.Result != "PAM_SYSTEM_ERR" || outcome.Stdio != "" {
				t.Errorf("%s: %s, the host was written to: %q", stdio, outcome.Result, outcome.Stdio)
			}
		}
		text, err := os.ReadFile(file.Path)
		if err != nil {
			t.Fatal(err)
		}
		line := `(?m)^[A-Z][a-z]{2} [ 123][0-9] [0-9:]{8} otpgate\[[0-9]+\]: user=alice service=` + service
		for _, what := range []string{` verdict=fault rule=front reason=".* ended before its verdict.*"$`, ` debug=.*$`} {
			if found := regexp.MustCompile(line+what).FindAllString(string(text), -1); len(found) < 2 {
				t.Errorf("expected a line of each login with %s in\n%s", what, text)
			}
		}
		for got := range strings.Lines(string(text)) {
			if !regexp.MustCompile(line).MatchString(got) || !strings.HasSuffix(got, "\n") {
				t.Errorf("an odd line: %q", got)
			}
		}
	})
}

// A line of any length ends, so that the next one is a line too.
func TestLongLineInLogFile(t *testing.T) {
	kit, file, service := kits.plain.forked(), NewLogFile(t, 0o600), serviceName(t)
	kit.Stack(t, service, "protocol=crash")
	for range 2 {
		_ = kit.Login(t, append(file.Host, "--service", service, "--user", strings.Repeat(`"`, 250))...)
	}
	text, err := os.ReadFile(file.Path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	if len(lines) != 3 || lines[2] != "" || len(lines[0]) < 500 || !strings.Contains(lines[1], "otpgate[") {
		t.Errorf("%q", lines)
	}
}

// What could be somebody else's is not written to, nor made.
func TestLogFileOfOthers(t *testing.T) {
	kit := kits.plain.forked()
	for name, row := range map[string]struct {
		make    func(path, other string) error
		options []string
	}{
		"none":                   {func(path, _ string) error { return os.Remove(path) }, nil},
		"others may write":       {func(path, _ string) error { return os.Chmod(path, 0o620) }, nil},
		"others may read":        {func(path, _ string) error { return os.Chmod(path, 0o644) }, nil},
		"somebody's":             {func(path, _ string) error { return os.Chown(path, 1000, 0) }, nil},
		"a second name":          {func(path, other string) error { return errors.Join(os.Remove(other), os.Link(path, other)) }, nil},
		"a link":                 {func(path, other string) error { return errors.Join(os.Remove(path), os.Symlink(other, path)) }, nil},
		"a FIFO":                 {func(path, _ string) error { return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)) }, nil},
		"a directory":            {func(path, _ string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }, nil},
		"a limit that tears":     {func(path, _ string) error { return os.WriteFile(path, nil, 0o600) }, []string{"--limit-fsize", "60"}},
		"a limit that is passed": {func(path, _ string) error { return os.WriteFile(path, nil, 0o600) }, []string{"--limit-fsize", "0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, service := NewLogFile(t, 0o600), serviceName(t)
			other := filepath.Join(filepath.Dir(file.Path), "other")
			if err := errors.Join(os.WriteFile(other, nil, 0o600), row.make(file.Path, other)); err != nil {
				t.Fatal(err)
			}
			kit.Stack(t, service, "nonsense")
			outcome := kit.Login(t, append(append(file.Host, row.options...), "--service", service, "--pipe-stdio")...)
			unchanged(t, outcome)
			if outcome.Result != "PAM_SERVICE_ERR" || outcome.Stdio != "" {
				t.Errorf("%s, %q", outcome.Result, outcome.Stdio)
			}
			entries, err := os.ReadDir(filepath.Dir(file.Path))
			if err != nil {
				t.Fatal(err)
			}
			for _, entry := range entries {
				if info, err := entry.Info(); err != nil || info.Mode().IsRegular() && info.Size() > 0 {
					t.Errorf("%s: %v, %v", entry.Name(), info, err)
				}
			}
		})
	}
}
