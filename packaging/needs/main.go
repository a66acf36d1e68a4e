// Command needs prints the version of glibc that the programs and libraries
// below some directories need, such as 2.34: the newest whose symbols one of
// them asks for. The packages declare that and nothing else, so that they are
// as new as what was built, whatever it was built on.
//
// It fails where one needs anything that those dependencies do not bring.
package main

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("needs: ")
	if len(os.Args) < 2 {
		log.Fatal("usage: needs DIRECTORY…")
	}
	newest := version{}
	for _, dir := range os.Args[1:] {
		found, err := below(dir)
		if err != nil {
			log.Fatal(err)
		}
		newest = newer(newest, found)
	}
	if newest == (version{}) {
		log.Fatalf("%s: no program there needs a version of glibc; expected what make install puts there", strings.Join(os.Args[1:], ", "))
	}
	fmt.Println(newest)
}

// version is one of glibc's.
type version struct{ major, minor int }

func (v version) String() string { return fmt.Sprintf("%d.%d", v.major, v.minor) }

func newer(a, b version) version {
	if b.major > a.major || b.major == a.major && b.minor > a.minor {
		return b
	}
	return a
}

// below returns what the files in a directory need.
func below(dir string) (version, error) {
	newest := version{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil || !bytes.HasPrefix(data, []byte(elf.ELFMAG)) {
			return err
		}
		found, err := of(bytes.NewReader(data))
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		newest = newer(newest, found)
		return nil
	})
	return newest, err
}

// libraries are what the packages' dependencies bring, with the versions of
// symbols that the oldest release which they allow has; nil for glibc's own,
// whose number is what is looked for.
var libraries = map[string][]string{
	"libc.so.6": nil, "libpthread.so.0": nil, "libdl.so.2": nil, "libresolv.so.2": nil, "libm.so.6": nil, "librt.so.1": nil,
	"ld-linux-x86-64.so.2": nil, "ld-linux-aarch64.so.1": nil,
	// libpam0g 1.1.3.
	"libpam.so.0": {"LIBPAM_1.0", "LIBPAM_EXTENSION_1.0", "LIBPAM_EXTENSION_1.1", "LIBPAM_EXTENSION_1.1.1", "LIBPAM_MODUTIL_1.0", "LIBPAM_MODUTIL_1.1", "LIBPAM_MODUTIL_1.1.3"},
}

// of returns what a program or library needs.
func of(r io.ReaderAt) (version, error) {
	newest := version{}
	file, err := elf.NewFile(r)
	if err != nil {
		return newest, err
	}
	needed, err := file.ImportedLibraries()
	if err != nil {
		return newest, fmt.Errorf("read the libraries that it needs: %w", err)
	}
	for _, library := range needed {
		if _, known := libraries[library]; !known {
			return newest, fmt.Errorf("it needs %s, which no dependency of the packages brings; add one, and the library here", library)
		}
	}
	if file.Section(".gnu.version_r") == nil {
		return newest, nil
	}
	versions, err := file.DynamicVersionNeeds()
	if err != nil {
		return newest, fmt.Errorf("read the versions of symbols that it needs: %w", err)
	}
	for _, library := range versions {
		for _, need := range library.Needs {
			found, err := meaning(library.Name, need.Dep)
			if err != nil {
				return newest, err
			}
			newest = newer(newest, found)
		}
	}
	return newest, nil
}

// abis are versions of glibc's that are no numbers, by the release that has them first.
var abis = map[string]version{"GLIBC_ABI_DT_RELR": {2, 36}}

// meaning is the version of glibc that a version of a library's symbols stands for.
func meaning(library, symbols string) (version, error) {
	if allowed := libraries[library]; allowed != nil {
		if !slices.Contains(allowed, symbols) {
			return version{}, fmt.Errorf("it needs %s of %s, and the packages' dependency promises %s; raise that, and this", symbols, library, strings.Join(allowed, ", "))
		}
		return version{}, nil
	}
	if abi, known := abis[symbols]; known {
		return abi, nil
	}
	numbers := strings.Split(strings.TrimPrefix(symbols, "GLIBC_"), ".")
	if strings.HasPrefix(symbols, "GLIBC_") && len(numbers) >= 2 {
		major, err := strconv.Atoi(numbers[0])
		minor, err2 := strconv.Atoi(numbers[1])
		if err == nil && err2 == nil {
			return version{major, minor}, nil
		}
	}
	return version{}, fmt.Errorf("it needs %s of %s, which is no number of a release; expected such as GLIBC_2.34", symbols, library)
}
