package main

import (
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/otpgate/otpgate/internal/wire"
)

const allowBob = wide + "[verifier]\nallow = [\"daemon\", \"nobody-of-this-name\"]\n"

// The kernel's word decides who may ask for whom, whatever the frames say.
func TestWhoMayAsk(t *testing.T) {
	const daemonUID, unknownUID = 1, 4242
	r := newRig(t, allowBob, usual)
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
		if row.may && (err != nil || verdict != wire.Accept || line.Verdict != "accepted") {
			t.Errorf("uid %d for %s: %v %q %v, log %+v", row.uid, row.user, verdict, told, err, line)
		}
		if !row.may && (err != nil || verdict != wire.Fault || line.Rule != "peer" || !strings.Contains(line.Reason, errMayNotAsk.Error()) || strings.Contains(told, "code:")) {
			t.Errorf("uid %d for %s: %v %q %v, log %+v", row.uid, row.user, verdict, told, err, line)
		}
	}
	// Nobody is anybody by an empty or odd name.
	for _, name := range []string{"", "alice\x00", "ALICE", "alice ", "../alice"} {
		verdict, _, err := dialAs(t, alicesUID, r.socket).login(r.start(name), "12345678")
		if err == nil && (verdict == wire.Accept || verdict == wire.Ignore) {
			t.Errorf("%q: %v", name, verdict)
		}
		_ = r.log.take(t, 1)
	}
}

// Who may ask for a code of somebody may ask whether one is behind the password.
func TestWhoMaySplit(t *testing.T) {
	r := newRig(t, wide+"[verifier]\nallow = [\"daemon\"]\n", usual)
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
	r := newRig(t, wide+"[policy]\ntrusted_networks = [\"192.0.2.0/24\"]\n", usual)
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
	r := newRig(t, wide, usual)
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
	r := newRig(t, wide, usual)
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
	eventually(t, "a free place", func() bool {
		verdict, _, err := dialAs(t, alicesUID, r.socket).login(r.start("alice"), alice.code(t))
		return err == nil && verdict == wire.Accept
	})
}

// eventually waits for what is a moment behind.
func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("%s: not so after %s", what, patience)
		}
	}
}

// doorAt is a door with narrow limits and a clock that stands at *now.
func doorAt(t *testing.T, now *time.Time) (d *door, enter func(uid uint32, trusted, want bool, complaint string)) {
	d = newDoor(limits{perUser: 2, perMinute: 6, strangers: 3, trusted: 4})
	d.now = func() time.Time { return *now }
	return d, func(uid uint32, trusted, want bool, complaint string) {
		t.Helper()
		ok, said := d.enter(uid, trusted)
		if ok != want || (said == "") != (complaint == "") || !strings.Contains(said, complaint) {
			t.Errorf("uid %d: %v %q, want %v %q", uid, ok, said, want, complaint)
		}
	}
}

func TestDoor(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	d, enter := doorAt(t, &now)
	enter(7, false, true, "")
	enter(7, false, true, "")
	enter(7, false, false, "uid 7 is refused: it has 2 dialogues open")
	enter(7, false, false, "")
	enter(8, false, true, "")
	enter(9, false, false, "have 3 dialogues open")
	for range 4 {
		enter(0, true, true, "")
	}
	enter(0, true, false, "uid 0 is refused: it has 4")
	d.leave(8, false)
	enter(9, false, true, "")
	if d.idle() != 0 {
		t.Error("idle with open dialogues")
	}
}

// Six in a minute, then one each ten seconds.
func TestDoorPace(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	d, enter := doorAt(t, &now)
	for range 6 {
		enter(7, false, true, "")
		d.leave(7, false)
	}
	enter(7, false, false, "more than 6 dialogues in a minute")
	now = now.Add(5 * time.Second)
	enter(7, false, false, "")
	now = now.Add(5 * time.Second)
	enter(7, false, true, "")
	d.leave(7, false)
	now = now.Add(time.Minute)
	for range 6 {
		enter(7, false, true, "")
		d.leave(7, false)
	}
	enter(7, false, false, "more than 6 dialogues in a minute")
	// Those of whom nothing is to be remembered are forgotten.
	for uid := range uint32(3000) {
		now = now.Add(time.Second)
		enter(10_000+uid, false, true, "")
		d.leave(10_000+uid, false)
	}
	if len(d.users) > 1100 {
		t.Errorf("%d users remembered", len(d.users))
	}
}

// The doctor and a second verifier look at who listens, and say nothing. That is
// no fault; of anybody else's program it is.
func TestLookIsNoFault(t *testing.T) {
	r := newRig(t, wide, usual)
	for range 20 {
		_ = dialAs(t, rootUID, r.socket).Close()
	}
	_ = dialAs(t, alicesUID, r.socket).Close()
	if line := r.log.take(t, 1)[0]; line.Rule != "dialogue" || !strings.Contains(line.Reason, "uid 1000") {
		t.Errorf("the log says %+v", line)
	}
	eventually(t, "the end of them all", func() bool { return r.server.door.idle() > 10*time.Millisecond })
	if !strings.Contains(r.figures(t), "otpgate_protocol_errors_total 1\n") {
		t.Errorf("metrics:\n%s", r.figures(t))
	}
}

// A flood that is refused costs few lines, whatever its kind.
func TestFloodInLog(t *testing.T) {
	r := newRig(t, wide, usual)
	for range 1000 {
		_, _ = dialAs(t, alicesUID, r.socket).Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	}
	eventually(t, "the end of the flood", func() bool { return r.server.door.idle() > 10*time.Millisecond })
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	if n := len(r.log.all); n > usual.perMinute+20 || n < 2 {
		t.Errorf("%d lines for 1000 connections of garbage", n)
	}
	for _, line := range r.log.all {
		if line.Verdict != "fault" || (line.Rule != "peer" && line.Rule != "dialogue") || !strings.Contains(line.Reason, "uid 1000") {
			t.Errorf("%+v", line)
		}
	}
}

// Nobody's program has shown a password here. So that of somebody who has not
// enrolled cannot enroll in that name.
func TestGuestsCannotEnroll(t *testing.T) {
	r := newRig(t, "[policy]\nrequire = [\"@all\"]\nunenrolled = \"enroll\"\n", usual)
	conn := dialAs(t, alicesUID, r.socket)
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
		t.Errorf("a program of alice's was shown a key: %v, %v", verdict, err)
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
