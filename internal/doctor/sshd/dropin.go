package sshd

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/target"
)

// dropins is what distributions have sshd_config include first.
const dropins = "/etc/ssh/sshd_config.d"

// readsDropins says whether sshd comes to the directory, outside any Match.
func (v view) readsDropins() bool {
	for _, line := range target.Lines(v.Machine.Root, target.SSHDConfig, 0) {
		switch keyword, value := splitKeyword(line); {
		case keyword == "match":
			return false
		case keyword == "include" && strings.Contains(value, "sshd_config.d/"):
			return true
		}
	}
	return false
}

// unread is a file among the drop-ins that has a setting and that sshd does not
// read: for want of an Include, or by its name.
func (v view) unread(keyword, value string) (path string, found bool) {
	for _, path := range v.Machine.Glob(dropins + "/*") {
		read := v.readsDropins() && filepath.Ext(path) == ".conf" || slices.ContainsFunc(v.settings, func(s setting) bool { return s.File == path })
		for _, line := range target.Lines(v.Machine.Root, path, 0) {
			if name, got := splitKeyword(line); !read && name == keyword && strings.EqualFold(got, value) {
				return path, true
			}
		}
	}
	return "", false
}
