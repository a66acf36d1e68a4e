// Package longname writes the lines that `ls -l` prints, which a directory's
// entries carry beside their attributes and which graphical clients parse.
//
// The entry point is [Names], which remembers what users and groups are called.
package longname

import (
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftp/sftpwire"
)

// maxNames bounds the names of users and of groups that a session remembers.
const maxNames = 10000

// Asked is who knows the names of users and groups, "" for those without.
type Asked interface {
	Names(uids, gids []uint32) (users, groups []string, err error)
}

// Names are the users and groups that a session has seen.
type Names struct {
	users, groups map[uint32]string
}

// Learn asks for the names in a page that are not known. Who had none is asked
// for again with the next page: a name service may have been slow.
func (n *Names) Learn(who Asked, entries []sftpwire.Entry) error {
	if n.users == nil || len(n.users) > maxNames || len(n.groups) > maxNames {
		n.users, n.groups = map[uint32]string{}, map[uint32]string{}
	}
	var uids, gids []uint32
	for i := range entries {
		uids = want(n.users, uids, entries[i].Attr.UID)
		gids = want(n.groups, gids, entries[i].Attr.GID)
	}
	if len(uids)+len(gids) == 0 {
		return nil
	}
	users, groups, err := who.Names(uids, gids)
	if err != nil {
		return err
	}
	remember(n.users, uids, users)
	remember(n.groups, gids, groups)
	return nil
}

// want adds an id without a name to ids. Neighbours in a directory often have
// the same.
func want(known map[uint32]string, ids []uint32, id uint32) []uint32 {
	if _, found := known[id]; found || slices.Contains(ids, id) {
		return ids
	}
	return append(ids, id)
}

func remember(known map[uint32]string, ids []uint32, names []string) {
	for i, id := range ids {
		if i < len(names) && names[i] != "" {
			known[id] = names[i]
		}
	}
}

// nameOf is the id itself where there is no name.
func nameOf(known map[uint32]string, id uint32) string {
	if name, found := known[id]; found {
		return name
	}
	return strconv.FormatUint(uint64(id), 10)
}

// Append appends the line for an entry, laid out as OpenSSH's
// server does, because clients parse it: mode, links, owner, group, size, time
// and name. A time more than half a year away shows its year.
func (n *Names) Append(b []byte, entry *sftpwire.Entry, now time.Time) []byte {
	attr := &entry.Attr
	b = appendMode(b, attr.Mode)
	b = append(b, ' ', ' ')
	b = appendRight(b, uint64(attr.Nlink), 3)
	b = append(b, ' ')
	b = appendLeft(b, nameOf(n.users, attr.UID), 8)
	b = append(b, ' ')
	b = appendLeft(b, nameOf(n.groups, attr.GID), 8)
	b = append(b, ' ')
	b = appendRight(b, attr.Size, 8)
	b = append(b, ' ')
	const halfYear = 365 * 24 * 60 * 60 / 2
	layout := "Jan _2  2006"
	if age := now.Unix() - attr.Mtime; age >= 0 && age < halfYear {
		layout = "Jan _2 15:04"
	}
	b = time.Unix(attr.Mtime, 0).AppendFormat(b, layout)
	b = append(b, ' ')
	return append(b, entry.Name...)
}

// appendMode appends the ten letters of a mode.
func appendMode(b []byte, mode uint32) []byte {
	kind := byte('?')
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		kind = '-'
	case unix.S_IFDIR:
		kind = 'd'
	case unix.S_IFLNK:
		kind = 'l'
	case unix.S_IFIFO:
		kind = 'p'
	case unix.S_IFSOCK:
		kind = 's'
	case unix.S_IFCHR:
		kind = 'c'
	case unix.S_IFBLK:
		kind = 'b'
	}
	b = append(b, kind)
	for i, letter := range []byte("rwxrwxrwx") {
		if mode&(0o400>>i) == 0 {
			letter = '-'
		}
		b = append(b, letter)
	}
	end := len(b)
	special(&b[end-7], mode&unix.S_ISUID, 's', 'S')
	special(&b[end-4], mode&unix.S_ISGID, 's', 'S')
	special(&b[end-1], mode&unix.S_ISVTX, 't', 'T')
	return b
}

// special overwrites a letter for execution where bit is set.
func special(letter *byte, bit uint32, executable, not byte) {
	switch {
	case bit == 0:
	case *letter == 'x':
		*letter = executable
	default:
		*letter = not
	}
}

// appendLeft appends text and spaces up to width.
func appendLeft(b []byte, text string, width int) []byte {
	b = append(b, text...)
	for n := len(text); n < width; n++ {
		b = append(b, ' ')
	}
	return b
}

// appendRight appends spaces and n in width digits, or more.
func appendRight(b []byte, n uint64, width int) []byte {
	var digits [20]byte
	text := strconv.AppendUint(digits[:0], n, 10)
	for i := len(text); i < width; i++ {
		b = append(b, ' ')
	}
	return append(b, text...)
}
