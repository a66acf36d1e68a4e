package target

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/nss"
)

// groupMember asks the name services or, of a tree that is no machine, its files.
func (m *Machine) groupMember(user, group string) (bool, error) {
	if m.Root == "" {
		return nss.IsMember(user, group)
	}
	members, err := m.ListedMembers(group)
	return slices.Contains(members, user), err
}

// ListedMembers are those of a group whom the machine's own files list: in the group,
// or with it as their main one.
func (m *Machine) ListedMembers(group string) (members []string, err error) {
	gid := ""
	for fields, err := range m.entries("/etc/group", 4) {
		if err != nil {
			return nil, err
		}
		if fields[0] == group {
			gid = fields[2]
			members = slices.DeleteFunc(strings.Split(fields[3], ","), func(name string) bool { return name == "" })
		}
	}
	for fields, err := range m.entries("/etc/passwd", 7) {
		if err != nil {
			return nil, err
		}
		if gid != "" && fields[3] == gid && !slices.Contains(members, fields[0]) {
			members = append(members, fields[0])
		}
	}
	return members, nil
}

// People are the accounts of the machine's own files by which persons log in: root
// and those above the system's, with a shell. all is false if a directory may know
// others.
func (m *Machine) People() (people []string, all bool, err error) {
	for fields, err := range m.entries("/etc/passwd", 7) {
		if err != nil {
			return nil, false, err
		}
		shell := path.Base(fields[6])
		person := fields[2] == "0" || len(fields[2]) >= 4 && fields[2] != "65534"
		if person && shell != "nologin" && shell != "false" {
			people = append(people, fields[0])
		}
	}
	text, err := Read(m.Root, "/etc/nsswitch.conf")
	if errors.Is(err, fs.ErrNotExist) {
		return people, true, nil // files alone is the C library's own choice
	}
	return people, err == nil && filesAlone(text), err
}

// local are name services that know the machine's own accounts and no others.
var local = []string{"files", "compat", "systemd", "altfiles", "usrfiles"}

// filesAlone says whether nsswitch.conf(5) has accounts looked up in files only.
func filesAlone(text []byte) bool {
	others := slices.DeleteFunc(nss.ServicesOf(text, "passwd"), func(service string) bool { return slices.Contains(local, service) })
	return len(others) == 0
}

// entries are the lines of such a file that have so many fields.
func (m *Machine) entries(path string, fields int) func(yield func([]string, error) bool) {
	return func(yield func([]string, error) bool) {
		data, err := Read(m.Root, path)
		if err != nil {
			yield(nil, err)
			return
		}
		for line := range strings.Lines(string(data)) {
			found := strings.Split(strings.TrimRight(line, "\n"), ":")
			if len(found) >= fields && !yield(found, nil) {
				return
			}
		}
	}
}
