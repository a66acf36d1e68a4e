package gate

import (
	"fmt"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
)

// A client that was taken over says that root's program asks. In logins that are
// remembered it finds no code by trying ends of a password, before the line that
// asks or at it.
func TestClientsLookLittle(t *testing.T) {
	p := newFixture(t)
	p.Config.Policy.Session.Duration = 24 * time.Hour
	p.GiveToken("alice", 0)
	p.Client, p.ClientWrong, p.SplitBudget = "web1", 100, NewSplitBudget()
	opener := p.Press(t, "alice", 0)
	expect(t, p.carrying("alice", opener, "ftp"), Accept, "hotp:token")
	split := func(text string) int {
		t.Helper()
		n, _, err := p.split("alice", text)
		if err != nil {
			t.Error(err)
		}
		return n
	}
	if n := split("secret" + p.Press(t, "alice", 1)); n != 6 {
		t.Errorf("what its people type: %d", n)
	}
	for i := range p.Config.Policy.Attempts.PerWindow {
		split(fmt.Sprintf("secret%06d", i))
	}
	if n := split("secret" + p.Press(t, "alice", 1)); n != 0 {
		t.Errorf("after as many tries as there may be wrong codes: %d", n)
	}
	if split("secret"+opener) != 6 {
		t.Error("the code that opened the session does not count any more")
	}
	// Another code at the line that asks moves no counter on.
	expect(t, p.carrying("alice", p.Press(t, "alice", 15), "ftp"), NotAsked, "policy.session")
	p.Client = ""
	expect(t, p.login("alice", says(p.Press(t, "alice", 1))), Accept, "hotp:token")
}

// A login at a client's sshd says nothing of the sshd of this machine, by which an
// admin may know that a changed service works.
func TestClientsNameNoService(t *testing.T) {
	p := newFixture(t)
	p.Give("alice")
	p.Client, p.ClientWrong = "web1", 100
	expect(t, p.login("alice", says(p.Code(t, "alice", 0))), Accept, "totp:phone")
	entry, err := p.Ledger.View(t.Context(), ledger.UserKey("alice"))
	if err != nil || len(entry.Services) > 0 {
		t.Errorf("%+v, %v", entry.Services, err)
	}
}
