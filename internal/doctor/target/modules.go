package target

import (
	"os"
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
	for _, dir := range m.securityDirs() {
		path := dir + "/" + name
		if _, err := os.Lstat(m.Root + path); err == nil {
			return path, true
		}
	}
	return "", false
}

// securityDirs are those of them that the machine has, which are looked for once in a run.
func (m *Machine) securityDirs() []string {
	if m.moduleDirs == nil {
		m.moduleDirs = []string{}
		for _, pattern := range moduleDirs {
			m.moduleDirs = append(m.moduleDirs, m.Glob(pattern)...)
		}
	}
	return m.moduleDirs
}
