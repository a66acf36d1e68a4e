package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// unhurried are the usual limits, but for the time to open a dialogue: it is not over
// because the machine stood still for a while.
var unhurried = func() limits {
	l := usual
	l.opening = patience
	return l
}()

// admissionTest is an admission with narrow limits and a clock that stands at now.
type admissionTest struct {
	*admission
	t   *testing.T
	now time.Time
	in  map[uint32][]*peerCount
}

func newAdmissionTest(t *testing.T, limits limits) *admissionTest {
	d := &admissionTest{admission: newAdmission(limits), t: t, now: time.Unix(1_800_000_000, 0), in: map[uint32][]*peerCount{}}
	d.admission.now = func() time.Time { return d.now }
	return d
}

func (d *admissionTest) come(uid uint32, kind peerKind, want bool, complaint string) {
	d.t.Helper()
	who, said := d.admit(uid, kind)
	if who != nil {
		d.in[uid] = append(d.in[uid], who)
	}
	if (who != nil) != want || (said == "") != (complaint == "") || !strings.Contains(said, complaint) {
		d.t.Errorf("uid %d: %v %q, want %v %q", uid, who != nil, said, want, complaint)
	}
}

func (d *admissionTest) gone(uid uint32) {
	all := d.in[uid]
	d.release(all[len(all)-1])
	d.in[uid] = all[:len(all)-1]
}

func TestAdmission(t *testing.T) {
	d := newAdmissionTest(t, limits{perUser: 2, perMinute: 6, ordinaryUsers: 3, nameless: 1, allowed: 2, trusted: 4})
	d.come(7, ordinaryUser, true, "")
	d.come(7, ordinaryUser, true, "")
	d.come(7, ordinaryUser, false, "uid 7 is refused: it has 2 dialogues open")
	d.come(7, ordinaryUser, false, "")
	d.come(8, ordinaryUser, true, "")
	d.come(9, ordinaryUser, false, "have 3 dialogues open")
	for range 4 {
		d.come(0, trusted, true, "")
	}
	d.come(0, trusted, false, "uid 0 is refused: it has 4")
	d.come(33, allowed, true, "")
	d.come(33, allowed, true, "")
	d.come(33, allowed, false, "uid 33 is refused: it has 2")
	d.come(34, allowed, true, "")
	d.gone(8)
	d.come(9, ordinaryUser, true, "")
	if d.idle() != 0 {
		t.Error("idle with open dialogues")
	}
}

// Six in a minute, then one each ten seconds.
func TestAdmissionPace(t *testing.T) {
	d := newAdmissionTest(t, limits{perUser: 2, perMinute: 6, ordinaryUsers: 3})
	for range 6 {
		d.come(7, ordinaryUser, true, "")
		d.gone(7)
	}
	d.come(7, ordinaryUser, false, "more than 6 dialogues in a minute")
	d.now = d.now.Add(5 * time.Second)
	d.come(7, ordinaryUser, false, "")
	d.now = d.now.Add(5 * time.Second)
	d.come(7, ordinaryUser, true, "")
	d.gone(7)
	d.now = d.now.Add(time.Minute)
	for range 6 {
		d.come(7, ordinaryUser, true, "")
		d.gone(7)
	}
	d.come(7, ordinaryUser, false, "more than 6 dialogues in a minute")
}

// Whoever owns tens of thousands of uids has the places of a few users, and
// takes none from people and servers.
func TestAdmissionOfManyUIDs(t *testing.T) {
	const first, count, ordinary, directory = 100_000, 65_536, 1001, 1_234_500_007
	d := newAdmissionTest(t, usual)
	d.met(directory)
	in := 0
	for uid := range uint32(count) {
		if who, _ := d.admit(first+uid, ordinaryUser); who != nil {
			in++
		}
	}
	// They lie in two ranges.
	if in > 2*usual.perUser {
		t.Errorf("%d dialogues of one user's uids are open", in)
	}
	if len(d.peers) > 10 {
		t.Errorf("%d peers are remembered", len(d.peers))
	}
	for uid, kind := range map[uint32]peerKind{ordinary: ordinaryUser, directory: ordinaryUser, 33: allowed, 0: trusted} {
		for range usual.perUser {
			d.come(uid, kind, true, "")
		}
	}
	// All that there are have not all places either, and cost no more memory.
	for uid := uint32(0x10000); uid > 0; uid += 1 << 12 {
		_, _ = d.admit(uid, ordinaryUser)
	}
	if d.nameless != usual.nameless {
		t.Errorf("uids without a user have %d dialogues open, want %d", d.nameless, usual.nameless)
	}
	d.come(ordinary+1, ordinaryUser, true, "")
	for uid := range uint32(rangeSize) {
		d.now = d.now.Add(time.Millisecond)
		if who, _ := d.admit(uid, ordinaryUser); who != nil {
			d.release(who)
		}
	}
	if len(d.peers) > maxPeers+10 {
		t.Errorf("%d peers are remembered", len(d.peers))
	}
	// A minute later they are forgotten, one by one, and others have a place.
	d.now = d.now.Add(2 * time.Minute)
	if who, _ := d.admit(ordinary+7000, ordinaryUser); who == nil || who == &d.rest {
		t.Error("there is no place for one more user")
	}
}

// What a flood leaves in the log does not grow with its uids.
func TestAdmissionComplains(t *testing.T) {
	d := newAdmissionTest(t, limits{})
	said := 0
	for uid := range uint32(5000) {
		if _, complaint := d.admit(uid, ordinaryUser); complaint != "" {
			said++
		}
	}
	if said != complaints {
		t.Errorf("%d lines, want %d", said, complaints)
	}
}

// It takes the same time however many uids have come before.
func BenchmarkAdmission(b *testing.B) {
	for _, uids := range []uint32{1, 65_536} {
		b.Run(fmt.Sprint(uids), func(b *testing.B) {
			d := newAdmission(usual)
			for i := range uint32(b.N) {
				if who, _ := d.admit(1000+i%uids, ordinaryUser); who != nil {
					d.release(who)
				}
			}
		})
	}
}

// The doctor and a second verifier look at who listens, and say nothing. That is
// no fault; of anybody else's program it is.
func TestLookIsNoFault(t *testing.T) {
	r := newRig(t, wide, unhurried)
	for range 20 {
		_ = dialAs(t, rootUID, r.socket).Close()
	}
	_ = dialAs(t, alicesUID, r.socket).Close()
	if line := r.log.take(t, 1)[0]; line.Rule != "dialogue" || !strings.Contains(line.Reason, "uid 1000") {
		t.Errorf("the log says %+v", line)
	}
	r.settled(t)
	if !strings.Contains(r.figures(t), "otpgate_protocol_errors_total 1\n") {
		t.Errorf("metrics:\n%s", r.figures(t))
	}
}

// A flood that is refused costs few lines, whatever its kind.
func TestFloodInLog(t *testing.T) {
	r := newRig(t, wide, unhurried)
	r.stopClock(time.Now())
	for range 1000 {
		_, _ = dialAs(t, alicesUID, r.socket).Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	}
	r.settled(t)
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	// One more says that it is refused.
	if n := len(r.log.all); n > usual.perMinute+1 || n < 2 {
		t.Errorf("%d lines for 1000 connections of garbage", n)
	}
	for _, line := range r.log.all {
		if line.Verdict != "fault" || (line.Rule != "peer" && line.Rule != "dialogue") || !strings.Contains(line.Reason, "uid 1000") {
			t.Errorf("%+v", line)
		}
	}
}
