package authentication

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/sftpd/authkeys"
	"github.com/otpgate/otpgate/internal/sftpd/session"
)

// lookupTimeout bounds how long a home directory may take to answer, and
// maxLookups how many lookups of one person may hang in one. Further ones wait:
// clients open many connections at once.
const (
	lookupTimeout = 20 * time.Second
	maxLookups    = 8
)

// lookups are those that are under way, by uid.
type lookups struct {
	mu sync.Mutex
	of map[uint32]*personLookups
}

// personLookups are one person's.
type personLookups struct {
	running chan struct{}
	known   int // lookups that run or wait to
}

// begin waits until the lookup may run, or until late. One that ran says end.
func (l *lookups) begin(uid uint32, late <-chan time.Time) bool {
	l.mu.Lock()
	if l.of == nil {
		l.of = map[uint32]*personLookups{}
	}
	t := l.of[uid]
	if t == nil {
		t = &personLookups{running: make(chan struct{}, maxLookups)}
		l.of[uid] = t
	}
	t.known++
	l.mu.Unlock()
	select {
	case t.running <- struct{}{}:
		return true
	case <-late:
		l.leave(uid)
		return false
	}
}

func (l *lookups) end(uid uint32) {
	l.mu.Lock()
	t := l.of[uid]
	l.mu.Unlock()
	<-t.running
	l.leave(uid)
}

func (l *lookups) leave(uid uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.of[uid]
	if t.known--; t.known == 0 {
		delete(l.of, uid)
	}
}

// look asks the person's files, and then the command, whether a key lets the
// person in, or is an authority that may say so. offered is the key as the
// client gave it.
func (l *Login) look(login authkeys.Login, offered []byte) (authkeys.Grant, bool) {
	// What is being answered is read over by the next question, and a lookup
	// may outlive it.
	login.Key, login.Remote, login.Now = bytes.Clone(login.Key), l.remote, l.shared.Now()
	granted, found, err := l.lookAs(login)
	if err != nil {
		l.refuseKey("authorized_keys", err.Error())
	}
	if found || len(l.settings.KeysCommand) == 0 {
		return granted, found
	}
	return l.askCommand(login, offered)
}

type looked struct {
	grant authkeys.Grant
	found bool
	err   error
}

// lookAs reads the files with the person's rights, as sshd does. A file system
// that does not answer holds up a thread, not the login.
func (l *Login) lookAs(login authkeys.Login) (authkeys.Grant, bool, error) {
	p := *l.person
	var paths []string
	for _, path := range l.settings.AuthorizedKeys {
		paths = append(paths, authkeys.Place(config.Expand(path, l.user, p.Home), p.Home))
	}
	late := time.NewTimer(lookupTimeout)
	defer late.Stop()
	if !l.shared.lookups.begin(p.UID, late.C) {
		return authkeys.Grant{}, false, errors.New("too many lookups of the person's keys are under way")
	}
	result := make(chan looked, 1)
	go func() {
		defer l.shared.lookups.end(p.UID)
		// The thread is never given back: it ends with this goroutine.
		runtime.LockOSThread()
		if err := becomeHere(p); err != nil {
			result <- looked{err: err}
			return
		}
		result <- find(paths, p, login)
	}()
	select {
	case got := <-result:
		return got.grant, got.found, got.err
	case <-late.C:
		return authkeys.Grant{}, false, errors.New("the person's keys could not be read in time")
	}
}

func find(paths []string, p session.Person, login authkeys.Login) (l looked) {
	for _, path := range paths {
		file, err := authkeys.Open(path, p.Home, p.UID)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				l.err = err
			}
			continue
		}
		if grant, found := authkeys.Find(file, login); found {
			return looked{grant: grant, found: true}
		}
	}
	return l
}

// becomeHere gives this thread alone the person's rights on files: the calls
// of the C library and of package syscall would change all threads.
func becomeHere(p session.Person) error {
	groups := append([]uint32{p.GID}, p.Groups...)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&groups[0])), 0); errno != 0 {
		return fmt.Errorf("take the person's groups: %w", errno)
	}
	// These tell the id from before, and no errors: the second call looks.
	unix.RawSyscall(unix.SYS_SETFSGID, uintptr(p.GID), 0, 0)
	unix.RawSyscall(unix.SYS_SETFSUID, uintptr(p.UID), 0, 0)
	gid, _, _ := unix.RawSyscall(unix.SYS_SETFSGID, ^uintptr(0), 0, 0)
	uid, _, _ := unix.RawSyscall(unix.SYS_SETFSUID, ^uintptr(0), 0, 0)
	if uint32(gid) != p.GID || uint32(uid) != p.UID {
		return fmt.Errorf("take the person's rights: uid %d gid %d, expected %d %d", uid, gid, p.UID, p.GID)
	}
	return nil
}
