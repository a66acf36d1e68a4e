package machine

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
)

// Users is where secret files are unless a configuration says otherwise.
const Users = "/etc/otpgate/users"

// Person is somebody who logs in. Everybody comes from an address of their
// own, so that what is counted per source never joins two tests.
type Person struct {
	Name     string
	Password string
	Secret   string // base32
	Period   int    // seconds; 0 is 30 until there is a secret file
	Address  string // a loopback address
	UID, GID int
}

var people atomic.Int32

// one of shadow's programs at a time: they lock /etc/passwd and give up quickly.
var useradd sync.Mutex

// Account runs one of shadow's programs, such as usermod, with that input. It must not fail.
func Account(t T, input, name string, args ...string) {
	t.Helper()
	useradd.Lock()
	defer useradd.Unlock()
	Command(t, input, name, args...)
}

// NewPerson adds a user with a password, a home and a name that begins with
// prefix. Nothing is enrolled yet.
func NewPerson(t T, prefix string) *Person {
	t.Helper()
	p := WithoutUser(prefix)
	p.Add(t)
	return p
}

// Add makes the person a user of the machine.
func (p *Person) Add(t T) {
	t.Helper()
	useradd.Lock()
	defer useradd.Unlock()
	p.UID = newID()
	p.GID = p.UID
	addAccount(t, p, hash(p.Password))
}

// newID is the id of no user and no group.
func newID() int { return firstID + int(people.Add(1)) }

// Expire has the person's password expire: it must be changed at the login.
func (p *Person) Expire(t T) {
	t.Helper()
	Account(t, "", "chage", "--lastday", "0", p.Name)
}

// ShareUID gives the person a uid that is somebody's already.
func (p *Person) ShareUID(t T, uid int) {
	t.Helper()
	Account(t, "", "usermod", "--non-unique", "--uid", strconv.Itoa(uid), p.Name)
	p.UID = uid
}

// OtherName gives the person a second login name of the same uid, with a password
// and an address of its own and the same phone.
func (p *Person) OtherName(t T) *Person {
	t.Helper()
	other := WithoutUser("also")
	other.Secret, other.Period, other.UID, other.GID = p.Secret, p.Period, p.UID, p.GID
	Keep(other.Secret)
	Account(t, "", "useradd", "--no-create-home", "--home-dir", "/home/"+p.Name, "--shell", "/bin/bash",
		"--non-unique", "--uid", strconv.Itoa(p.UID), "--gid", strconv.Itoa(p.GID), other.Name)
	Account(t, other.Name+":"+hash(other.Password)+"\n", "chpasswd", "--encrypted")
	return other
}

// gone waits until no process of the person's is left: usermod refuses to change who
// has one, and a session ends a moment after its client.
func (p *Person) gone(t T) {
	t.Helper()
	Until(t, "no process of "+p.Name+" is left", func() bool {
		err := exec.Command("pgrep", "-u", p.Name).Run()
		var exit *exec.ExitError
		return errors.As(err, &exit) && exit.ExitCode() == 1
	})
}

// Rename gives the person another login name, and returns the former one.
func (p *Person) Rename(t T, name string) (former string) {
	t.Helper()
	p.gone(t)
	Account(t, "", "usermod", "--login", name, p.Name)
	former, p.Name = p.Name, name
	return former
}

// NewGroup adds a group to the machine.
func NewGroup(t T, name string) {
	t.Helper()
	Account(t, "", "groupadd", "--gid", strconv.Itoa(newID()), name)
}

// JoinGroup adds a user of the machine to a group of it.
func JoinGroup(t T, user, group string) {
	t.Helper()
	Account(t, "", "usermod", "--append", "--groups", group, user)
}

// WithoutUser makes up somebody without adding a user, for PAM stacks that have
// no password stage.
func WithoutUser(prefix string) *Person {
	n := people.Add(1)
	p := &Person{
		Name: fmt.Sprintf("%s%d", prefix, n), Password: newPassword(), Secret: newSecret(),
		Address: fmt.Sprintf("127.1.%d.%d", n/250, 1+n%250),
	}
	Keep(p.Password, p.Secret)
	return p
}

