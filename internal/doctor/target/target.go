// Package target is what is examined: a machine, or a tree of files that is
// none. It says what the files alone do not: what sshd has in force, which
// modules libpam would find and the loader load, who has a name, what the disk
// has left, who listens at a socket. It changes nothing.
package target

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
)

// Machine is what is examined. The zero value is the machine itself; the fields
// are for trees that are none.
type Machine struct {
	// Root goes before every path. With it, users and groups are those of its
	// /etc/passwd and /etc/group.
	Root string
	Now  func() time.Time
	// SSHD returns what sshd -T says.
	SSHD func(ctx context.Context, query Query) (string, error)
	// Running are root's processes of a program.
	Running func(program string) []Process
	// Sudoers has sudo's own parser read a text, with Defaults of one type.
	Sudoers func(ctx context.Context, text []byte, defaults string) ([]byte, error)
	// Module says whether libpam would find a module of that name in pam.d.
	Module func(name string) (path string, found bool)
	// Load says why a module's file cannot be loaded, as dlopen does.
	Load func(ctx context.Context, path string) error
	// UserKnown and GroupKnown ask the system's name services.
	UserKnown, GroupKnown func(name string) (bool, error)
	// Member says whether somebody is in a group.
	Member func(user, group string) (bool, error)
	// Others lists the other names of the uid that a name has, as far as a login
	// by that name finds them, the first one first.
	Others func(name string) ([]string, error)
	// Synchronised says whether a time service keeps the clock right.
	Synchronised func() bool
	// Space tries whether a small file can be written in a directory, and says
	// how many bytes and files are free.
	Space func(dir string) Space
	// Label is SELinux's of a file, "" if it has none.
	Label func(path string) string
	// Log says why nobody takes lines at /dev/log, if so.
	Log func() error
	// Verifier looks at who listens at a socket.
	Verifier func(socket string) Listener
	// Sending says why no code can be sent as the configuration has it. Without
	// it that is not looked at: what speaks to the network is not linked here.
	Sending func(config.Config) error
	// listings are what the name service has listed so far, and silent is why it is
	// asked no more.
	listings map[string][][]string
	silent   error
	// accounts are those of /etc/passwd, once they were looked at, and files those of
	// accounts that were read.
	accounts *locals
	files    map[string]accountFile
	// members are those of groups that were asked for, and ownOnly whether the machine's
	// own files have all, once that was looked at.
	members map[string]map[string]bool
	ownOnly *bool
	// programs are the processes that run, by the names of what they run, once they were
	// looked for.
	programs map[string][]string
	// moduleDirs are where libpam looks for modules, once they were looked for.
	moduleDirs []string
}

// Fill has every field ask the machine itself that is not set.
func (m *Machine) Fill() {
	if m.Now == nil {
		m.Now = time.Now
	}
	if m.SSHD == nil {
		m.SSHD = m.realSSHD
	}
	m.SSHD = m.readable(m.SSHD)
	if m.Running == nil {
		m.Running = m.running
	}
	if m.Sudoers == nil {
		m.Sudoers = cvtsudoers
	}
	if m.Module == nil {
		m.Module = m.findModule
	}
	if m.Load == nil {
		m.Load = load
		if m.Root != "" { // what is below it may be another system's
			m.Load = func(context.Context, string) error { return nil }
		}
	}
	if m.UserKnown == nil {
		m.UserKnown, m.GroupKnown = m.knownUser, m.knownGroup
		if m.Root != "" {
			m.GroupKnown = func(name string) (bool, error) { return m.listed("/etc/group", name) }
		}
	}
	if m.Member == nil {
		m.Member = m.groupMember
	}
	if m.Others == nil {
		m.Others = m.otherNames
	}
	if m.Synchronised == nil {
		m.Synchronised = synchronised
	}
	if m.Space == nil {
		m.Space = m.space
	}
	if m.Label == nil {
		m.Label = m.label
	}
	if m.Log == nil {
		m.Log = audit.Syslog{}.Check
		if m.Root != "" {
			m.Log = func() error { return nil }
		}
	}
	if m.Verifier == nil {
		m.Verifier = listener
	}
}

// Glob are the machine's files of a pattern.
func (m *Machine) Glob(pattern string) []string { return Glob(m.Root, pattern) }

// Has says whether the machine has a file.
func (m *Machine) Has(path string) bool {
	_, err := os.Stat(m.Root + path)
	return err == nil
}

func synchronised() bool {
	var query unix.Timex
	state, err := unix.Adjtimex(&query)
	return err == nil && state != unix.TIME_ERROR && query.Status&unix.STA_UNSYNC == 0
}
