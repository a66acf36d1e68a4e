package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// thousand is a file of 1,000 people and a configuration, in a directory.
func thousand(tb testing.TB) (dir string) {
	tb.Helper()
	dir = tb.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		tb.Fatal(err)
	}
	var people strings.Builder
	people.WriteString("user,kind,email\n")
	for i := range 1000 {
		fmt.Fprintf(&people, "p%d,%s,p%d@example.com\n", i, []string{"totp", "email"}[i%2], i)
	}
	config := fmt.Sprintf("[paths]\nusers = %q\nstate = %q\n", filepath.Join(dir, "users"), filepath.Join(dir, "state"))
	for name, text := range map[string]string{"people.csv": people.String(), "otpgate.toml": config} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

// otpctl is the command, which testscript.Main has put into the path of the
// scripts alone: here the test's own program takes its name.
func otpctl(tb testing.TB, dir string, args ...string) *exec.Cmd {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	name := filepath.Join(dir, "otpctl")
	if err := os.Symlink(self, name); err != nil && !os.IsExist(err) {
		tb.Fatal(err)
	}
	c := exec.Command(name, append([]string{"--config", filepath.Join(dir, "otpgate.toml")}, args...)...)
	c.Dir = dir
	c.Env = append(os.Environ(), "AUTHPRIV="+filepath.Join(dir, "authpriv"), "PATIENCE=1ms", "TERM=xterm-256color")
	return c
}

// progresses runs a command on a terminal that says how far it is, and returns its answer.
func progresses(t *testing.T, dir, what string, total int, args ...string) (answer string) {
	t.Helper()
	master, slave, err := openTerminal(unix.Winsize{Row: 24, Col: 80})
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	c := otpctl(t, dir, args...)
	var stdout bytes.Buffer
	c.Stdout, c.Stderr = &stdout, slave
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	var screen strings.Builder
	for buffer := make([]byte, 4096); ; {
		n, err := master.Read(buffer)
		screen.Write(buffer[:n])
		if err != nil { // EIO once the other side is closed
			break
		}
	}
	if err := c.Wait(); err != nil {
		t.Fatalf("%v: %s", err, screen.String())
	}
	text := screen.String()
	at := strings.LastIndex(text, what)
	if at < 0 || !strings.Contains(text[at:], fmt.Sprintf(" of %d", total)) || !strings.HasSuffix(text[at:], "\r\x1b[K") {
		t.Errorf("%s on a terminal: %q", args, text)
	}
	return stdout.String()
}

// stepsOfBulk are what is done for all people at once, one after the other.
var stepsOfBulk = [][]string{
	{"enroll", "--csv", "people.csv", "--dry-run", "--no-user-check"},
	{"enroll", "--csv", "people.csv", "--out", "out.csv", "--no-user-check"},
	{"list"}, {"session", "list"},
}

// How long each step takes the processor for a thousand people.
func BenchmarkThousandPeople(b *testing.B) {
	for b.Loop() {
		dir := thousand(b)
		for _, args := range stepsOfBulk {
			command := otpctl(b, dir, args...)
			if err := command.Run(); err != nil {
				b.Fatalf("%v: %v", args, err)
			}
			b.Logf("%s: %v", strings.Join(args, " "), command.ProcessState.UserTime()+command.ProcessState.SystemTime())
		}
	}
}

// A thousand people are enrolled and listed.
func TestThousandPeople(t *testing.T) {
	dir := thousand(t)
	for _, args := range stepsOfBulk {
		out, err := otpctl(t, dir, args...).Output()
		if err != nil {
			t.Errorf("%v: %v", args, err)
		}
		if n := bytes.Count(out, []byte("\n")); args[0] == "enroll" && n != 1000 {
			t.Errorf("%d lines of report, want 1000", n)
		}
	}
	files, err := os.ReadDir(filepath.Join(dir, "users"))
	handed, err2 := os.ReadFile(filepath.Join(dir, "out.csv"))
	if err != nil || err2 != nil || len(files) != 1000 || bytes.Count(handed, []byte("\n")) != 1001 {
		t.Errorf("%d secret files and %d lines to hand out: %v, %v", len(files), bytes.Count(handed, []byte("\n")), err, err2)
	}
}

// On a terminal long work says how far it is, and takes that away in the end;
// elsewhere it does not.
func TestProgress(t *testing.T) {
	dir := thousand(t)
	answer := progresses(t, dir, "lines done: ", 1000, "enroll", "--csv", "people.csv", "--json", "--no-user-check")
	if strings.Contains(answer, "lines done") || strings.Count(answer, `"uri"`) != 500 {
		t.Error("the answer holds the progress, or not every URI")
	}
	if output, err := otpctl(t, dir, "secrets", "init", "key", "--no-spare").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	config, err := os.OpenFile(filepath.Join(dir, "otpgate.toml"), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = fmt.Fprintf(config, "[secrets]\nkeys = [%q]\n", filepath.Join(dir, "key"))
	}
	if err := errors.Join(err, config.Close()); err != nil {
		t.Fatal(err)
	}
	progresses(t, dir, "people done: ", 1000, "secrets", "encrypt")
	quiet := otpctl(t, dir, "session", "list")
	var stderr bytes.Buffer
	quiet.Stderr = &stderr
	if err := quiet.Run(); err != nil || strings.Contains(stderr.String(), "people looked at") {
		t.Errorf("elsewhere: %v: %q", err, stderr.String())
	}
}