// newSecret makes a key whose codes of this day's hours, by time and by counter,
// differ from each other: a test that gives two means two.
func newSecret() string {
	for {
		key := make([]byte, 20)
		_, _ = rand.Read(key) // never fails
		if distinct(key, time.Now()) {
			return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(key)
		}
	}
}

// distinct says whether no two codes of the key are the same among those of
// three hours around now, at each length of a step that the tests use, and
// those of the first counters. One key in fourteen has two.
func distinct(key []byte, now time.Time) bool {
	for _, period := range []int64{30, 120, longPeriod} {
		seen := map[uint32]bool{}
		step := now.Unix() / period
		for offset := -3600 / period; offset <= 7200/period; offset++ {
			seen[codeOf(key, uint64(step+offset))] = true
		}
		if int64(len(seen)) != 10800/period+1 {
			return false
		}
	}
	counted := map[uint32]bool{}
	for counter := range uint64(50) {
		counted[codeOf(key, counter)] = true
	}
	return len(counted) == 50
}

// codeOf is RFC 4226, section 5.3, with six digits.
func codeOf(key []byte, counter uint64) uint32 {
	mac := hmac.New(sha1.New, key)
	_ = binary.Write(mac, binary.BigEndian, counter) // a hash takes everything
	sum := mac.Sum(nil)
	return binary.BigEndian.Uint32(sum[sum[19]&0xf:]) & 0x7fffffff % 1_000_000
}

// Command runs a program with that input, which must not fail.
func Command(t T, input, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(input)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, output)
	}
}

// As makes cmd run as the person, in the person's home.
func (p *Person) As(cmd *exec.Cmd) *exec.Cmd {
	cmd.Dir = "/home/" + p.Name
	cmd.Env = append([]string{"HOME=" + cmd.Dir, "USER=" + p.Name, "LOGNAME=" + p.Name, "SHELL=/bin/bash", "TERM=dumb",
		"PATH=/usr/local/bin:/usr/bin:/bin"}, cmd.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(p.UID), Gid: uint32(p.GID)}}
	return cmd
}

// longPeriod is the length of a step unless a test has its own: a busy machine
// may take minutes to a login, and a code must not run out meanwhile. People
// who are enrolled by otpctl or at the login have steps of 30 seconds.
const longPeriod = 300

// SecretFile returns the person's secret file, confirmed, in the form an
// admin would write by hand.
func (p *Person) SecretFile() string {
	p.Period = cmp.Or(p.Period, longPeriod)
	return fmt.Sprintf("version = 1\nuser = %q\n\n[[factor]]\nid = \"phone\"\nkind = \"totp\"\nsecret = %q\nperiod = %d\nconfirmed = 2026-11-22T10:00:00Z\n",
		p.Name, p.Secret, p.Period)
}

// Enroll writes the person's secret file into a directory of secret files.
func (p *Person) Enroll(t T, dir string) *Person {
	t.Helper()
	p.Write(t, dir, p.SecretFile())
	return p
}

// Write writes text as the person's secret file.
func (p *Person) Write(t T, dir, text string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatalf("directory of secret files: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, p.Name+".toml"), []byte(text), 0o600); err != nil {
		t.Fatalf("write the secret file: %v", err)
	}
}

// Code returns the code that the person's phone shows, or showed or will show
// offset steps from now.
func (p *Person) Code(t T, offset int) string {
	t.Helper()
	code := p.computed(t, offset)
	Keep(code)
	return code
}

func (p *Person) computed(t T, offset int) string {
	t.Helper()
	period := cmp.Or(p.Period, 30)
	at := time.Now().Add(time.Duration(offset*period) * time.Second)
	code, err := totp.GenerateCodeCustom(p.Secret, at, totp.ValidateOpts{Period: uint(period), Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		t.Fatalf("compute a code: %v", err)
	}
	return code
}

// Wrong returns a code that is none of the person's, near or far. Of those only that of
// now is looked for in logs: the others nobody is shown, and each one more makes it
// likelier that a number is taken for a code.
func (p *Person) Wrong(t T) string {
	t.Helper()
	var right []string
	for offset := -12; offset <= 12; offset++ {
		right = append(right, p.computed(t, offset))
	}
	for n := 100000; ; n += 7919 {
		if code := strconv.Itoa(n); !slices.Contains(right, code) {
			Keep(code, p.Code(t, 0))
			return code
		}
	}
}
