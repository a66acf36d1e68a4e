package target

import (
	"os"
	"path/filepath"
	"strings"
)

// moduleDirs are where the distributions' libpam looks.
var moduleDirs = []string{
	"/lib/*-linux-*/security", "/usr/lib/*-linux-*/security", "/lib64/security", "/usr/lib64/security",
	"/lib/security", "/usr/lib/security",
}

func (m *Machine) findModule(name string) (path string, found bool) {
	if strings.HasPrefix(name, "/") {
		info, err := os.Stat(m.Root + name)
		return name, err == nil && info.Mode().IsRegular()
	}
	for _, dir := range moduleDirs {
		matches, err := filepath.Glob(m.Root + dir + "/" + name)
		if err == nil && len(matches) > 0 {
			return strings.TrimPrefix(matches[0], m.Root), true
		}
	}
	return "", false
}
