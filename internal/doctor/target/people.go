package target

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/otpgate/otpgate/internal/nss"
)

// groupMember asks the name services or, of a tree that is no machine, its files. Where
// the machine's own files have all accounts and groups they are read once, and not by the
// C library for each of very many people.
func (m *Machine) groupMember(user, group string) (bool, error) {
	if m.Root == "" && !m.filesHaveAll() {
		return nss.IsMember(user, group)
	}
	members, known := m.members[group]
	if !known {
		var err error
		if _, members, err = m.membersOf(group); err != nil {
			return false, err
		}
		if m.members == nil {
			m.members = map[string]map[string]bool{}
		}
		m.members[group] = members
	}
	return members[user], nil
}

// filesHaveAll says whether nsswitch.conf(5) has people and groups looked up in the
// machine's own files only.
func (m *Machine) filesHaveAll() bool {
	if m.ownOnly == nil {
		text, err := Read(m.Root, "/etc/nsswitch.conf")
		own := err == nil || errors.Is(err, fs.ErrNotExist) // files alone is the C library's own choice
		for _, database := range []string{"passwd", "group", "initgroups"} {
			own = own && len(slices.DeleteFunc(nss.ServicesOf(text, database), nss.IsOwn)) == 0
		}
		m.ownOnly = &own
	}
	return *m.ownOnly
}

// ListedMembers are those of a group whom the machine's own files list: in the group,
// or with it as their main one.
func (m *Machine) ListedMembers(group string) (members []string, err error) {
	members, _, err = m.membersOf(group)
	return members, err
}

// membersOf is ListedMembers, and says of each name whether it is among them.
func (m *Machine) membersOf(group string) (members []string, among map[string]bool, err error) {
	gid := ""
	for fields, err := range m.entries("/etc/group", 4) {
		if err != nil {
			return nil, nil, err
		}
		if fields[0] == group {
			gid = fields[2]
			members = nss.ListedMembers(fields)
		}
	}
	among = setOf(members) // there may be very many
	for fields, err := range m.entries("/etc/passwd", 7) {
		if err != nil {
			return nil, nil, err
		}
		if gid != "" && fields[3] == gid && !among[fields[0]] {
			members, among[fields[0]] = append(members, fields[0]), true
		}
	}
	return members, among, nil
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
func (m *Machine) WithShell(names []string) []string { return m.ofShell(names, true) }

// WithoutShell are those of some names by whom nobody can log in, as /etc/passwd has
// them.
func (m *Machine) WithoutShell(names []string) []string { return m.ofShell(names, false) }

// ofShell are those of some names that /etc/passwd has, with a shell or without one.
func (m *Machine) ofShell(names []string, with bool) (found []string) {
	if len(names) == 0 {
		return nil
	}
	wanted := setOf(names)
	for fields, err := range m.entries("/etc/passwd", 7) {
		if err == nil && wanted[fields[0]] && hasShell(fields) == with {
			found = append(found, fields[0])
		}
	}
	return found
}

func setOf(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}

// filesAlone says whether nsswitch.conf(5) has accounts looked up in files only.
func filesAlone(text []byte) bool {
	return len(slices.DeleteFunc(nss.ServicesOf(text, "passwd"), nss.IsOwn)) == 0
}

// entries are the lines of such a file that have so many fields. The file is read once
// in a run: many ask, and there may be very many people in it.
func (m *Machine) entries(path string, fields int) func(yield func([]string, error) bool) {
	return func(yield func([]string, error) bool) {
		known, read := m.files[path]
		if !read {
			var data []byte
			if data, known.err = Read(m.Root, path); known.err == nil {
				known.entries = nss.Entries(data)
			}
			if m.files == nil {
				m.files = map[string]accountFile{}
			}
			m.files[path] = known
		}
		if known.err != nil {
			yield(nil, known.err)
			return
		}
		for _, found := range known.entries {
			if len(found) >= fields && !yield(found, nil) {
				return
			}
		}
	}
}

// accountFile is a file of accounts as it was read, or why it was not.
type accountFile struct {
	entries [][]string
	err     error
}

// shadowPath has people's passwords.
const shadowPath = "/etc/shadow"

// EmptyPasswords are those who have an empty password in /etc/shadow, and a shell.
func (m *Machine) EmptyPasswords() (names []string, err error) {
	for fields, err := range m.entries(shadowPath, 3) {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, nil
		case err != nil:
			return nil, err
		case fields[1] == "":
			names = append(names, fields[0])
		}
	}
	return m.WithShell(names), nil
}

// Typed are those of some names who may have a password that can be typed. Of people of
// /etc/passwd those have none whom /etc/shadow gives none; in doubt somebody has one.
func (m *Machine) Typed(names []string) []string {
	none, wanted := map[string]bool{}, setOf(names)
	for fields, err := range m.entries("/etc/passwd", 7) {
		if err == nil && wanted[fields[0]] && !isHash(fields[1]) {
			none[fields[0]] = true
		}
	}
	for fields, err := range m.entries(shadowPath, 3) {
		switch {
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			clear(none)
		case err == nil && (fields[1] == "" || isHash(fields[1])):
			delete(none, fields[0])
		}
	}
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return none[name] })
}

// NeverHadPassword are those of some names whom /etc/passwd refers to /etc/shadow, and who
// have nothing there but marks that no password fits. Whom somebody has locked, or whose
// account has an end, is not meant to come.
func (m *Machine) NeverHadPassword(names []string) []string {
	const expires = 7
	refers, never, wanted := map[string]bool{}, map[string]bool{}, setOf(names)
	for fields, err := range m.entries("/etc/passwd", 7) {
		if err == nil && wanted[fields[0]] && fields[1] == "x" {
			refers[fields[0]] = true
		}
	}
	for fields, err := range m.entries(shadowPath, 3) {
		if err == nil && refers[fields[0]] {
			ends := len(fields) > expires && fields[expires] != ""
			never[fields[0]] = fields[1] != "" && strings.Trim(fields[1], "!*") == "" && !ends
		}
	}
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !never[name] })
}

// LocalFirst says whether what the machine's own files say of an account and of its
// password counts.
func (m *Machine) LocalFirst() bool { return m.filesFirstFor("passwd") && m.filesFirstFor("shadow") }

// isHash says whether a field is of the form of a password's hash. The oldest one has
// nothing that marks it.
func isHash(field string) bool {
	const old = 13
	return strings.HasPrefix(field, "$") || strings.HasPrefix(field, "_") || len(field) == old && !strings.ContainsAny(field, "!*")
}
