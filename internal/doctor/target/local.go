package target

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/otpgate/otpgate/internal/nss"
)

// locals are the accounts of /etc/passwd. Who asks for each of very many people reads
// the file once, where the C library reads it for each.
type locals struct {
	uids  map[string]uint32
	names map[uint32][]string
	// count says whether the name services say the same of those accounts.
	count bool
}

// local returns the accounts of the machine's own file, which is read once in a run.
func (m *Machine) local() (*locals, error) {
	if m.accounts != nil {
		return m.accounts, nil
	}
	names, uids, err := nss.LocalNames(m.Root + nss.PasswdPath)
	if err != nil {
		return nil, err
	}
	m.accounts = &locals{uids, names, m.Root != "" || m.filesFirst()}
	return m.accounts, nil
}

// filesFirst says whether the C library takes what /etc/passwd says of a name or uid,
// and asks others only for those that it has not.
func (m *Machine) filesFirst() bool { return m.filesFirstFor("passwd") }

// filesFirstFor is filesFirst of any database of nsswitch.conf(5).
func (m *Machine) filesFirstFor(wanted string) bool {
	text, err := Read(m.Root, "/etc/nsswitch.conf")
	if err != nil {
		return errors.Is(err, fs.ErrNotExist) // files alone is its own choice
	}
	first := false
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		database, services, _ := strings.Cut(line, ":")
		if strings.TrimSpace(database) == wanted {
			words := strings.Fields(services)
			first = len(words) > 0 && words[0] == "files" && (len(words) == 1 || words[1][0] != '[')
		}
	}
	return first
}

// localNames are those of the uid that a name has in /etc/passwd, if that is the one
// that counts.
func (m *Machine) localNames(name string) (names []string, err error) {
	all, err := m.local()
	if err != nil {
		return nil, err
	}
	uid, found := all.uids[name]
	if !found || !all.count {
		return nil, nil
	}
	return all.names[uid], nil
}
