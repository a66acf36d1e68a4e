package machine

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// firstID is below the ids of people and their groups. What groupadd chooses is
// one more than the highest that is there, and would be the next person's.
const firstID = 20000

// addAccount writes an account's lines as useradd and chpasswd do, which take ten
// times as long, and a test makes hundreds of people.
func addAccount(t T, p *Person, hash string) {
	t.Helper()
	home := "/home/" + p.Name
	err := locked(func() error {
		today := time.Now().Unix() / (24 * 60 * 60)
		return errors.Join(
			appendTo("/etc/group", fmt.Sprintf("%s:x:%d:", p.Name, p.GID)),
			appendTo("/etc/gshadow", p.Name+":!::"),
			appendTo("/etc/passwd", fmt.Sprintf("%s:x:%d:%d::%s:/bin/bash", p.Name, p.UID, p.GID, home)),
			appendTo("/etc/shadow", fmt.Sprintf("%s:%s:%d:0:99999:7:::", p.Name, hash, today)),
		)
	})
	if err := errors.Join(err, makeHome(home, p.UID, p.GID)); err != nil {
		t.Fatalf("add %s: %v", p.Name, err)
	}
}

// makeHome makes a home directory with what is in /etc/skel.
func makeHome(home string, uid, gid int) error {
	if err := os.CopyFS(home, os.DirFS("/etc/skel")); err != nil {
		return err
	}
	if err := os.Chmod(home, 0o755); err != nil {
		return err
	}
	return filepath.WalkDir(home, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, uid, gid))
	})
}

// locked does something to the files of accounts while neither pam_unix nor any
// of shadow's programs does: lckpwdf(3).
func locked(change func() error) error {
	lock, err := os.OpenFile("/etc/.pwd.lock", os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.FcntlFlock(lock.Fd(), unix.F_OFD_SETLKW, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	return change()
}

// appendTo adds a line by one write, of which nobody reads a half.
func appendTo(path, line string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(line + "\n")
	return errors.Join(err, file.Close())
}

// hashed has passwords that nobody has yet, and the hashes of all. They are cheap
// to compute, as each login computes one: Debian's own take a tenth of a second.
var hashed struct {
	sync.Mutex
	passwords []string
	of        map[string]string
}

// hashedAtOnce is for how many passwords the program that computes hashes is run
// once.
const hashedAtOnce = 50

// newPassword makes a password that never ends as a code does, with digits: a
// line with split would take those for one.
func newPassword() string {
	hashed.Lock()
	defer hashed.Unlock()
	if len(hashed.passwords) == 0 {
		for range hashedAtOnce {
			hashed.passwords = append(hashed.passwords, "pw-"+rand.Text()+"-w")
		}
		hashPasswords(hashed.passwords)
	}
	password := hashed.passwords[0]
	hashed.passwords = hashed.passwords[1:]
	return password
}

// hashPasswords has libcrypt make hashes, by the perl that every Debian has.
func hashPasswords(passwords []string) {
	var lines strings.Builder
	for _, password := range passwords {
		fmt.Fprintf(&lines, "%s $6$rounds=1000$%.16s\n", password, rand.Text())
	}
	perl := exec.Command("perl", "-nle", `print crypt($1, $2) if /(.*) (.*)/`)
	perl.Stdin = strings.NewReader(lines.String())
	output, err := perl.Output()
	hashes := strings.Fields(string(output))
	if err != nil || len(hashes) != len(passwords) {
		panic(fmt.Sprintf("perl's crypt: %v, %d hashes", err, len(hashes)))
	}
	if hashed.of == nil {
		hashed.of = map[string]string{}
	}
	for i, password := range passwords {
		hashed.of[password] = hashes[i]
	}
}

// hash is what /etc/shadow has of a password, which a test may have chosen.
func hash(password string) string {
	hashed.Lock()
	defer hashed.Unlock()
	if hashed.of[password] == "" {
		hashPasswords([]string{password})
	}
	return hashed.of[password]
}
