// Package accounttest tests that an [account.Store] keeps the promises of package
// account. Whoever writes a store calls [Run] from a test and [Main] from TestMain,
// which lets the suite use the store from other processes too.
//
// The suite asks for no more than the promises: of two who change the same file at once
// one may wait, or be told that the other one changed it.
package accounttest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/keyring"
	"github.com/otpgate/otpgate/internal/testprogram"
)

// Open opens the store at an address, which is a directory or whatever else names it,
// with the keys in these files. Opened twice, also in two processes, it is the same store.
type Open func(address string, keys ...string) (account.Store, error)

// Run tests stores. fresh gives the address of a new, empty one.
func Run(t *testing.T, fresh func(t *testing.T) string, open Open) {
	tests := []struct {
		name string
		run  func(*testing.T, suite)
	}{
		{"NobodyIsThere", nobodyIsThere},
		{"KeepsEveryField", keepsEveryField},
		{"KeepsTheHeading", keepsTheHeading},
		{"ErrorOfChange", errorOfChange},
		{"Removed", removed},
		{"OddNames", oddNames},
		{"RefusedNames", refusedNames},
		{"LikeNames", likeNames},
		{"ManyNames", manyNames},
		{"OneCreates", oneCreates},
		{"AllChangesHold", allChangesHold},
		{"AllChangesHoldAcrossProcesses", allChangesHoldAcrossProcesses},
		{"ReadersSeeOldOrNew", readersSeeOldOrNew},
		{"KilledInChange", killedInChange},
		{"Renamed", renamed},
		{"RenamedToTaken", renamedToTaken},
		{"RenamedOnceMore", renamedOnceMore},
		{"RenameKilled", renameKilled},
		{"Encrypted", encrypted},
		{"Rotated", rotated},
		{"RotatesWhatCanBeRead", rotatesWhatCanBeRead},
		{"WithoutTheKey", withoutTheKey},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.run(t, suite{address: fresh(t), open: open, key: newKey(t)})
		})
	}
}

type suite struct {
	address string
	open    Open
	// key is the file of the key that secrets are encrypted with.
	key string
}

// newKey makes a key's file.
func newKey(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	_, data := keyring.NewFile()
	if err := errors.Join(os.Chmod(dir, 0o700), os.WriteFile(path, data, 0o400)); err != nil {
		t.Fatal(err)
	}
	return path
}

// store opens the store once more, with the suite's key.
func (s suite) store(t *testing.T) account.Store { return s.storeWith(t, s.key) }

func (s suite) storeWith(t *testing.T, keys ...string) account.Store {
	t.Helper()
	store, err := s.open(s.address, keys...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// phone is a device of the user's.
func phone(user, id string) account.Factor {
	secret := sha256.Sum256([]byte(id + " of " + user))
	return account.Factor{
		ID: id, Kind: account.TOTP, Secret: account.Secret(secret[:20]),
		Digits: 6, Period: 30, Algorithm: "SHA1", Confirmed: noon,
	}
}

func mustChange(t *testing.T, store account.Store, name string, change func(*account.Person) error) {
	t.Helper()
	if err := store.Change(name, change); err != nil {
		t.Fatalf("change %q: %v", name, err)
	}
}

// enroll gives the person a phone.
func enroll(t *testing.T, store account.Store, name string) {
	t.Helper()
	mustChange(t, store, name, func(p *account.Person) error {
		p.Factors = append(p.Factors, phone(name, "phone"))
		return nil
	})
}

func mustLoad(t *testing.T, store account.Store, name string) account.Person {
	t.Helper()
	person, err := store.Load(name)
	if err == nil {
		err = person.Unreadable()
	}
	if err != nil {
		t.Fatalf("load %q: %v", name, err)
	}
	return person
}

// wantPhone says that the person has that phone and no other device.
func wantPhone(t *testing.T, store account.Store, name, of string) {
	t.Helper()
	person := mustLoad(t, store, name)
	if len(person.Factors) != 1 || string(person.Factors[0].Secret) != string(phone(of, "phone").Secret) {
		t.Errorf("%q does not have the phone of %q", name, of)
	}
}

func wantNobody(t *testing.T, store account.Store, name string) {
	t.Helper()
	if _, err := store.Load(name); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("load %q: %v, expected that there is no such file", name, err)
	}
}

// until changes somebody whom others change at the same time.
func until(store account.Store, name string, change func(*account.Person) error) error {
	for {
		if err := store.Change(name, change); !errors.Is(err, account.ErrChanged) {
			return err
		}
	}
}

// another gives the person one more recovery code.
func another(p *account.Person) error {
	p.Recovery.Hashes = append(p.Recovery.Hashes, fmt.Sprintf("%064x", len(p.Recovery.Hashes)))
	return nil
}

// Main is for TestMain: it runs the tests, or, in a process that the suite has
// started, works on the store.
func Main(m *testing.M, open Open) int {
	return testprogram.Main(m, func(arguments []string) error {
		store, err := open(arguments[0], arguments[1])
		if err != nil {
			return err
		}
		return errors.Join(work(store, arguments[2]), store.Close())
	})
}

// perWorker is how many recovery codes a worker adds.
const perWorker = 10

func work(store account.Store, what string) error {
	switch what {
	case "add":
		var all error
		for range perWorker {
			all = errors.Join(all, until(store, "alice", another))
		}
		return all
	case "die in change":
		return store.Change("alice", func(p *account.Person) error {
			p.Factors = nil
			return die()
		})
	case "die in rename":
		_, err := store.Rename("alice", "alicia", ours, may, func(*account.Person) error { return die() })
		return err
	}
	return fmt.Errorf("unknown work %q", what)
}

func die() error { return syscall.Kill(os.Getpid(), syscall.SIGKILL) }

// worker gives a command that works on the store from its own process.
func (s suite) worker(what string) (*exec.Cmd, *strings.Builder) {
	return testprogram.Worker(s.address, s.key, what)
}
