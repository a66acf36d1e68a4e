package packages_test

import (
	"debug/elf"
	"io/fs"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/machine"
)

// oldestGlibc is that of the oldest releases that the packages are for: Ubuntu
// 22.04 has 2.35, RHEL 9 has 2.34.
const oldestGlibc = "2.34"

// unpacked is what is in a package, in a directory.
func unpacked(t *testing.T, path string) string {
	t.Helper()
	dir := t.TempDir()
	if strings.HasSuffix(path, ".deb") {
		output(t, "dpkg-deb", "-x", path, dir)
		return dir
	}
	output(t, "sh", "-ec", `rpm2archive --nocompression - <"$0" | tar -x -C "$1"`, path, dir)
	return dir
}

// needs are the versions of glibc's symbols that a file asks for; ok says
// whether it is a program or a library at all.
func needs(t *testing.T, path string) (versions []string, ok bool) {
	t.Helper()
	file, err := elf.Open(path)
	if err != nil {
		return nil, false
	}
	defer file.Close()
	symbols, err := file.ImportedSymbols()
	// Without any it is a static program.
	if err != nil && file.Section(".dynsym") != nil {
		t.Fatalf("%s: %v", path, err)
	}
	for _, symbol := range symbols {
		if strings.HasPrefix(symbol.Version, "GLIBC_") {
			versions = append(versions, symbol.Version)
		}
	}
	// Some are of no symbol, such as that of relative relocations.
	needed, err := file.DynamicVersionNeeds()
	if err != nil && file.Section(".gnu.version_r") != nil {
		t.Fatalf("%s: %v", path, err)
	}
	for _, library := range needed {
		for _, need := range library.Needs {
			if strings.HasPrefix(need.Dep, "GLIBC_") {
				versions = append(versions, need.Dep)
			}
		}
	}
	return versions, true
}

// older says whether a is an older release of glibc than b.
func older(t *testing.T, a, b string) bool {
	t.Helper()
	var number [2][2]int
	for i, text := range []string{a, b} {
		parts := strings.Split(text, ".")
		for j := range 2 {
			n, err := strconv.Atoi(parts[j])
			if err != nil || len(parts) < 2 {
				t.Fatalf("%q is no version of glibc", text)
			}
			number[i][j] = n
		}
	}
	return number[0][0] < number[1][0] || number[0][0] == number[1][0] && number[0][1] < number[1][1]
}

// No file of the packages needs a newer glibc than they declare, and they
// declare none that is newer than the oldest release that they are for,
// whatever they were built on.
func TestGlibc(t *testing.T) {
	t.Parallel()
	for ending, declares := range map[string]func(path string) string{
		"deb": func(path string) string { return output(t, "dpkg-deb", "-f", path, "Pre-Depends") },
		"rpm": func(path string) string { return output(t, "rpm", "-qp", "--requires", path) },
	} {
		path := built(t, ending)
		match := regexp.MustCompile(`(?:libc6 \(|glibc )>= ([0-9.]+)`).FindStringSubmatch(declares(path))
		if match == nil {
			t.Errorf("%s: no version of glibc is declared in %q", ending, declares(path))
			continue
		}
		declared := match[1]
		if older(t, oldestGlibc, declared) {
			t.Errorf("%s: needs glibc %s, expected %s at most", ending, declared, oldestGlibc)
		}
		programs, newest := 0, "2.0"
		err := filepath.WalkDir(unpacked(t, path), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			versions, ok := needs(t, path)
			if ok {
				programs++
			}
			for _, needed := range versions {
				number := strings.TrimPrefix(needed, "GLIBC_")
				if !regexp.MustCompile(`^[0-9.]+$`).MatchString(number) {
					t.Errorf("%s needs %s, which says nothing about releases", path, needed)
					continue
				}
				if older(t, newest, number) {
					newest = number
				}
				if older(t, declared, number) {
					t.Errorf("%s needs %s, and the package declares %s", path, needed, declared)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if programs != 12 || newest != declared {
			t.Errorf("%s: found %d programs that need glibc %s; expected 12, and %s as the package declares", ending, programs, newest, declared)
		}
	}
}

// What the packages declare is computed from what they hold.
func TestNeeds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	compile := func(name, text string, args ...string) {
		t.Helper()
		cmd := exec.Command("gcc", append([]string{"-shared", "-fPIC", "-x", "c", "-o", filepath.Join(dir, name), "-"}, args...)...)
		cmd.Stdin = strings.NewReader(text)
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("gcc: %v\n%s", err, said)
		}
	}
	run := func() (string, error) {
		said, err := exec.Command(machine.Files+"/needs", dir).CombinedOutput()
		return strings.TrimSpace(string(said)), err
	}
	if said, err := run(); err == nil {
		t.Errorf("expected an error where there is no program, found %q", said)
	}
	// gettid came with 2.30.
	compile("old.so", "#include <stdlib.h>\nint f(void) { return abs(1); }\nvoid *g(void) { return malloc(1); }\n")
	compile("new.so", "int gettid(void);\nint f(void) { return gettid(); }\n", "-nostartfiles")
	if said, err := run(); err != nil || said != "2.30" {
		t.Errorf("expected 2.30, found %q, %v", said, err)
	}
	compile("relative.so", "#include <stdlib.h>\nstatic int x;\nint *y = &x;\nvoid *f(void) { return malloc(4); }\n", "-Wl,-z,pack-relative-relocs")
	if said, err := run(); err != nil || said != "2.36" {
		t.Errorf("expected 2.36, found %q, %v", said, err)
	}
	compile("another.so", "int deflate(void);\nint f(void) { return deflate(); }\n", "-Wl,--no-as-needed", "-l:libcap.so.2")
	if said, err := run(); err == nil || !strings.Contains(said, "needs libcap.so.2") {
		t.Errorf("expected a word on libcap.so.2, found %q, %v", said, err)
	}
}
