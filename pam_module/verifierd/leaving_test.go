package main

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/wire"
)

// Whoever holds a dialogue open when the verifier is told to end keeps nobody out whose
// host can start no core: systemd keeps the socket, and nobody else answers there yet.
func TestDialogueHeldAtTheEnd(t *testing.T) {
	t.Parallel()
	p := newInstallation(t, "", wide+"[verifier]\nallow = [\"daemon\"]\n")
	alice, bob := p.enroll(t, "alice"), p.enroll(t, "bob")
	if err := os.Mkdir(filepath.Dir(p.socket), 0o755); err != nil {
		t.Fatal(err)
	}
	socket := []*os.File{passed(t, "unix", p.socket)}
	if err := os.Chmod(p.socket, 0o666); err != nil {
		t.Fatal(err)
	}
	told, notify := listenNotify(t, p)
	process := p.activated(t, socket, "--idle 0", notify)
	told.expect(t, "READY=1")
	holds := dial(t, p.socket)
	if err := holds.open(p.start("alice")); err != nil {
		t.Fatal(err)
	}
	if err := process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	told.expect(t, "STOPPING=1")
	if verdict, told, err := dialAs(t, daemonUID, p.socket).login(p.start("bob"), bob.code(t)); verdict != wire.Accept {
		t.Errorf("a web server's: %v, %q, %v", verdict, told, err)
	}
	first := p.start("alice")
	first.Service, first.Split = "vsftpd", true
	server := dial(t, p.socket)
	if err := errors.Join(server.open(first), server.Close()); err != nil {
		t.Errorf("a server's, before the password: %v", err)
	}
	second := p.start("alice")
	second.Service, second.AfterSplit, second.CodeBehind = "vsftpd", true, true
	if verdict, told, err := dial(t, p.socket).login(second, alice.code(t)); verdict != wire.Accept {
		t.Errorf("a server's, behind the password: %v, %q, %v", verdict, told, err)
	}
	// Those would follow each other without end.
	if err := dial(t, p.socket).open(p.start("bob")); !errors.Is(err, errDeclined) {
		t.Errorf("who can start a core: %v", err)
	}
	if verdict, told, err := holds.finish(alice.code(t)); verdict != wire.Accept {
		t.Errorf("who was typing: %v, %q, %v", verdict, told, err)
	}
	if err := process.wait(t); err != nil {
		t.Errorf("%v\n%s", err, process.output.Bytes())
	}
}

func TestLeaving(t *testing.T) {
	t.Parallel()
	l := newLeaving()
	left := l.enter()
	root := &wire.Start{}
	if l.leavesTo(trusted, root) {
		t.Error("before the end somebody was left to a core")
	}
	l.begin()
	if l.wait(time.Millisecond) {
		t.Error("it did not wait for who came before")
	}
	later := l.enter()
	for kind, want := range map[peerKind]bool{trusted: true, ordinaryUser: true, allowed: false, forClients: false} {
		if l.leavesTo(kind, root) != want {
			t.Errorf("kind %d is left to a core: %v", kind, !want)
		}
	}
	left()
	if !l.wait(time.Minute) {
		t.Error("it waited for who came after")
	}
	if l.leavesTo(trusted, root) {
		t.Error("somebody is left to a core although nobody is waited for")
	}
	later()
	if leaveWithin+leftTime >= 150*time.Second {
		t.Error("systemd would kill it before that")
	}
	idle := newLeaving()
	if idle.begin(); !idle.wait(time.Minute) {
		t.Error("it waited for nobody")
	}
}
