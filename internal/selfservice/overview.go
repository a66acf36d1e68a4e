package selfservice

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/ledger"
)

// Overview is what is a person's. Nothing in it is secret.
type Overview struct {
	User         string
	Ends         time.Time
	Devices      []Device
	RecoveryLeft int
	Sessions     []Session
	Logins       []Login
}

// Device is one that counts. Removable is false for the last one of somebody who must have
// one.
type Device struct {
	ID        string
	Kind      account.Kind
	Confirmed time.Time
	Removable bool
}

// Session is a remembered login, with a name for it that is good for this person.
type Session struct {
	ID string
	ledger.Session
}

// Login is one of the last logins, likewise.
type Login struct {
	ID string
	ledger.Login
}

// Show shows what is the person's. It changes nothing.
func (s Service) Show(ctx context.Context, browser BrowserSession) (Overview, error) {
	v, err := s.open(ctx, browser)
	if err != nil {
		return Overview{}, err
	}
	entry, err := s.People.Ledger.View(ctx, ledger.UserKey(v.person.User))
	if err != nil {
		return Overview{}, err
	}
	o := Overview{User: v.person.User, Ends: v.link.BrowserSessionEnds, RecoveryLeft: factor.RecoveryLeft(v.person, entry), Logins: loginsOf(entry)}
	if o.Sessions, err = s.sessionsOf(ctx, v.person.User); err != nil {
		return Overview{}, err
	}
	confirmed := v.person.Confirmed()
	removable := len(confirmed) > 1 || !s.mustHave(v.person.User)
	for _, f := range confirmed {
		o.Devices = append(o.Devices, Device{ID: f.ID, Kind: f.Kind, Confirmed: f.Confirmed, Removable: removable})
	}
	return o, nil
}

// mustHave says whether a code is required of somebody. What cannot be decided is.
func (s Service) mustHave(user string) bool {
	standing, err := s.People.StandingOf(user)
	return err != nil || standing.Required
}

// sessionsOf are the person's remembered logins, the newest first.
func (s Service) sessionsOf(ctx context.Context, user string) (all []Session, err error) {
	sessions, err := s.People.Sessions(ctx, user)
	if err != nil {
		return nil, err
	}
	for _, session := range slices.Backward(sessions) {
		all = append(all, Session{sessionID(session), session})
	}
	return all, nil
}

func sessionID(s ledger.Session) string {
	return idOf(s.Protocol, s.Address, s.Client, s.Peer, s.Since.UTC().Format(time.RFC3339))
}

// loginsOf are the person's last logins, the newest first.
func loginsOf(entry ledger.Entry) (all []Login) {
	for _, l := range slices.Backward(entry.Recent) {
		all = append(all, Login{loginID(l), l})
	}
	return all
}

func loginID(l ledger.Login) string {
	return idOf(l.At.UTC().Format(time.RFC3339), l.Service, l.Host, l.Address, l.Peer, l.Rule, fmt.Sprint(l.Denied))
}

func idOf(parts ...string) string {
	sum := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(sum, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}
