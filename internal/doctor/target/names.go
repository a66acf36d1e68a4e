package target

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/otpgate/otpgate/internal/nss"
)

// knownUser asks the name services or, of a tree that is no machine, its file.
func (m *Machine) knownUser(name string) (bool, error) {
	names, err := m.localNames(name)
	if len(names) > 0 || m.Root != "" {
		return len(names) > 0, err
	}
	_, found, err := nss.UserByName(name)
	return found, err
}

// knownGroup asks the name services. What the machine's own file says first is not asked
// for: there may be very many people in it, whom the C library goes through each time.
func (m *Machine) knownGroup(name string) (bool, error) {
	if m.filesFirstFor("group") {
		for fields, err := range m.entries("/etc/group", 3) {
			if err != nil {
				break
			}
			if _, wrong := strconv.ParseUint(fields[2], 10, 32); wrong == nil && fields[0] == name {
				return true, nil
			}
		}
	}
	_, found, err := nss.GroupByName(name)
	return found, err
}

// otherNames are those of the name services and /etc/passwd or, of a tree that is
// no machine, of that file alone.
func (m *Machine) otherNames(name string) ([]string, error) {
	known := name
	names, err := m.localNames(name)
	if len(names) == 0 && m.Root == "" {
		u, found, unknown := nss.UserByName(name)
		if unknown != nil || !found {
			return nil, unknown
		}
		known = u.Name
		names, err = nss.NamesOf(u.UID)
	}
	if len(names) == 1 && names[0] == known {
		return nil, err // as nearly all have one
	}
	return slices.DeleteFunc(slices.Clone(names), func(other string) bool { return other == known }), err
}

// listed looks a name up in a file of lines that begin with "name:".
func (m *Machine) listed(path, name string) (bool, error) {
	text, err := Read(m.Root, path)
	if err != nil {
		return false, err
	}
	return bytes.HasPrefix(text, []byte(name+":")) || bytes.Contains(text, []byte("\n"+name+":")), nil
}
