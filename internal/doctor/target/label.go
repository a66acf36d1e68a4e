package target

import (
	"strings"

	"golang.org/x/sys/unix"
)

// label is SELinux's of a file, "" if it has none.
func (m *Machine) label(path string) string {
	value := make([]byte, 256)
	n, err := unix.Getxattr(m.Root+path, "security.selinux", value)
	if err != nil {
		return ""
	}
	return strings.TrimRight(string(value[:n]), "\x00")
}
