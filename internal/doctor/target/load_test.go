package target

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// opener is a program that prints what dlopen says of its argument.
const opener = `#include <dlfcn.h>
#include <security/pam_appl.h>
#include <stdio.h>
int main(int argc, char **argv)
{
	(void)pam_strerror(NULL, 0);
	void *module = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
	puts(module == NULL ? dlerror() : "loaded");
	return 0;
}
`

// module needs a function of libpam and one of the C library.
const module = `#include <security/pam_modules.h>
#include <stdlib.h>
int f(pam_handle_t *h) { const void *i; return abs(pam_get_item(h, 1, &i)); }
`

// compile makes a program or a library of C and gives its path.
func compile(t *testing.T, path, text string, args ...string) string {
	t.Helper()
	cmd := exec.Command("gcc", append([]string{"-x", "c", "-o", path, "-"}, args...)...)
	cmd.Stdin = strings.NewReader(text)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, said)
	}
	return path
}

// replaced writes what a module holds with one thing in place of another.
func replaced(t *testing.T, path string, data, old, new []byte) string {
	t.Helper()
	changed := bytes.ReplaceAll(data, old, new)
	if bytes.Equal(changed, data) {
		t.Fatalf("%q is not in the module", old)
	}
	if err := os.WriteFile(path, changed, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// What the doctor says of a module that cannot be loaded is what dlopen says.
func TestLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	opens := compile(t, in("opens"), opener, "-lpam")
	good := compile(t, in("good.so"), module, "-shared", "-fPIC", "-lpam")
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	text := in("text.so")
	if err := os.WriteFile(text, []byte("auth required pam_otpgate.so\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	class := bytes.Clone(data[:8])
	class[4] = 1 // 32 bits
	for path, want := range map[string]string{
		good: "loaded",
		// Many modules leave libpam's functions to the host's libpam.
		compile(t, in("unlinked.so"), module, "-shared", "-fPIC"):                                      "loaded",
		compile(t, in("symbol.so"), "int g(void);\nint f(void) { return g(); }\n", "-shared", "-fPIC"): "undefined symbol: g",
		replaced(t, in("library.so"), data, []byte("libpam.so.0"), []byte("libpax.so.0")):              "libpax.so.0: cannot open",
		replaced(t, in("versions.so"), data, []byte("LIBPAM_1.0\x00"), []byte("LIBPAM_1.9\x00")):       "",
		replaced(t, in("class.so"), data, data[:8], class):                                             "wrong ELF class: ELFCLASS32",
		text: "file too short",
		dir:  "cannot read file data",
	} {
		output, err := exec.Command(opens, path).Output()
		if err != nil {
			t.Fatal(err)
		}
		said := "loaded"
		if err := load(t.Context(), path); err != nil {
			said = err.Error()
		}
		truth := strings.TrimSpace(string(output))
		// The loader has no table of errors by then.
		truth = strings.Replace(truth, "Is a directory", "Error 21", 1)
		if said != truth || !strings.Contains(said, want) {
			t.Errorf("%s: the doctor says %q, dlopen %q, expected %q in it", filepath.Base(path), said, truth, want)
		}
	}
}

// Nothing of what is looked at is run.
func TestLoadRunsNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, mark := filepath.Join(dir, "eager.so"), filepath.Join(dir, "mark")
	compile(t, path, "#include <fcntl.h>\n__attribute__((constructor)) static void run(void) { (void)open(\""+mark+"\", O_CREAT, 0600); }\n", "-shared", "-fPIC")
	if err := load(t.Context(), path); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("the module's constructor ran")
	}
}
