package target

import (
	"bytes"
	"slices"

	"github.com/otpgate/otpgate/internal/nss"
)

func knownUser(name string) (bool, error) {
	_, found, err := nss.UserByName(name)
	return found, err
}

func knownGroup(name string) (bool, error) {
	_, found, err := nss.GroupByName(name)
	return found, err
}

// otherNames are those of the name services and /etc/passwd or, of a tree that is
// no machine, of that file alone.
func (m *Machine) otherNames(name string) ([]string, error) {
	known := name
	names, err := m.listedNames(name)
	if m.Root == "" {
		u, found, unknown := nss.UserByName(name)
		if unknown != nil || !found {
			return nil, unknown
		}
		known = u.Name
		names, err = nss.NamesOf(u.UID)
	}
	return slices.DeleteFunc(names, func(other string) bool { return other == known }), err
}

// listedNames are those of the uid that a name has in the tree.
func (m *Machine) listedNames(name string) ([]string, error) {
	local, err := nss.LocalNames(m.Root + nss.PasswdPath)
	for _, names := range local {
		if slices.Contains(names, name) {
			return names, err
		}
	}
	return nil, err
}

// listed looks a name up in a file of lines that begin with "name:".
func (m *Machine) listed(path, name string) (bool, error) {
	text, err := Read(m.Root, path)
	if err != nil {
		return false, err
	}
	return bytes.HasPrefix(text, []byte(name+":")) || bytes.Contains(text, []byte("\n"+name+":")), nil
}
