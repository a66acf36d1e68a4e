package admission

import (
	"net/netip"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
)

// That an address is turned away is said when it begins, not at each failure,
// and again once it was forgiven.
func TestTurnedAwayIsSaidOnce(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	d := NewCounter(func() time.Time { return now })
	limits := config.SFTPLimits{MaxStartups: 10, StartupsPerSource: 10, Penalties: true}
	address := netip.MustParseAddr("192.0.2.7")
	fail := func() time.Duration { return d.Release(address, limits, Result{Penalty: PenaltyFailed}) }
	// All at once, as a guesser does who need not wait.
	for range 6 {
		if d.Admit(address, limits) != (Refusal{}) {
			t.Fatal("turned away before anything failed")
		}
	}
	for n, want := range []time.Duration{0, 0, 0, 5 * time.Second, 0, 0} {
		if closed := fail(); closed != want {
			t.Errorf("failure %d: expected %v, found %v", n+1, want, closed)
		}
	}
	if d.Admit(address, limits) == (Refusal{}) {
		t.Error("let in after six failures")
	}
	now = now.Add(time.Hour)
	for n, want := range []time.Duration{0, 0, 0, 5 * time.Second} {
		if d.Admit(address, limits) != (Refusal{}) {
			t.Fatalf("turned away %d failures after an hour", n)
		}
		if closed := fail(); closed != want {
			t.Errorf("an hour later, failure %d: expected %v, found %v", n+1, want, closed)
		}
	}
}

// clockedCounter is one whose clock the test drives.
func clockedCounter() (d *Counter, pass func(time.Duration)) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	return NewCounter(func() time.Time { return now }), func(t time.Duration) { now = now.Add(t) }
}

var penalizing = config.SFTPLimits{MaxStartups: 100, StartupsPerSource: 100, Penalties: true}

// try is a login from an address; false is that it was turned away.
func (c *Counter) try(addr netip.Addr, limits config.SFTPLimits, how Result) bool {
	if c.Admit(addr, limits) != (Refusal{}) {
		return false
	}
	c.Release(addr, limits, how)
	return true
}

// One person's client goes on with an old password, a try every 4.2 seconds;
// four colleagues behind the same address log in all the time.
func TestOneBrokenClientBehindAnAddress(t *testing.T) {
	d, pass := clockedCounter()
	address := netip.MustParseAddr("192.0.2.7")
	refused := 0
	for tenth := range 10 * 600 {
		if tenth%42 == 0 {
			d.try(address, penalizing, Result{Penalty: PenaltyFailed})
		}
		if tenth%20 == 0 && !d.try(address, penalizing, Result{Entered: true}) {
			refused++
		}
		pass(time.Second / 10)
	}
	if refused > 0 {
		t.Errorf("%d of 300 right logins were turned away", refused)
	}
}

// Whoever owns an account and logs in between all guesses may fail twice as
// often as a stranger, and a dozen times more at the beginning, however often
// that is and also after hours of doing nothing.
func TestForgivenessIsBounded(t *testing.T) {
	address := netip.MustParseAddr("192.0.2.7")
	failures := func(d *Counter, pass func(time.Duration), owner bool) (n int) {
		for range 20 * 600 {
			for n < 10_000 && d.try(address, penalizing, Result{Penalty: PenaltyFailed}) {
				n++
				if owner {
					for range 5 {
						d.try(address, penalizing, Result{Entered: true})
					}
				}
			}
			pass(time.Second / 20)
		}
		return n
	}
	d, pass := clockedCounter()
	stranger := failures(d, pass, false)
	d, pass = clockedCounter()
	for hour := range 3 {
		owner := failures(d, pass, true)
		if most := 2*stranger + int(forgiveMost/PenaltyFailed); owner > most || owner <= stranger {
			t.Errorf("hour %d: %d failures in ten minutes, a stranger has %d, expected more, and at most %d", hour, owner, stranger, most)
		}
		pass(time.Hour)
	}
	if len(d.sources) > 1 {
		t.Errorf("%d sources are remembered", len(d.sources))
	}
	// Nothing is forgiven in advance.
	d, pass = clockedCounter()
	for range 100 {
		d.try(address, penalizing, Result{Entered: true})
	}
	if len(d.sources) != 0 {
		t.Errorf("right logins alone leave something: %+v", d.sources)
	}
	for n := range 10 {
		if in := d.try(address, penalizing, Result{Penalty: PenaltyFailed}); in != (n < 4) {
			t.Errorf("failure %d after right logins: let in %v", n+1, in)
		}
	}
	// A login cannot begin where the source is turned away, so nothing is forgiven.
	if d.try(address, penalizing, Result{Entered: true}) {
		t.Error("let in where it is turned away")
	}
	pass(time.Second)
}

