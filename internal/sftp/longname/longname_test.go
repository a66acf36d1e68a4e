package longname_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftp/longname"
	"github.com/otpgate/otpgate/internal/sftp/sftpwire"
)

// known are the names of some.
type known struct{ asked [][]uint32 }

func (k *known) Names(uids, gids []uint32) (users, groups []string, err error) {
	k.asked = append(k.asked, uids, gids)
	for _, uid := range uids {
		users = append(users, map[uint32]string{0: "root", 7: "somebody with spaces"}[uid])
	}
	for _, gid := range gids {
		groups = append(groups, map[uint32]string{0: "root"}[gid])
	}
	return users, groups, nil
}

func TestAppend(t *testing.T) {
	utc := time.Local
	time.Local = time.UTC
	defer func() { time.Local = utc }()
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	at := func(t time.Time) int64 { return t.Unix() }
	half := 365 * 24 * time.Hour / 2
	tests := []struct {
		attr sftpwire.Attr
		want string
	}{
		{sftpwire.Attr{Mode: unix.S_IFREG | 0o644, Nlink: 1, Size: 5, Mtime: at(now)}, "-rw-r--r--    1 root     root            5 Jul  1 12:00 n"},
		{sftpwire.Attr{Mode: unix.S_IFREG | 0o6777, Nlink: 12345, Size: 12345678901, Mtime: at(now.Add(time.Second))}, "-rwsrwsrwx  12345 root     root     12345678901 Jul  1  2026 n"},
		{sftpwire.Attr{Mode: unix.S_IFDIR | 0o1777, Nlink: 2, UID: 7, GID: 8, Mtime: at(now.Add(time.Second - half))}, "drwxrwxrwt    2 somebody with spaces 8               0 Dec 31 00:00 n"},
		{sftpwire.Attr{Mode: unix.S_IFDIR | 0o1776, Nlink: 2, UID: 4294967295, GID: 8, Mtime: at(now.Add(-half))}, "drwxrwxrwT    2 4294967295 8               0 Dec 31  2025 n"},
		{sftpwire.Attr{Mode: unix.S_IFLNK | 0o777, Nlink: 1, Mtime: 0}, "lrwxrwxrwx    1 root     root            0 Jan  1  1970 n"},
		{sftpwire.Attr{Mode: unix.S_IFIFO | 0o4644, Mtime: -1}, "prwSr--r--    0 root     root            0 Dec 31  1969 n"},
		{sftpwire.Attr{Mode: unix.S_IFSOCK | 0o2604, Mtime: at(now)}, "srw---Sr--    0 root     root            0 Jul  1 12:00 n"},
		{sftpwire.Attr{Mode: unix.S_IFCHR, Mtime: at(now)}, "c---------    0 root     root            0 Jul  1 12:00 n"},
		{sftpwire.Attr{Mode: unix.S_IFBLK | 0o111, Mtime: at(now)}, "b--x--x--x    0 root     root            0 Jul  1 12:00 n"},
		{sftpwire.Attr{Mode: 0o421, Mtime: at(now)}, "?r---w---x    0 root     root            0 Jul  1 12:00 n"},
	}
	var names longname.Names
	who := &known{}
	for _, test := range tests {
		entry := sftpwire.Entry{Name: "n", Attr: test.attr}
		if err := names.Learn(who, []sftpwire.Entry{entry}); err != nil {
			t.Fatal(err)
		}
		if got := string(names.Append([]byte("x"), &entry, now)); got != "x"+test.want {
			t.Errorf("got      %s\nexpected %s", got[1:], test.want)
		}
	}
	if len(who.asked) != 6 {
		t.Errorf("asked %v", who.asked)
	}
}
