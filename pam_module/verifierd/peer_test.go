package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/testwait"
	"github.com/otpgate/otpgate/internal/wire"
)

const allowBob = wide + "[verifier]\nallow = [\"daemon\", \"nobody-of-this-name\"]\n"

// The service of a login, which otpctl pam confirm believes, is the word of
// whoever may ask for anybody, and no ordinary user's.
func TestServicesThatPeersName(t *testing.T) {
	r := newRig(t, wide+"[verifier]\nallow = [\"daemon\"]\n", unhurried)
	alice := r.enroll(t, "alice")
	store, err := ledger.OpenFiles(filepath.Join(r.dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		uid   int
		named string
		kept  bool
	}{{rootUID, "by-root", true}, {daemonUID, "by-allowed", true}, {alicesUID, "by-herself", false}} {
		start := r.start("alice")
		start.Service = row.named
		if verdict, told, err := dialAs(t, row.uid, r.socket).login(start, alice.code(t)); err != nil || verdict != wire.Accept {
			t.Fatalf("uid %d: %v, %q, %v", row.uid, verdict, told, err)
		}
		entry, err := store.View(t.Context(), ledger.UserKey("alice"))
		if err != nil {
			t.Fatal(err)
		}
		kept := slices.ContainsFunc(entry.Services, func(s ledger.ServiceLogin) bool { return s.Service == row.named })
		if kept != row.kept {
			t.Errorf("uid %d: the ledger has the services %+v; expected %s in it: %v", row.uid, entry.Services, row.named, row.kept)
		}
	}
}

// The kernel's word decides who may ask for whom, whatever the frames say.
func TestWhoMayAsk(t *testing.T) {
	const unknownUID = 4242
	r := newRig(t, allowBob, unhurried)
	if lines := r.log.take(t, 1); !strings.Contains(lines[0].Reason, `user "nobody-of-this-name"`) {
		t.Errorf("of the unknown user in verifier.allow the log says %+v", lines)
	}
	people := map[string]*person{"alice": r.enroll(t, "alice"), "bob": r.enroll(t, "bob"), "root": r.enroll(t, "root")}
	for _, row := range []struct {
		uid  int
		user string
		may  bool
	}{
		{rootUID, "alice", true}, {rootUID, "bob", true}, {rootUID, "root", true},
		{alicesUID, "alice", true}, {alicesUID, "bob", false}, {alicesUID, "root", false},
		{bobsUID, "bob", true}, {bobsUID, "alice", false},
		{daemonUID, "alice", true}, {daemonUID, "root", true},
		{unknownUID, "alice", false}, {unknownUID, "root", false},
	} {
		start := r.start(row.user)
		start.RemoteUser = "root"
		verdict, told, err := dialAs(t, row.uid, r.socket).login(start, people[row.user].code(t))
		line := r.log.take(t, 1)[0]
		if own := row.uid == rootUID; (line.Peer == "") != own || !own && line.Peer != fmt.Sprintf("uid %d", row.uid) {
			t.Errorf("uid %d: the log says it was asked by %q", row.uid, line.Peer)
		}
		if row.may && (err != nil || verdict != wire.Accept || line.Verdict != "accepted") {
			t.Errorf("uid %d for %s: %v %q %v, log %+v", row.uid, row.user, verdict, told, err, line)
		}
		if !row.may && (err != nil || verdict != wire.Fault || line.Rule != "peer" || !strings.Contains(line.Reason, errMayNotAsk.Error()) || strings.Contains(told, "code:")) {
			t.Errorf("uid %d for %s: %v %q %v, log %+v", row.uid, row.user, verdict, told, err, line)
		}
	}
	// Nobody is anybody by an empty or odd name.
	for _, name := range []string{"", "alice\x00", "ALICE", "alice ", "../alice"} {
		verdict, _, err := dialAs(t, alicesUID, r.socket).login(r.start(name), people["alice"].wrong(t))
		if err == nil && (verdict == wire.Accept || verdict == wire.Ignore) {
			t.Errorf("%q: %v", name, verdict)
		}
		_ = r.log.take(t, 1)
	}
}

// Who may ask for a code of somebody may ask whether one is behind the password.
func TestWhoMaySplit(t *testing.T) {
	r := newRig(t, wide+"[verifier]\nallow = [\"daemon\"]\n", unhurried)
	alice := r.enroll(t, "alice")
	start := r.start("alice")
	start.Split = true
	for uid, may := range map[int]bool{rootUID: true, alicesUID: true, 1: true, bobsUID: false, 4242: false} {
		verdict, asked, err := dialAs(t, uid, r.socket).login(start, alice.code(t))
		if want := map[bool]wire.Verdict{true: wire.Split, false: wire.Fault}[may]; err != nil || verdict != want {
			t.Errorf("uid %d: %v, %v, want %v", uid, verdict, err, want)
		}
		if (asked != "") != may {
			t.Errorf("uid %d was asked %q", uid, asked)
		}
		if !may {
			if line := r.log.take(t, 1)[0]; line.Rule != "peer" {
				t.Errorf("uid %d: log %+v", uid, line)
			}
		}
	}
	// It used nothing up and left no line behind.
	if verdict, _, err := dialAs(t, rootUID, r.socket).login(r.start("alice"), alice.code(t)); err != nil || verdict != wire.Accept {
		t.Errorf("the code afterwards: %v, %v", verdict, err)
	}
	_ = r.log.take(t, 1)
}

// An ordinary user's program cannot say where the login comes from: it could
// lock others out by their address, or be in a trusted network.
func TestRemoteHostOfStrangers(t *testing.T) {
	r := newRig(t, wide+"[policy]\ntrusted_networks = [\"192.0.2.0/24\"]\n", unhurried)
	alice := r.enroll(t, "alice")
	start := r.start("alice")
	start.RemoteHost = "192.0.2.1"
	for uid, want := range map[int]wire.Verdict{rootUID: wire.Ignore, alicesUID: wire.Accept} {
		verdict, _, err := dialAs(t, uid, r.socket).login(start, alice.code(t))
		line := r.log.take(t, 1)[0]
		if err != nil || verdict != want || (line.Remote != "") != (uid == rootUID) {
			t.Errorf("uid %d: %v, %v, want %v, log %+v", uid, verdict, err, want, line)
		}
	}
}

// What changes in verifier.allow holds from the next login on.
func TestAllowChanges(t *testing.T) {
	r := newRig(t, wide, unhurried)
	alice := r.enroll(t, "alice")
	ask := func() wire.Verdict {
		verdict, _, err := dialAs(t, 1, r.socket).login(r.start("alice"), alice.code(t))
		if err != nil {
			t.Error(err)
		}
		return verdict
	}
	if ask() != wire.Fault {
		t.Error("a user who is not in verifier.allow got in")
	}
	r.configure(t, wide+"[verifier]\nallow = [\"daemon\"]\n")
	if ask() != wire.Accept {
		t.Error("a user who was added to verifier.allow did not get in")
	}
	r.configure(t, wide+"[verifier]\nallow = [\"nobody\"]\n")
	if ask() != wire.Fault {
		t.Error("a user who was taken from verifier.allow got in")
	}
}

func TestBoundsPerUser(t *testing.T) {
	r := newRig(t, wide, unhurried)
	alice, bob := r.enroll(t, "alice"), r.enroll(t, "bob")
	var open []front
	for range usual.perUser {
		conn := dialAs(t, alicesUID, r.socket)
		if err := conn.open(r.start("alice")); err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	for range 20 {
		if _, err := io.ReadAll(dialAs(t, alicesUID, r.socket)); err != nil && !errors.Is(err, errReset) {
			t.Errorf("one more: %v", err)
		}
	}
	if lines := r.log.take(t, 1); !strings.Contains(lines[0].Reason, "uid 1000 is refused: it has 16 dialogues open") {
		t.Errorf("the log says %+v", lines)
	}
	if !strings.Contains(r.figures(t), "otpgate_refused_peers_total 20\n") {
		t.Errorf("metrics:\n%s", r.figures(t))
	}
	for uid, person := range map[int]*person{rootUID: alice, bobsUID: bob} {
		if verdict, _, err := dialAs(t, uid, r.socket).login(r.start(person.name), person.code(t)); verdict != wire.Accept {
			t.Errorf("uid %d: %v, %v", uid, verdict, err)
		}
	}
	// A place that was given back can be taken.
	if verdict, _, err := open[0].finish(alice.code(t)); verdict != wire.Accept {
		t.Errorf("the first: %v, %v", verdict, err)
	}
	_ = r.log.take(t, 3)
	code := alice.code(t) // there are only so many
	testwait.Until(t, "a free place", func() bool {
		verdict, _, err := dialAs(t, alicesUID, r.socket).login(r.start("alice"), code)
		return err == nil && verdict == wire.Accept
	})
}

// Whoever holds open a prompt of each of many sudos keeps nobody else's logins from the
// verifier, which servers depend on that can start no core.
func TestBoundsPerName(t *testing.T) {
	r := newRig(t, wide, unhurried)
	alice, bob := r.enroll(t, "alice"), r.enroll(t, "bob")
	open := make([]front, usual.perName)
	for i := range open {
		open[i] = dial(t, r.socket)
		if err := open[i].open(r.start("alice")); err != nil {
			t.Fatal(err)
		}
	}
	for range complaints + 20 {
		if err := dial(t, r.socket).open(r.start("alice")); !errors.Is(err, errDeclined) {
			t.Fatalf("one more: %v", err)
		}
	}
	if line := r.log.take(t, complaints)[0]; line.User != "alice" || !strings.Contains(line.Reason, "256 dialogues open") {
		t.Errorf("the log says %+v", line)
	}
	if verdict, _, err := dial(t, r.socket).login(r.start("bob"), bob.code(t)); verdict != wire.Accept {
		t.Errorf("somebody else: %v, %v", verdict, err)
	}
	// A server that can start no core takes codes from behind the password.
	split, behind := r.start("alice"), r.start("alice")
	split.Split, behind.AfterSplit, behind.CodeBehind = true, true, true
	if verdict, _, err := dial(t, r.socket).login(split, alice.code(t)); verdict != wire.Split {
		t.Errorf("a server's, before the password: %v, %v", verdict, err)
	}
	if verdict, _, err := dial(t, r.socket).login(behind, alice.code(t)); verdict != wire.Accept {
		t.Errorf("a server's, behind the password: %v, %v", verdict, err)
	}
	if verdict, _, err := open[0].finish(alice.code(t)); verdict != wire.Accept {
		t.Errorf("the first: %v, %v", verdict, err)
	}
	_ = r.log.take(t, 3)
	testwait.Until(t, "a free place", func() bool {
		conn := dial(t, r.socket)
		return errors.Join(conn.open(r.start("alice")), conn.Close()) == nil
	})
}

// Programs of a person's own, and of a server that may ask for anybody, lock
// themselves out, and no address but for themselves.
func TestPeersOverTheSocket(t *testing.T) {
	r := newRig(t, "[totp]\nwindow = 10\n[policy.attempts]\nper_window = 5\nper_source = 5\n[verifier]\nallow = [\"daemon\"]\n", unhurried)
	people := map[string]*person{"alice": r.enroll(t, "alice"), "bob": r.enroll(t, "bob")}
	start := func(name string) wire.Start {
		start := r.start(name)
		start.RemoteHost = "192.0.2.1"
		return start
	}
	wrong := func() string { return people["alice"].wrong(t) }
	for _, culprit := range []int{alicesUID, daemonUID} {
		for range 3 {
			if verdict, _, err := dialAs(t, culprit, r.socket).login(start("alice"), wrong(), wrong(), wrong()); err != nil || verdict != wire.MaxTries {
				t.Fatalf("uid %d: %v, %v", culprit, verdict, err)
			}
		}
		if line := r.log.take(t, 3)[2]; !strings.Contains(line.Reason, fmt.Sprintf("for programs of uid %d alone", culprit)) {
			t.Errorf("uid %d: log %+v", culprit, line)
		}
		for name, uid := range map[string]int{"alice": rootUID, "bob": rootUID} {
			if verdict, told, err := dialAs(t, uid, r.socket).login(start(name), people[name].code(t)); err != nil || verdict != wire.Accept {
				t.Errorf("after uid %d, uid %d for %s: %v %q %v", culprit, uid, name, verdict, told, err)
			}
		}
		_ = r.log.take(t, 2)
	}
}

// Nobody's program has shown a password here. So neither that of somebody who has
// not enrolled nor a server that asks for anybody can enroll in that name.
func TestOrdinaryUsersCannotEnroll(t *testing.T) {
	for name, uid := range map[string]int{"alice": alicesUID, "a server": daemonUID} {
		t.Run(name, func(t *testing.T) { testCannotEnroll(t, uid) })
	}
}

func testCannotEnroll(t *testing.T, uid int) {
	r := newRig(t, "[policy]\nrequire = [\"@all\"]\nunenrolled = \"enroll\"\n[verifier]\nallow = [\"daemon\"]\n", unhurried)
	conn := dialAs(t, uid, r.socket)
	if err := conn.open(r.start("alice")); err != nil {
		t.Fatal(err)
	}
	// Enter, and then whatever app has the key that was shown.
	told := ""
	verdict, found := wire.Verdict(0xff), keyLine.FindStringSubmatch("")
	for found == nil && verdict == 0xff {
		kind, payload, err := conn.read()
		switch {
		case err != nil:
			t.Fatal(err)
		case kind == wire.TypeVerdict:
			verdict = wire.Verdict(payload[0])
			continue
		}
		told += string(payload[1:]) + "\n"
		found = keyLine.FindStringSubmatch(told)
		if style := wire.Style(payload[0]); style == wire.EchoOff {
			if err := conn.reply(""); err != nil {
				t.Fatal(err)
			}
		}
	}
	if found != nil {
		code, err := totp.GenerateCode(strings.ReplaceAll(found[1], " ", ""), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		verdict, _, err = conn.finish(code, "")
		t.Errorf("a program of uid %d was shown a key: %v, %v", uid, verdict, err)
	}
	if verdict != wire.Deny {
		t.Errorf("%v, told %q", verdict, told)
	}
	if files, err := os.ReadDir(r.users); err != nil || len(files) != 0 {
		t.Errorf("it enrolled: %v, %v", files, err)
	}
	_ = r.log.take(t, 1)
}

var keyLine = regexp.MustCompile(`Key: ([A-Z2-7 ]+)`)
