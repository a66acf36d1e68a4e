package gate

import (
	"slices"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/gate/gatetest"
	"github.com/otpgate/otpgate/internal/ledger"
)

// A person's last logins are those at which a code was looked at, right and wrong ones,
// and not what was typed elsewhere.
func TestRecentLogins(t *testing.T) {
	p := newFixture(t)
	p.Host = "server1"
	recovery := p.Give("alice")
	wrong := gatetest.Other(p.Code(t, "alice", -1), p.Code(t, "alice", 0), p.Code(t, "alice", 1))
	login := func(g *Gate, service, remote string, codes ...any) {
		g.Login(t.Context(), Request{User: "alice", Service: service, RemoteHost: remote}, says(codes...))
	}
	begun := p.Clock
	login(p.Gate, "sshd", "192.0.2.7", wrong, wrong, p.Code(t, "alice", 0))
	p.Clock = p.Clock.Add(time.Minute)
	client := *p.Gate
	client.Client, client.ClientWrong = "web1", 10
	login(&client, "sudo", "", recovery[0])
	if _, err := p.Prove(t.Context(), p.Known["alice"], "192.0.2.1", wrong); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Prove(t.Context(), p.Known["alice"], "192.0.2.1", recovery[1]); err != nil {
		t.Fatal(err)
	}
	// What is no code, and one that was used, is no guess.
	login(p.Gate, "sshd", "192.0.2.7", "hello", recovery[0])
	want := []ledger.Login{
		{At: begun, Service: "sshd", Host: "server1", Address: "192.0.2.7", Rule: "code", Denied: true},
		{At: begun, Service: "sshd", Host: "server1", Address: "192.0.2.7", Rule: "totp:phone"},
		{At: p.Clock, Service: "sudo", Host: "web1", Rule: "recovery"},
	}
	entry, err := p.Ledger.View(t.Context(), ledger.UserKey("alice"))
	if err != nil || !slices.Equal(entry.Recent, want) {
		t.Errorf("%+v, %v, expected %+v", entry.Recent, err, want)
	}
}

// What a program of another than root's says of a login is marked as its word.
func TestRecentLoginsOfPeers(t *testing.T) {
	p := newFixture(t)
	p.Give("alice")
	p.asked("uid 33").Login(t.Context(), Request{User: "alice", Service: "sshd", RemoteHost: "192.0.2.7"}, says(p.Code(t, "alice", 0)))
	entry, err := p.Ledger.View(t.Context(), ledger.UserKey("alice"))
	if err != nil || len(entry.Recent) != 1 || entry.Recent[0].Peer != "uid 33" {
		t.Errorf("%+v, %v", entry.Recent, err)
	}
}
