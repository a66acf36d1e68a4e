package otpgate_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/testprogram"
	"github.com/otpgate/otpgate/internal/testwait"
)

// awaitNewer waits until what is written in dir is newer than files there, also by a
// clock that ticks slowly.
func awaitNewer(t *testing.T, dir string, files []string) {
	t.Helper()
	var newest time.Time
	for _, file := range files {
		if info, err := os.Stat(filepath.Join(dir, file)); err == nil && info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	probe := filepath.Join(dir, "probe")
	testwait.Until(t, "the file system's clock goes on", func() bool {
		if err := os.WriteFile(probe, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(probe)
		if err != nil {
			t.Fatal(err)
		}
		return info.ModTime().After(newest)
	})
}

// What says a version is built anew for another one, and not for the same.
func TestVersionIsBuiltIn(t *testing.T) {
	dir := t.TempDir()
	text, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	// In place of the compiler: it writes what it was asked for.
	compiler := "#!/bin/sh\nwhile [ $# -gt 1 ]; do case $1 in -o) out=$2 ;; -ldflags) flags=$2 ;; esac; shift; done\necho \"$flags\" >\"$out\"; echo run >>log\n"
	for name, file := range map[string]string{"Makefile": string(text), "compiler": compiler, "go.mod": "", "go.sum": "", "main.go": ""} {
		if err := testprogram.Write(filepath.Join(dir, name), []byte(file)); err != nil {
			t.Fatal(err)
		}
	}
	programs := []string{"build/otpctl", "build/otpgate-verifierd", "build/otpgate-send", "build/otpgate-sftpd"}
	build := func(version string) (runs int) {
		t.Helper()
		awaitNewer(t, dir, programs)
		cmd := exec.Command("make", append([]string{"GO=./compiler", "VERSION=" + version}, programs...)...)
		cmd.Dir = dir
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("make: %v\n%s", err, said)
		}
		for _, program := range programs {
			says, err := os.ReadFile(filepath.Join(dir, program))
			if err != nil || !strings.Contains(string(says), "main.version="+version+"\n") {
				t.Errorf("%s was to say %s, and was built with %q, %v", program, version, says, err)
			}
		}
		log, err := os.ReadFile(filepath.Join(dir, "log"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(log), "run")
	}
	for i, version := range []string{"v1", "v2", "v2", "v1"} {
		if runs, want := build(version), []int{4, 8, 8, 12}[i]; runs != want {
			t.Errorf("after %s the compiler had run %d times, expected %d", version, runs, want)
		}
	}
}