// Listed networks are never turned away, others are, and the other limits hold
// for all.
func TestPenaltyExempt(t *testing.T) {
	d, _ := clockedCounter()
	var office, one config.Network
	for text, n := range map[string]*config.Network{"198.51.100.0/24": &office, "2001:db8::7": &one} {
		if err := n.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	limits := penalizing
	limits.StartupsPerSource = 2
	limits.PenaltyExempt = []config.Network{office, one}
	for addr, exempt := range map[string]bool{
		"198.51.100.1": true, "198.51.100.255": true, "198.51.101.1": false, "2001:db8::7": true, "2001:db8:1::8": false, "192.0.2.1": false,
	} {
		addr := netip.MustParseAddr(addr)
		in := 0
		for range 100 {
			if d.try(addr, limits, Result{Penalty: PenaltyGrace}) {
				in++
			}
		}
		if want := map[bool]int{true: 100, false: 2}[exempt]; in != want {
			t.Errorf("%s: let in %d of 100 times, expected %d", addr, in, want)
		}
		if !exempt {
			continue
		}
		for n, want := range []string{"", "", ByStartupsPerSource} {
			if refused := d.Admit(addr, limits); refused.Rule != want {
				t.Errorf("%s, connection %d: expected %q, found %q", addr, n+1, want, refused)
			}
		}
	}
	// What is taken off the list counts from then on, and nothing of before.
	addr := netip.MustParseAddr("198.51.100.9")
	for range 10 {
		d.try(addr, limits, Result{Penalty: PenaltyGrace})
	}
	if !d.try(addr, penalizing, Result{Penalty: PenaltyGrace}) {
		t.Error("turned away for what was exempt")
	}
}

// Whoever has many networks fails from all of them: what is remembered stays
// bounded, and making room, which looks at all of it, is rare.
func TestManySources(t *testing.T) {
	now, asked := time.Now(), 0
	// The time is asked for once in Admit, once in Release and once to make room.
	d := NewCounter(func() time.Time { asked++; return now })
	limits := config.SFTPLimits{MaxStartups: 10, StartupsPerSource: 10, Penalties: true}
	waits := netip.MustParseAddr("192.0.2.1")
	if d.Admit(waits, limits) != (Refusal{}) {
		t.Fatal("turned away")
	}
	asked = 0
	for n := range 3 * maxSources {
		addr := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
		if d.Admit(addr, limits) != (Refusal{}) {
			t.Fatalf("source %d is turned away", n)
		}
		d.Release(addr, limits, Result{Penalty: penaltyMost})
	}
	if len(d.sources) > maxSources {
		t.Errorf("%d sources are remembered, expected at most %d", len(d.sources), maxSources)
	}
	if madeRoom := asked - 2*3*maxSources; madeRoom < 1 || madeRoom > 30 {
		t.Errorf("room was made %d times in %d connections, expected 30 at most", madeRoom, 3*maxSources)
	}
	if d.Release(waits, limits, Result{}); d.Pending() != 0 {
		t.Errorf("%d are waiting", d.Pending())
	}
}

// A stranger on the Internet behind the same translator as all others with IPv4
// takes no place of theirs, and keeps nobody else out.
func TestClientsBehindATranslator(t *testing.T) {
	d, _ := clockedCounter()
	limits := config.SFTPLimits{MaxStartups: 100, StartupsPerSource: 3, Penalties: true}
	stranger, other := netip.MustParseAddr("64:ff9b::c000:201"), netip.MustParseAddr("64:ff9b::c633:6401")
	for range limits.StartupsPerSource {
		if d.Admit(stranger, limits) != (Refusal{}) {
			t.Fatal("turned away before there are too many")
		}
	}
	if d.Admit(stranger, limits).Rule != ByStartupsPerSource {
		t.Error("let in with too many connections")
	}
	if refused := d.Admit(other, limits); refused != (Refusal{}) {
		t.Errorf("another client is turned away: %+v", refused)
	}
	for d.Release(stranger, limits, Result{Penalty: PenaltyFailed}) == 0 {
		_ = d.Admit(stranger, limits)
	}
	if refused := d.Admit(other, limits); refused != (Refusal{}) {
		t.Errorf("another client is turned away for what the first did: %+v", refused)
	}
}

// usualLimits are those of a machine whose configuration names none.
var usualLimits = config.Default().SFTP.Limits

// A stranger with many networks takes all places, and keeps nobody out who comes from
// where somebody was let in before. With an account of his own, and behind addresses that
// people share, he has two of the places that are kept for each address.
func TestPlacesOfThoseWhoWereIn(t *testing.T) {
	d, _ := clockedCounter()
	address := func(n int) netip.Addr { return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(n >> 8), byte(n)}) }
	v4 := func(n byte) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, n}) }
	fill := func(addr netip.Addr) (places int) {
		for d.Admit(addr, usualLimits) == (Refusal{}) {
			places++
		}
		return places
	}
	for n := range 1000 {
		d.try(address(n), usualLimits, Result{Entered: true, UID: 1001})
	}
	for n := range byte(20) {
		d.try(v4(n), usualLimits, Result{Entered: true, UID: 2000 + uint32(n)})
	}
	taken := 0
	for n := range 1000 {
		taken += fill(address(n))
	}
	if taken != 100+8*2 {
		t.Errorf("he has %d places, expected 100 and two of each of eight addresses", taken)
	}
	for n := range byte(4) {
		if places := fill(v4(n)); places != 2 {
			t.Errorf("behind an address that people share he has %d places, expected 2", places)
		}
	}
	want := Refusal{ByMaxStartups, "124 connections are at their login, 2 of them of 192.0.2.0"}
	if refused := d.Admit(v4(0), usualLimits); refused != want {
		t.Errorf("%+v, expected %+v", refused, want)
	}
	if refused := d.Admit(v4(100), usualLimits); refused.Rule != ByMaxStartups {
		t.Errorf("somebody who was never in: %+v", refused)
	}
	if refused := d.Admit(v4(4), usualLimits); refused != (Refusal{}) {
		t.Errorf("somebody who was in is turned away: %s", refused.Reason)
	}
	// What is kept is bounded too.
	if refused := d.Admit(v4(5), usualLimits); refused.Rule != ByMaxStartups || d.Pending() != 125 {
		t.Errorf("%+v with %d at their login, expected 125", refused, d.Pending())
	}
}

// Few places leave few for those who were in, but one for an address.
func TestFewPlacesOfThoseWhoWereIn(t *testing.T) {
	d, _ := clockedCounter()
	limits := usualLimits
	limits.MaxStartups = 4
	stranger, known := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("192.0.2.8")
	d.try(known, limits, Result{Entered: true, UID: 1000})
	for _, addr := range []netip.Addr{stranger, stranger, stranger, stranger, known} {
		if refused := d.Admit(addr, limits); refused != (Refusal{}) {
			t.Errorf("%s: %s", addr, refused.Reason)
		}
	}
	if refused := d.Admit(known, limits); refused.Rule != ByMaxStartups {
		t.Errorf("%+v", refused)
	}
}
