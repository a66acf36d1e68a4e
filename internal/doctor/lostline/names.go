package lostline

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/bounded"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/pamstack"
	"github.com/otpgate/otpgate/internal/spelling"
)

// kept is what people put behind a name when they keep a file.
var kept = regexp.MustCompile(`[-_](old|orig|bak|backup|save|saved|copy|[0-9]+)$`)

// Original is the name of the file that one of that name is a copy of, "" if it
// is none: what editors and package tools leave, and any other ending behind the
// name of a file that is there.
func Original(tree pamstack.Tree, settings config.Config, name string) string {
	if _, known := settings.Services[name]; known {
		return ""
	}
	if swap, found := strings.CutPrefix(name, "."); found {
		name, _, _ = strings.Cut(swap, ".sw")
		return name
	}
	if short := strings.Trim(name, "#~"); short != name {
		return short
	}
	if before := kept.ReplaceAllString(name, ""); before != name {
		if _, there := tree.Find(before); there {
			return before
		}
	}
	for at := range name {
		if name[at] != '.' || at == 0 {
			continue
		}
		before := name[:at]
		_, known := settings.Services[before]
		_, there := tree.Find(before)
		if known || there || authstack.IsCopy(name) {
			return before
		}
	}
	return ""
}

// aliases are what people call services.
var aliases = map[string]string{"ssh": "sshd", "openssh": "sshd", "openssh-server": "sshd", "sshd-service": "sshd", "polkit": "polkit-1", "ftp": "vsftpd"}

// meant is the service that people may have meant by a name, "" if that is a name
// of its own, as it seems. Who names a protocol has thought about it.
func (s *search) meant(name string, protocolNamed bool) string {
	candidates := slices.Sorted(maps.Keys(s.settings.Services))
	if protocolNamed {
		candidates = nil
	}
	if alias, found := aliases[name]; found {
		candidates = []string{alias}
	}
	for _, service := range candidates {
		_, there := s.tree.Find(service)
		stack, err := authstack.Load(s.tree, service, s.settings)
		if there && err == nil && !stack.Asks() && (aliases[name] == service || near(name, service)) && !s.configured(name) {
			return service
		}
	}
	return ""
}

func near(name, service string) bool {
	return len(service) > 3 && spelling.Distance(name, service) == 1
}

// configured says whether a server's configuration names the service.
func (s *search) configured(name string) bool {
	for _, file := range []string{"/etc/ssh/sshd_config", "/etc/vsftpd.conf", "/etc/vsftpd/vsftpd.conf", "/etc/sudoers"} {
		for _, path := range []string{file, file + ".d"} {
			if named(s.tree.Root+path, name) {
				return true
			}
		}
	}
	return false
}

// mostBytes is more than a server's configuration has.
const mostBytes = 16 << 20

// named looks for settings of PAM's service in a file, or in the files of a directory
// and not further down, as the programs do.
func named(path, name string) bool {
	entries, err := os.ReadDir(path)
	if err != nil {
		return namedIn(path, name)
	}
	return slices.ContainsFunc(entries, func(entry os.DirEntry) bool { return namedIn(path+"/"+entry.Name(), name) })
}

func namedIn(path, name string) bool {
	data, _ := bounded.ReadFile(path, mostBytes)
	for line := range strings.Lines(strings.ToLower(string(data))) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\n=,\"", r) })
		for i := range len(words) - 1 {
			if strings.HasPrefix(strings.ReplaceAll(words[i], "_", ""), "pam") && words[i+1] == name {
				return true
			}
		}
	}
	return false
}

// Nearest is the service with a file whose name is nearest to one without, "" if
// none is near.
func Nearest(tree pamstack.Tree, name string) string {
	if alias, found := aliases[name]; found {
		if _, there := tree.Find(alias); there {
			return alias
		}
	}
	services, _ := tree.Services()
	near, _ := spelling.Near(name, slices.DeleteFunc(services, authstack.IsCopy))
	return near
}
