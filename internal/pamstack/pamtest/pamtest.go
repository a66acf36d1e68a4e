// Package pamtest has the machine's libpam walk the stacks of tests, with modules
// that return what they are told to. Nothing of it is seen outside: each run has
// a mount namespace of its own.
package pamtest

import (
	"embed"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/testprogram"
)

//go:embed testdata/*.c
var sources embed.FS

// Libpam is the machine's, and what was built to speak with it.
type Libpam struct {
	// Oracle is the program of testdata/oracle.c, Tries that of tries.c, and
	// Module the module of mark.c.
	Oracle, Tries, Module string
}

// New builds the programs.
func New(t testing.TB) Libpam {
	t.Helper()
	dir := t.TempDir()
	// Where a chroot has them too.
	l := Libpam{filepath.Join(dir, "oracle"), filepath.Join(dir, "tries"), filepath.Join(dir, "mark.so")}
	for source, args := range map[string][]string{"oracle": {"-o", l.Oracle}, "tries": {"-o", l.Tries}, "mark": {"-shared", "-fPIC", "-o", l.Module}} {
		text, err := sources.ReadFile("testdata/" + source + ".c")
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("gcc", append([]string{"-Wall", "-x", "c", "-", "-x", "none", "-lpam", "-ldl"}, args...)...)
		cmd.Stdin = strings.NewReader(string(text))
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("gcc %s: %v\n%s", source, err, output)
		}
	}
	return l
}

// helper is pam_unix's, where libpam looks for it.
const helper = "/usr/sbin/unix_chkpwd"

// Within runs a program with conf in the place of the machine's pam.d. That is
// where Debian's libpam looks for included files, whatever pam_start_confdir(3)
// was told.
func (l Libpam) Within(conf string, command ...string) *exec.Cmd {
	script := `mount --bind "$1" /etc/pam.d && shift && exec "$@"`
	return exec.Command("unshare", append([]string{"--mount", "sh", "-c", script, "sh", conf}, command...)...)
}

// Chrooted runs one of the programs in root, with the machine's libraries mounted
// where they do not bring a pam.d along. If modules are given, libpam finds
// those and no others: each is a file to stand there under its name. The real
// pam_unix of libpam 1.7 has its helper read the passwords, for root too.
func (l Libpam) Chrooted(t testing.TB, root string, modules map[string]string, command ...string) *exec.Cmd {
	t.Helper()
	for _, file := range []string{l.Oracle, l.Tries, l.Module} {
		copyFile(t, file, filepath.Join(root, filepath.Base(file)))
	}
	copyFile(t, helper, filepath.Join(root, helper))
	inside := filepath.Join(root, "modules")
	for name, file := range modules {
		place := filepath.Join(inside, name)
		if filepath.IsAbs(name) {
			place = filepath.Join(root, name)
		}
		copyFile(t, file, place)
	}
	const script = `cd "$1" && for dir in /usr/lib/*-linux-gnu /usr/lib64; do
	mkdir -p ".$dir" && mount --bind "$dir" ".$dir" || exit 1
	if [ -d modules ] && [ -d ".$dir/security" ]; then mount --bind modules ".$dir/security" || exit 1; fi
done
test -e lib || ln -s usr/lib lib; test -e lib64 || ln -s usr/lib64 lib64
shift; exec chroot . "$@"`
	command[0] = "/" + filepath.Base(command[0])
	return exec.Command("unshare", append([]string{"--mount", "sh", "-c", script, "sh", root}, command...)...)
}

// copyFile copies a program, or a module.
func copyFile(t testing.TB, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(to), 0o755)
	}
	if err == nil {
		err = testprogram.Write(to, data)
	}
	if err != nil {
		t.Fatal(err)
	}
}
