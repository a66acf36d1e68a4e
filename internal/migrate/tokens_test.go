package migrate

import (
	"slices"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/tokenfile"
)

// Devices of one person come together, in the order of the file; what may have been
// used by time counts as used.
func TestTokens(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 5, 0, time.UTC)
	app := account.Factor{Kind: account.TOTP, Secret: account.Secret("0123456789"), Digits: 6, Period: 60, Algorithm: "SHA1"}
	token := account.Factor{Kind: account.HOTP, Secret: account.Secret("abcdefghij"), Digits: 6, Algorithm: "SHA1", Counter: 5}
	people := Tokens([]tokenfile.Token{
		{Number: 1, User: "alice", Factor: app, Drift: -2},
		{Number: 2, User: "bob", Factor: token, Remarks: []string{"hello"}},
		{Number: 3, User: "alice", Factor: app},
		{Number: 4, Line: 9, User: "alice", Factor: token},
	}, now)
	if len(people) != 2 || people[0].User != "alice" || people[1].User != "bob" {
		t.Fatalf("%+v", people)
	}
	alice, bob := people[0], people[1]
	var ids []string
	for _, f := range alice.Factors {
		ids = append(ids, f.Factor.ID)
	}
	if !slices.Equal(ids, []string{"phone", "phone2", "token"}) || !slices.Equal(alice.Entries, []int{1, 3}) || !slices.Equal(alice.Lines, []int{9}) {
		t.Errorf("alice: %v %v %v", ids, alice.Entries, alice.Lines)
	}
	if use := alice.Factors[0].Use; use == nil || use.Step != now.Unix()/60+1-2 || use.Drift != -2 || use.Resynced != -2 {
		t.Errorf("a clock that is behind: %+v", use)
	}
	if use := alice.Factors[1].Use; use == nil || use.Step != now.Unix()/60+1 || use.Drift != 0 {
		t.Errorf("a clock that is right: %+v", use)
	}
	if f := bob.Factors[0]; f.Use != nil || f.Factor.Counter != 5 || !slices.Equal(bob.Remarks, []string{"entry 2: hello"}) {
		t.Errorf("bob: %+v, %q", f, bob.Remarks)
	}
}
