package sftp_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/testprogram"
)

// tree has a file of some size, one beyond 4 GiB, odd names and 1,000 files.
func tree(t *testing.T) (dir string, random []byte) {
	t.Helper()
	dir = tempDir(t)
	random = make([]byte, 3<<20+17)
	if _, err := rand.Read(random); err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(filepath.Join(dir, "random"), random, 0o640))
	must(os.Mkdir(filepath.Join(dir, "many"), 0o755))
	for i := range 1000 {
		must(os.WriteFile(filepath.Join(dir, "many", fmt.Sprintf("file-%04d", i)), []byte(fmt.Sprint(i)), 0o644))
	}
	must(os.WriteFile(filepath.Join(dir, "many", "odd \xff\xfe'\"name"), []byte("odd"), 0o644))
	return dir, random
}

// environment makes the test binary that a client starts a server.
func environment() []string {
	return append(os.Environ(), serverEnv+"=0:0::022:rw:")
}

// script is a program that a client can run in place of ssh.
func script(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "server")
	text := fmt.Sprintf("#!/bin/sh\ncd %s && exec %s\n", dir, os.Args[0])
	if err := testprogram.Write(path, []byte(text)); err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs a client and gives what it printed.
func run(t *testing.T, dir, input string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdin = dir, environment(), strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", args[0], err, out)
	}
	return string(out)
}

func same(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes that are not the %d expected", path, len(got), len(want))
	}
}

// exists looks that a path is there, or not.
func exists(t *testing.T, path string, want bool) {
	t.Helper()
	if _, err := os.Lstat(path); (err == nil) != want {
		t.Errorf("%s: %v", path, err)
	}
}

// sparse makes a file of 5 GiB that holds a few bytes at its end.
func sparse(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteAt([]byte("the end"), 5<<30); err != nil {
		t.Fatal(err)
	}
}

// TestOpenSSHClient runs sftp on the server itself: -D needs no SSH.
func TestOpenSSHClient(t *testing.T) {
	dir, random := tree(t)
	away := t.TempDir()
	in := func(name string) string { return filepath.Join(away, name) }
	if err := os.WriteFile(in("part"), random[:1<<20], 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "reput"), random[:2<<20+5], 0o644); err != nil {
		t.Fatal(err)
	}
	out := run(t, dir, fmt.Sprintf(`pwd
get random %[1]s/got
put %[1]s/got put
reget random %[1]s/part
reput %[1]s/got reput
mkdir new
put -r %[1]s new/tree
get -r many %[1]s/many
rename put put2
ln put2 hard
ln -s put2 soft
chmod 600 put2
copy random copied
ls -la
ls -ln many
df -h
get -p put2 %[1]s/preserved
put -fp %[1]s/got synced
rm hard
mkdir empty
rmdir empty
`, away), "sftp", "-b", "-", "-D", os.Args[0])
	for _, name := range []string{"got", "part", "preserved"} {
		same(t, in(name), random)
	}
	for _, name := range []string{"put2", "reput", "synced", "new/tree/got", "copied", "soft"} {
		same(t, filepath.Join(dir, name), random)
	}
	for name, want := range map[string]bool{"put": false, "hard": false, "empty": false, "soft": true} {
		exists(t, filepath.Join(dir, name), want)
	}
	names, err := os.ReadDir(in("many"))
	if err != nil || len(names) != 1001 {
		t.Errorf("%d files of 1,001 came: %v", len(names), err)
	}
	for _, want := range []string{"Remote working directory: " + dir, "%Capacity", "root     root", "file-0999"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in the output", want)
		}
	}
}

func TestBigFile(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "otpgate-sftp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	sparse(t, filepath.Join(dir, "big"))
	// Most of it is there already, so that only the rest is sent.
	for _, name := range []string{"part", "up"} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, nil, 0o644), os.Truncate(path, 4<<30+1<<29+3)); err != nil {
			t.Fatal(err)
		}
	}
	run(t, dir, "reget big part\nreput part up\n", "sftp", "-b", "-", "-D", os.Args[0])
	for _, name := range []string{"part", "up"} {
		file, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		end := make([]byte, 20)
		n, err := file.ReadAt(end, 5<<30-4)
		if string(end[:n]) != "\x00\x00\x00\x00the end" || err != io.EOF {
			t.Errorf("%s has %q at 5 GiB, %v", name, end[:n], err)
		}
	}
}

func TestLFTP(t *testing.T) {
	dir, random := tree(t)
	away := t.TempDir()
	out := run(t, away, "", "lftp", "--norc", "-c", fmt.Sprintf(`set sftp:auto-confirm yes; set net:max-retries 1; set cmd:fail-exit yes;
set sftp:connect-program "%s"; open sftp://user:unused@localhost;
get random; put random -o put; mirror many; mirror -R many many2; mv put put2; chmod 600 put2; mkdir new; rmdir new;
get -c random; ls; pwd; rm put2`, script(t, dir)))
	same(t, filepath.Join(away, "random"), random)
	exists(t, filepath.Join(dir, "put2"), false)
	for _, copied := range []string{filepath.Join(away, "many"), filepath.Join(dir, "many2")} {
		if names, err := os.ReadDir(copied); err != nil || len(names) < 1000 {
			t.Errorf("%s has %d files: %v", copied, len(names), err)
		}
	}
	if !strings.Contains(out, "put2\n") {
		t.Errorf("not listed:\n%s", out)
	}
}

// TestSSHFS mounts in a mount namespace of its own, which ends with the shell.
func TestSSHFS(t *testing.T) {
	dir, random := tree(t)
	mount := t.TempDir()
	out := run(t, dir, "", "unshare", "--mount", "--propagation", "private", "sh", "-ec", fmt.Sprintf(`
sshfs -o ssh_command=%[1]s host:%[2]s %[3]s
trap 'fusermount3 -u %[3]s' EXIT
cd %[3]s
cmp random %[2]s/random
cp random copy
echo one >log; echo two >>log; cat log
ln log hard; ln -s log soft; mv hard other
test "$(ls many | wc -l)" = 1001
chmod 600 log; touch -d 2001-02-03 log; truncate -s 5 other
dd if=/dev/zero of=random bs=1 count=4 seek=100 conv=notrunc,fsync status=none
mkdir new; mv new newer; rmdir newer; rm soft
df . | tail -n 1
cd /
`, script(t, dir), dir, mount))
	same(t, filepath.Join(dir, "copy"), random)
	copy(random[100:], "\x00\x00\x00\x00")
	same(t, filepath.Join(dir, "random"), random)
	same(t, filepath.Join(dir, "other"), []byte("one\nt"))
	exists(t, filepath.Join(dir, "soft"), false)
	if !strings.Contains(out, "one\ntwo\n") || !strings.Contains(out, "host:") {
		t.Errorf("printed:\n%s", out)
	}
}
