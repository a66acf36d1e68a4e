package pamstack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Where libpam looks, see pam.conf(5).
const (
	AdminDir = "/etc/pam.d"
	ConfFile = "/etc/pam.conf"
	// Other is the service whose lines stand in for those that are missing.
	Other = "other"
	// maxDepth is PAM_SUBSTACK_MAX_LEVEL. Older libraries do not end an
	// endless include; here it is a line that fails.
	maxDepth = 16
	maxFile  = 1 << 20
)

// vendorDirs are those of the distribution, behind AdminDir. The second one is
// where libpam is built with it (--enable-vendordir=/usr/etc, openSUSE).
var vendorDirs = []string{"/usr/lib/pam.d", "/usr/etc/pam.d"}

// Tree is where the files are.
type Tree struct {
	// Root goes before every path.
	Root string
	// Debian says that the library is Debian's: it knows @include, gives up if
	// that fails, and looks for included files in AdminDir alone.
	Debian bool
	// ConfDir, if set, is the only directory, as with pam_start_confdir(3).
	ConfDir string
	// Edited stands in for the contents of files, by path.
	Edited map[string]string
}

// Services lists those that have a file of their own, in order, or lines in
// pam.conf where that counts.
func (t Tree) Services() ([]string, error) {
	var names []string
	if !t.hasDirectory() {
		text, _ := t.Read(ConfFile)
		for _, s := range Statements(text) {
			if len(s.Fields) > 0 {
				names = append(names, strings.ToLower(s.Fields[0]))
			}
		}
	}
	for _, dir := range t.dirs() {
		entries, err := os.ReadDir(t.Root + dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, entry := range entries {
			info, err := os.Stat(filepath.Join(t.Root+dir, entry.Name()))
			if err == nil && info.Mode().IsRegular() {
				names = append(names, entry.Name())
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Texts are the paths of all files in the directories where any libpam looks for
// services, also of those that this one never opens, and pam.conf, in order.
func (t Tree) Texts() []string {
	var paths []string
	dirs := t.dirs()
	if t.ConfDir == "" {
		dirs = append([]string{AdminDir}, vendorDirs...)
	}
	for _, dir := range dirs {
		entries, err := os.ReadDir(t.Root + dir)
		if err != nil {
			continue // Services says so
		}
		for _, entry := range entries {
			if path := dir + "/" + entry.Name(); t.exists(path) {
				paths = append(paths, path)
			}
		}
	}
	if t.ConfDir == "" && t.exists(ConfFile) {
		paths = append(paths, ConfFile)
	}
	return paths
}

func (t Tree) dirs() []string {
	if t.ConfDir != "" {
		return []string{t.ConfDir}
	}
	return append([]string{AdminDir}, t.vendors()...)
}

// vendors are the distribution's directories. Debian's library knows one.
func (t Tree) vendors() []string {
	switch {
	case t.ConfDir != "":
		return nil
	case t.Debian:
		return vendorDirs[:1]
	}
	return vendorDirs
}

// Vendor returns the path of the distribution's file for a service, which counts
// if AdminDir has none.
func (t Tree) Vendor(name string) (path string, found bool) {
	for _, dir := range t.vendors() {
		if path := dir + "/" + name; t.exists(path) {
			return path, true
		}
	}
	return "", false
}

// Find returns the path of a service's or an included file, below the root.
func (t Tree) Find(name string) (path string, found bool) {
	if strings.HasPrefix(name, "/") {
		return name, t.exists(name)
	}
	for _, dir := range t.dirs() {
		if path := dir + "/" + name; t.exists(path) {
			return path, true
		}
	}
	return "", false
}

// Of is the machine below root.
func Of(root string) Tree {
	_, err := os.Stat(root + "/etc/debian_version")
	return Tree{Root: root, Debian: err == nil}
}

// findIncluded is Find for what a line includes.
func (t Tree) findIncluded(name string) (path string, found bool) {
	if t.Debian && !strings.HasPrefix(name, "/") {
		path = AdminDir + "/" + name
		return path, t.exists(path)
	}
	return t.Find(name)
}

func (t Tree) exists(path string) bool {
	if _, edited := t.Edited[path]; edited {
		return true
	}
	info, err := os.Stat(t.Root + path)
	return err == nil && !info.IsDir()
}

// Read returns the contents of a file of the tree.
func (t Tree) Read(path string) (string, error) {
	if text, edited := t.Edited[path]; edited {
		return text, nil
	}
	info, err := os.Stat(t.Root + path)
	if err != nil {
		return "", err
	}
	// A FIFO would never end.
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return "", fmt.Errorf("%s: expected a file of at most %d bytes", path, maxFile)
	}
	data, err := os.ReadFile(t.Root + path)
	return string(data), err
}

func (t Tree) hasDirectory() bool {
	for _, dir := range t.dirs() {
		if info, err := os.Stat(t.Root + dir); err == nil && info.IsDir() {
			return true
		}
	}
	return t.ConfDir != ""
}
