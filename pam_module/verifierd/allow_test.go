package main

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/otpgate/otpgate/internal/nss"
	"github.com/otpgate/otpgate/internal/testwait"
	"github.com/otpgate/otpgate/internal/wire"
)

const daemonUID = 1

// asks is one login of alice's by a program of uid.
func (r *rig) asks(t *testing.T, uid int, alice *person) wire.Verdict {
	t.Helper()
	verdict, told, err := dialAs(t, uid, r.socket).login(r.start("alice"), alice.code(t))
	if err != nil {
		t.Errorf("uid %d: %q, %v", uid, told, err)
	}
	return verdict
}

// A lookup of verifier.allow that hangs holds nobody up but who depends on it:
// not root, not the user in question, not who is in the list already, and not
// when the configuration is read again.
func TestAllowThatHangs(t *testing.T) {
	r := newRig(t, wide+"[verifier]\nallow = [\"daemon\"]\n", unhurried)
	alice := r.enroll(t, "alice")
	r.server.engines.allow.settle(patience)
	asked, stuck := make(chan string, 100), make(chan struct{})
	hang := func(name string) error { asked <- name; <-stuck; return nil }
	r.names.accounts.Store(&hang)
	r.configure(t, wide+"[verifier]\nallow = [\"daemon\", \"www-data\"]\n")
	for round := range 2 {
		for _, uid := range []int{rootUID, alicesUID, daemonUID} {
			if verdict := r.asks(t, uid, alice); verdict != wire.Accept {
				t.Errorf("round %d, uid %d: %v", round, uid, verdict)
			}
		}
		if err := r.server.engines.reload(); err != nil {
			t.Fatal(err)
		}
	}
	_ = r.log.take(t, 6)
	if name := <-asked; name != "www-data" {
		t.Errorf("%q was looked up first", name)
	}
	// Who depends on it waits, and is let in when the answer is there.
	waits := dialAs(t, 33, r.socket)
	if err := waits.open(r.start("alice")); err != nil {
		t.Fatal(err)
	}
	close(stuck)
	if verdict, told, err := waits.finish(alice.code(t)); err != nil || verdict != wire.Accept {
		t.Errorf("uid 33: %v, %q, %v", verdict, told, err)
	}
}

// Who waits for an answer that does not come is denied in time.
func TestAllowThatNeverAnswers(t *testing.T) {
	r := newRig(t, wide, unhurried)
	alice := r.enroll(t, "alice")
	stuck := make(chan struct{})
	defer close(stuck)
	hang := func(string) error { <-stuck; return nil }
	r.names.accounts.Store(&hang)
	r.server.engines.allow.mu.Lock()
	r.server.engines.allow.patience = 1
	r.server.engines.allow.mu.Unlock()
	r.configure(t, wide+"[verifier]\nallow = [\"www-data\"]\n")
	if verdict := r.asks(t, 33, alice); verdict != wire.Fault {
		t.Errorf("in doubt: %v", verdict)
	}
	if line := r.log.take(t, 1)[0]; line.Rule != "name-service" || !strings.Contains(line.Reason, "uid 33") {
		t.Errorf("log %+v", line)
	}
}

// An outage of the name service, when the configuration is read, drops nobody
// who was known, and lets nobody in who was not; one that is over is noticed at
// the next login, or without one.
func TestAllowInAnOutage(t *testing.T) {
	r := newRig(t, wide+"[verifier]\nallow = [\"daemon\"]\n", unhurried)
	alice := r.enroll(t, "alice")
	r.server.engines.allow.settle(patience)
	var asked atomic.Int32
	down := func(string) error { asked.Add(1); return errors.New("LDAP is down") }
	r.names.accounts.Store(&down)
	r.configure(t, wide+"[verifier]\nallow = [\"daemon\", \"www-data\"]\n")
	for range 2 {
		if err := r.server.engines.reload(); err != nil {
			t.Fatal(err)
		}
		r.server.engines.allow.settle(patience)
	}
	for range 2 {
		if verdict := r.asks(t, daemonUID, alice); verdict != wire.Accept {
			t.Errorf("a user who was known: %v", verdict)
		}
		if verdict := r.asks(t, 33, alice); verdict != wire.Fault {
			t.Errorf("one who was not: %v", verdict)
		}
	}
	doubts := 0
	for _, line := range r.log.take(t, 6) {
		if strings.Contains(line.Reason, "LDAP is down") {
			doubts++
		}
	}
	if doubts != 4 { // one for each name, and the two denials
		t.Errorf("%d lines name the outage", doubts)
	}
	r.names.accounts.Store(nil)
	if verdict := r.asks(t, 33, alice); verdict != wire.Accept {
		t.Errorf("when the outage is over: %v", verdict)
	}
}

// Where no login comes, doubt is asked about again by itself.
func TestAllowIsAskedAgain(t *testing.T) {
	var names nameService
	var asked atomic.Int32
	down := func(string) error {
		if asked.Add(1) < 3 {
			return errors.New("LDAP is down")
		}
		return nil
	}
	names.accounts.Store(&down)
	told := make(chan string, 10)
	allow := newAllowList("verifier.allow", &names, func(reason string) { told <- reason })
	allow.again = 1
	allow.set([]string{"www-data"}, false)
	testwait.Until(t, "the third answer", func() bool { return allow.knows(33) })
	if reason := <-told; !strings.Contains(reason, `verifier.allow: user "www-data": LDAP is down`) || len(told) != 0 {
		t.Errorf("told %q, and %d more", reason, len(told))
	}
	// Settled is settled, until it is asked for anew.
	if may, err := allow.has(alicesUID); may || err != nil || asked.Load() != 3 {
		t.Errorf("%v, %v, %d questions", may, err, asked.Load())
	}
	allow.set([]string{"www-data"}, false)
	allow.set([]string{"www-data"}, true)
	allow.settle(patience)
	if asked.Load() != 4 || !allow.knows(33) {
		t.Errorf("%d questions, known %v", asked.Load(), allow.knows(33))
	}
	// Who is gone for certain is out when that is known, and who is gone from the
	// list at once.
	gone := func(string) error { return nss.ErrUnknownUser }
	names.accounts.Store(&gone)
	allow.set([]string{"www-data"}, true)
	allow.settle(patience)
	if allow.knows(33) {
		t.Error("a user whom nobody knows any more is allowed")
	}
	allow.set([]string{"daemon"}, true)
	names.accounts.Store(nil)
	allow.set([]string{"daemon"}, true)
	testwait.Until(t, "daemon", func() bool { return allow.knows(daemonUID) })
	allow.set(nil, false)
	if allow.knows(daemonUID) {
		t.Error("a user who is not in the list is allowed")
	}
}

// Doubt on the own name denies, and says that it is doubt.
func TestOwnNameInDoubt(t *testing.T) {
	r := newRig(t, wide, unhurried)
	alice := r.enroll(t, "alice")
	down := func(string) error { return errors.New("LDAP is down") }
	r.names.ids.Store(&down)
	if verdict := r.asks(t, alicesUID, alice); verdict != wire.Fault {
		t.Errorf("%v", verdict)
	}
	if line := r.log.take(t, 1)[0]; line.Rule != "name-service" || !strings.Contains(line.Reason, "LDAP is down") {
		t.Errorf("log %+v", line)
	}
	if verdict := r.asks(t, rootUID, alice); verdict != wire.Accept {
		t.Errorf("root: %v", verdict)
	}
}
