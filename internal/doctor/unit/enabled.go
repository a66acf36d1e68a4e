package unit

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/target"
)

// Enabled says whether anything has a service start without somebody who asks for
// it by name: another unit, its socket or timer, or another name of it. A masked
// one is not.
func Enabled(root, name string) bool {
	base := strings.TrimSuffix(name, suffix)
	template, instance := templateOf(name)
	wanted := []string{name, base + ".socket", base + ".timer"}
	if instance != "" {
		wanted = append(wanted, strings.TrimSuffix(template, suffix)+".socket")
	} else if at := strings.TrimSuffix(base, "@"); at != base {
		wanted = append(wanted, at+".socket") // one for each connection
	}
	return slices.ContainsFunc(wanted, func(unit string) bool { return wantedBy(root, unit) && !Masked(root, unit) })
}

// Idle says whether a service or its socket is installed and nothing has it start.
func Idle(root, name string) bool {
	return (Exists(root, name) || Exists(root, strings.TrimSuffix(name, suffix)+".socket")) && !Enabled(root, name)
}

// Exists says whether there is a file of a unit, a masked one too.
func Exists(root, unit string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool {
		_, err := os.Lstat(root + dir + "/" + unit)
		return err == nil
	})
}

func wantedBy(root, unit string) bool {
	for _, dir := range dirs {
		for _, kind := range []string{".wants/", ".requires/", ".upholds/"} {
			for _, path := range target.Glob(root, dir+"/*"+kind+unit) {
				to, err := os.Readlink(root + path)
				if err != nil || to != os.DevNull {
					return true
				}
			}
		}
		for _, path := range target.Glob(root, dir+"/*.d/*.conf") {
			if isTarget(path) && wants(root, path, unit) {
				return true
			}
		}
	}
	return slices.ContainsFunc(target.Glob(root, "/etc/systemd/system/*"+suffix), func(path string) bool {
		to, err := os.Readlink(root + path)
		return err == nil && filepath.Base(to) == unit && filepath.Base(path) != unit // an alias
	})
}

func isTarget(path string) bool { return strings.Contains(path, ".target.d/") }

// wants says whether a drop-in of a target has it start a unit.
func wants(root, path, unit string) bool {
	for _, line := range target.Lines(root, path, 0) {
		key, value, _ := strings.Cut(line, "=")
		starts := []string{"Wants", "Requires", "Upholds", "BindsTo"}
		if slices.Contains(starts, strings.TrimSpace(key)) && slices.Contains(strings.Fields(value), unit) {
			return true
		}
	}
	return false
}

// Masked says whether the file that counts of a unit is none.
func Masked(root, unit string) bool {
	for _, dir := range dirs {
		info, err := os.Lstat(root + dir + "/" + unit)
		if err != nil {
			continue
		}
		to, _ := os.Readlink(root + dir + "/" + unit) // "" if it is no link
		return to == os.DevNull || info.Mode().IsRegular() && info.Size() == 0
	}
	return false
}
