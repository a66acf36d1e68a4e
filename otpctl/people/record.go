package people

import (
	"context"
	"slices"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/keyring"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// The states of a person.
const (
	stateEnrolled    = "enrolled"
	stateDisabled    = "disabled"
	stateUnconfirmed = "unconfirmed"
	stateEmpty       = "no factor"
	stateBroken      = "broken"
	stateNone        = "not enrolled" // there is no file
)

// record is what is known about one person: the secret file without its
// secrets, and what the ledger adds.
type record struct {
	User  string `json:"user"`
	State string `json:"state"`
	Error string `json:"error,omitempty"`
	// UnknownUser says that the machine knows nobody of that name. Only lists look.
	UnknownUser  bool              `json:"unknown_user,omitempty"`
	File         string            `json:"file,omitempty"`
	Protocols    []config.Protocol `json:"protocols,omitempty"`
	Email        string            `json:"email,omitempty"`
	Phone        string            `json:"phone,omitempty"`
	Factors      []factorRecord    `json:"factors"`
	RecoveryLeft int               `json:"recovery_left"`
	LastLogin    time.Time         `json:"last_login,omitzero"`
	// LastLogins are those at which a code was looked at, the newest first. Lists leave
	// them out.
	LastLogins []ledger.Login `json:"last_logins,omitempty"`
	// WrongCodes of WrongLimit count; at the limit they lock.
	WrongCodes  int       `json:"wrong_codes"`
	WrongLimit  int       `json:"wrong_limit,omitempty"`
	LastWrong   time.Time `json:"last_wrong,omitzero"`
	LockedUntil time.Time `json:"locked_until,omitzero"`
	// SentCodes of SentLimit in an hour were sent; at the limit the next one is
	// from NextSend on.
	SentCodes int       `json:"sent_codes"`
	SentLimit int       `json:"sent_limit,omitempty"`
	NextSend  time.Time `json:"next_send,omitzero"`
	// Programs are the users other than root whose programs gave wrong codes, had
	// codes sent or began a grace. That counts for each apart.
	Programs []gate.PeerLately `json:"programs,omitempty"`
	// GraceUntil is until when somebody who must enroll first is let in, or
	// was; GraceBegun is false where it begins with the first login.
	GraceUntil time.Time `json:"grace_until,omitzero"`
	GraceBegun bool      `json:"grace_begun,omitempty"`
}

// factorRecord is one factor. What a kind does not have is left out: digits,
// period and algorithm of codes that are sent, a clock of a token.
type factorRecord struct {
	ID          string       `json:"id"`
	Kind        account.Kind `json:"kind"`
	Digits      int          `json:"digits,omitempty"`
	Period      int          `json:"period,omitempty"`
	Algorithm   string       `json:"algorithm,omitempty"`
	NextCounter *int64       `json:"next_counter,omitempty"`
	Prefix      string       `json:"prefix,omitempty"`
	SentTo      string       `json:"sent_to,omitempty"`
	Confirmed   bool         `json:"confirmed"`
	ConfirmedAt time.Time    `json:"confirmed_at,omitzero"`
	// Replaces says that the confirmed factor with this id ends once this one
	// is confirmed.
	Replaces bool `json:"replaces,omitempty"`
	// Key is what the secret is encrypted with, Unreadable why it cannot be read now.
	Key          string    `json:"key,omitempty"`
	Unreadable   string    `json:"unreadable,omitempty"`
	LastUsed     time.Time `json:"last_used,omitzero"`
	DriftSeconds *int      `json:"drift_seconds,omitempty"`
}

// recordOf gathers it. A record with an error is still one to show.
func recordOf(ctx context.Context, a *invocation.App, g admin.People, dir account.Store, name string) (record, error) {
	r := record{User: name, State: stateBroken, File: dir.Path(name), Factors: []factorRecord{}}
	person, err := dir.Load(name)
	if err == nil {
		err = r.grace(ctx, g)
	}
	if err != nil {
		r.Error = err.Error()
		return r, err
	}
	entry, err := g.Ledger.View(ctx, ledger.Key{Kind: ledger.User, Name: person.User})
	if err != nil {
		r.Error = err.Error()
		return r, err
	}
	r.State, r.Protocols, r.Email, r.Phone = state(person), person.Protocols, person.Email, person.Phone
	for _, f := range person.Factors {
		r.Factors = append(r.Factors, newFactorRecord(person, f, entry))
	}
	r.RecoveryLeft = factor.RecoveryLeft(person, entry)
	r.LastLogin, r.LastWrong, r.WrongLimit = entry.LastLogin, entry.Attempts.LastWrong, g.Config.Policy.Attempts.PerWindow
	r.WrongCodes, r.LockedUntil = g.WrongLately(entry)
	r.SentLimit = g.Config.Sent.PerHour
	r.SentCodes, r.NextSend = g.SentLately(entry)
	r.Programs = programs(g, r, entry)
	r.LastLogins = slices.Clone(entry.Recent)
	slices.Reverse(r.LastLogins)
	return r, nil
}

// programs are whose counts apart, with their graces if the person is in one.
func programs(g admin.People, r record, entry ledger.Entry) []gate.PeerLately {
	if r.GraceUntil.IsZero() {
		entry.PeerGraces = nil
	}
	return g.PeersLately(entry)
}

// grace fills in how long the person is let in without having enrolled.
func (r *record) grace(ctx context.Context, g admin.People) (err error) {
	r.GraceUntil, r.GraceBegun, err = g.GraceOf(ctx, r.User)
	return err
}

// letInByGrace is the record of somebody without a secret file whom grace lets in:
// the ledger knows since when. found is false for anybody else.
func letInByGrace(ctx context.Context, a *invocation.App, g admin.People, name string) (r record, found bool, err error) {
	r = record{User: name, State: stateNone, Factors: []factorRecord{}}
	if err := r.grace(ctx, g); err != nil || r.GraceUntil.IsZero() {
		return r, false, err
	}
	entry, err := g.Ledger.View(ctx, ledger.Key{Kind: ledger.User, Name: name})
	r.LastLogin, r.Programs = entry.LastLogin, programs(g, r, entry)
	return r, err == nil, err
}

func state(person account.Person) string {
	switch {
	case !person.Enabled:
		return stateDisabled
	case person.Enrolled():
		return stateEnrolled
	case len(person.Factors) > 0:
		return stateUnconfirmed
	}
	return stateEmpty
}

func newFactorRecord(person account.Person, f account.Factor, entry ledger.Entry) factorRecord {
	r := factorRecord{
		ID: f.ID, Kind: f.Kind, Digits: f.Digits, Period: f.Period, Algorithm: f.Algorithm, Prefix: f.Prefix,
		Confirmed: !f.Confirmed.IsZero(), ConfirmedAt: f.Confirmed, Key: keyring.KeyOf(f.Encrypted),
	}
	if err := f.Unreadable(); err != nil {
		r.Unreadable = err.Error()
	}
	r.Replaces = !r.Confirmed && slices.ContainsFunc(person.Confirmed(), func(old account.Factor) bool { return old.ID == f.ID })
	switch f.Kind {
	case account.TOTP:
		use, found := entry.Used[factor.Fingerprint(person.User, f)]
		drift := use.Drift * f.Period
		r.DriftSeconds = &drift
		// A drift may be known before any code was used.
		if found && use.Step > 0 && !factor.IsRetired(use) {
			r.LastUsed = time.Unix((use.Step-int64(use.Drift))*int64(f.Period), 0).UTC()
		}
	case account.HOTP:
		if f.Unreadable() != nil {
			break // its counter is known by its secret alone
		}
		if next, ok := (factor.HOTP{User: person.User, Factor: f}).Next(entry); ok {
			r.NextCounter = &next
		}
	case account.Email:
		r.SentTo = person.Email
	case account.SMS:
		r.SentTo = person.Phone
	}
	return r
}
