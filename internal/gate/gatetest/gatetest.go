// Package gatetest is what tests of the gate, and of what is above it, have in
// the place of a machine: people, names, groups, a clock and a log that they set.
//
// The entry point is [New]. It knows nothing of the gate, so that the gate's own
// tests can use it.
package gatetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/factor"
)

// Confirmed is when every factor was confirmed.
var Confirmed = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Machine has the accounts, the names and the log of a gate.
type Machine struct {
	Clock   time.Time
	Known   map[string]account.Person
	Broken  error               // what Load fails with
	Aliases map[string]string   // Canonical
	SameUID map[string][]string // Others
	Groups  map[string][]string // group → members
	mu      sync.Mutex
	log     []audit.Record
}

// New is a machine without people.
func New() *Machine {
	return &Machine{Clock: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), Known: map[string]account.Person{}}
}

// Load implements gate.Accounts.
func (m *Machine) Load(name string) (account.Person, error) {
	if m.Broken != nil {
		return account.Person{}, m.Broken
	}
	person, found := m.Known[name]
	if !found {
		return account.Person{}, fmt.Errorf("%s: %w", name, account.ErrNotFound)
	}
	return person, nil
}

// Like finds names that differ in their cases alone.
func (m *Machine) Like(name string) (like []string, err error) {
	for other := range m.Known {
		if other != name && strings.EqualFold(other, name) {
			like = append(like, other)
		}
	}
	return like, m.Broken
}

// Canonical implements gate.Names. Of nss-down the name service says nothing.
func (m *Machine) Canonical(user string) (string, bool, error) {
	if user == "nss-down" {
		return "", false, errors.New("name service is down")
	}
	if name, found := m.Aliases[user]; found {
		return name, true, nil
	}
	return user, false, nil
}

// Others implements gate.Names. Of uids-down the name service says nothing.
func (m *Machine) Others(user string) ([]string, error) {
	if user == "uids-down" {
		return nil, errors.New("name service is down")
	}
	return m.SameUID[user], nil
}

// InGroup implements gate.Names.
func (m *Machine) InGroup(user, group string) (bool, error) {
	members, found := m.Groups[group]
	if !found {
		return false, errors.New("unknown group")
	}
	return slices.Contains(members, user), nil
}

// Write implements audit.Sink.
func (m *Machine) Write(r audit.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.log = append(m.log, r)
}

// Log is what was written so far.
func (m *Machine) Log() []audit.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.log)
}

// Lines is the log as text.
func (m *Machine) Lines() string {
	var text strings.Builder
	for _, r := range m.Log() {
		text.WriteString(r.Line() + "\n")
	}
	return text.String()
}

// Give gives name a phone, and returns recovery codes.
func (m *Machine) Give(name string) []string {
	codes, recovery := factor.NewRecovery(name)
	m.Known[name] = account.Person{
		Version: 1, User: name, Enabled: true, Recovery: recovery,
		Factors: []account.Factor{{
			ID: "phone", Kind: account.TOTP, Secret: account.Secret("secret of " + name + ", 20 bytes"),
			Digits: 6, Period: 30, Algorithm: "SHA1", Confirmed: Confirmed,
		}},
	}
	return codes
}

// GiveToken gives name a phone, and as a second factor a token with a counter.
func (m *Machine) GiveToken(name string, counter int64) {
	m.Give(name)
	person := m.Known[name]
	person.Factors = append(person.Factors, account.Factor{
		ID: "token", Kind: account.HOTP, Secret: account.Secret("token of " + name + ", 20 bytes"),
		Digits: 6, Algorithm: "SHA1", Counter: counter, Confirmed: Confirmed,
	})
	m.Known[name] = person
}

// GiveSent gives name a factor of each kind, in that order, with addresses.
func (m *Machine) GiveSent(name string, kinds ...account.Kind) {
	m.Give(name)
	person := m.Known[name]
	phone := person.Factors[0]
	person.Email, person.Phone, person.Factors = name+"@example.com", "+491511234567", nil
	for _, kind := range kinds {
		f := account.Factor{ID: "my-" + string(kind), Kind: kind, Confirmed: Confirmed}
		if kind == account.TOTP {
			f = phone
		}
		person.Factors = append(person.Factors, f)
	}
	m.Known[name] = person
}

// Code is what name's phone shows steps from now, by an independent library.
func (m *Machine) Code(t *testing.T, name string, steps int) string {
	t.Helper()
	return code(t, m.Known[name].Factors[0].Secret.Base32(), m.Clock.Add(time.Duration(steps)*30*time.Second))
}

// CodeOf is what a phone that has read an otpauth URI shows at that time, by an
// independent library.
func CodeOf(t testing.TB, uri string, at time.Time) string {
	t.Helper()
	key, err := otp.NewKeyFromURL(uri)
	if err != nil {
		t.Fatal(err)
	}
	return code(t, key.Secret(), at)
}

func code(t testing.TB, secret string, at time.Time) string {
	t.Helper()
	code, err := totp.GenerateCodeCustom(secret, at, totp.ValidateOpts{Period: 30, Digits: otp.DigitsSix})
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// Press is what name's token shows at a counter, by an independent library.
func (m *Machine) Press(t *testing.T, name string, counter uint64) string {
	t.Helper()
	code, err := hotp.GenerateCodeCustom(m.Known[name].Factors[1].Secret.Base32(), counter, hotp.ValidateOpts{Digits: otp.DigitsSix})
	if err != nil {
		t.Fatal(err)
	}
	return code
}
