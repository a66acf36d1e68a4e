package target

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strconv"

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
			members = nss.ListedMembers(fields)
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
	isPerson := nss.PersonUIDs(m.Root + "/etc/login.defs")
	for fields, err := range m.entries("/etc/passwd", 7) {
		if err != nil {
			return nil, false, err
		}
		uid, err := strconv.ParseUint(fields[2], 10, 32)
		if err == nil && isPerson(uint32(uid)) && hasShell(fields) {
			people = append(people, fields[0])
		}
	}
	text, err := Read(m.Root, "/etc/nsswitch.conf")
	if errors.Is(err, fs.ErrNotExist) {
		return people, true, nil // files alone is the C library's own choice
	}
	return people, err == nil && filesAlone(text), err
}

// hasShell says whether somebody can log in by an entry of passwd(5).
func hasShell(fields []string) bool {
	shell := path.Base(fields[6])
	return shell != "nologin" && shell != "false"
}

// WithShell are those of some names by whom somebody can log in.
func (m *Machine) WithShell(names []string) (found []string) {
	for fields, err := range m.entries("/etc/passwd", 7) {
		if err == nil && slices.Contains(names, fields[0]) && hasShell(fields) {
			found = append(found, fields[0])
		}
	}
	return found
}

// WithoutShell are those of some names by whom nobody can log in, as /etc/passwd has
// them.
func (m *Machine) WithoutShell(names []string) (found []string) {
	for fields, err := range m.entries("/etc/passwd", 7) {
		if err == nil && slices.Contains(names, fields[0]) && !hasShell(fields) {
			found = append(found, fields[0])
		}
	}
	return found
}

// filesAlone says whether nsswitch.conf(5) has accounts looked up in files only.
func filesAlone(text []byte) bool {
	return len(slices.DeleteFunc(nss.ServicesOf(text, "passwd"), nss.IsOwn)) == 0
}

// entries are the lines of such a file that have so many fields.
func (m *Machine) entries(path string, fields int) func(yield func([]string, error) bool) {
	return func(yield func([]string, error) bool) {
		data, err := Read(m.Root, path)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, found := range nss.Entries(data) {
			if len(found) >= fields && !yield(found, nil) {
				return
			}
		}
	}
}
