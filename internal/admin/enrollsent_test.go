package admin

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/enrollment"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/gate/gatetest"
	"github.com/otpgate/otpgate/internal/ledger"
)

func sent(kind account.Kind) account.Factor { return account.Factor{ID: string(kind), Kind: kind} }

// beginSent enrolls alice with an address and sends the first code there.
func (p *fixture) beginSent(t *testing.T, f account.Factor, to string, replace bool) Enrollment {
	t.Helper()
	done, err := p.EnrollSent("alice", f, to, replace)
	if err != nil {
		t.Fatal(err)
	}
	expires, err := p.SendFirst(context.Background(), "alice", f, done.To)
	if err != nil || !expires.Equal(p.Clock.Add(10*time.Minute)) {
		t.Fatalf("good until %s, %v", expires, err)
	}
	return done
}

func (p *fixture) alice(t *testing.T) account.Person {
	t.Helper()
	person, err := p.Accounts.Load("alice")
	if err != nil {
		t.Fatal(err)
	}
	return person
}

func TestEnrollSentCountsOnceTheCodeCameBack(t *testing.T) {
	for kind, to := range map[account.Kind]string{account.Email: "alice@example.com", account.SMS: "+491511234567"} {
		p := newPlaceOnDisk(t)
		post := &gatetest.Sender{}
		p.Sender = post
		p.beginSent(t, sent(kind), to, false)
		if p.enrolled(t) {
			t.Errorf("%s: counts before its code", kind)
		}
		m := post.Messages[0]
		if m.Channel != deliver.Channel(kind) || m.Email+m.Phone != to || m.User != "alice" {
			t.Errorf("%s: sent %+v", kind, m)
		}
		var wrong enrollment.WrongCodeError
		never := post.NeverSent()
		for _, code := range []string{never, "", post.Last() + " ", "12345"} {
			if _, err := p.Confirm(context.Background(), "alice", "", code); !errors.As(err, &wrong) || wrong.Malformed != (code != never) {
				t.Errorf("%s: %q: %v", kind, code, err)
			}
		}
		done, err := p.Confirm(context.Background(), "alice", "", post.Last())
		if err != nil || len(done.RecoveryCodes) != 10 || !p.enrolled(t) {
			t.Fatalf("%s: %+v, %v", kind, done, err)
		}
		if person := p.alice(t); *contact(&person, kind) != to {
			t.Errorf("%s: %+v", kind, person)
		}
		expect(t, p.login("alice", says(post.Last(), post.Last(), post.Last())), gate.TooMany, "policy.attempts.per_login")
		expect(t, p.login("alice", says(lastCode{post})), gate.Accept, string(kind)+":"+sent(kind).ID)
	}
}

func TestFirstCodeEnds(t *testing.T) {
	p := newPlaceOnDisk(t)
	post := &gatetest.Sender{}
	p.Sender = post
	var wrong enrollment.WrongCodeError
	p.beginSent(t, sent(account.Email), "alice@example.com", false)
	first := post.Last()
	p.beginSent(t, sent(account.Email), "", false)
	if _, err := p.Confirm(context.Background(), "alice", "", first); !errors.As(err, &wrong) {
		t.Errorf("the code before the last: %v", err)
	}
	p.Clock = p.Clock.Add(10 * time.Minute)
	if _, err := p.Confirm(context.Background(), "alice", "", post.Last()); !errors.As(err, &wrong) || p.enrolled(t) {
		t.Errorf("after its time: %v", err)
	}
	// One for another login does not confirm, nor the other way round.
	p.beginSent(t, sent(account.Email), "", false)
	entry, err := p.Ledger.View(context.Background(), ledger.Key{Kind: ledger.User, Name: "alice"})
	if err != nil || len(entry.Carried) != 1 || entry.Carried[0].For != "enroll:email:alice@example.com" || strings.Contains(entry.Carried[0].Hash, post.Last()) {
		t.Errorf("%+v, %v", entry.Carried, err)
	}
}

// A new address counts once codes arrive there; until then they go to the old.
func TestReplaceTheAddress(t *testing.T) {
	p := newPlaceOnDisk(t)
	post := &gatetest.Sender{}
	p.Sender = post
	p.beginSent(t, sent(account.Email), "old@example.com", false)
	if _, err := p.Confirm(context.Background(), "alice", "", post.Last()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.EnrollSent("alice", sent(account.Email), "new@example.com", false); !errors.Is(err, enrollment.ErrAlreadyConfirmed) {
		t.Errorf("without replace: %v", err)
	}
	if _, err := p.EnrollSent("alice", account.Factor{ID: "work", Kind: account.Email}, "new@example.com", true); err == nil || !strings.Contains(err.Error(), `factor "email" already has codes sent by email`) {
		t.Errorf("another factor with another address: %v", err)
	}
	done := p.beginSent(t, sent(account.Email), "new@example.com", true)
	if !done.Replaces || p.alice(t).Email != "old@example.com" || post.Messages[1].Email != "new@example.com" {
		t.Errorf("%+v, %s, sent to %s", done, p.alice(t).Email, post.Messages[1].Email)
	}
	code := post.Last()
	expect(t, p.login("alice", says(lastCode{post})), gate.Accept, "email:email")
	if to := post.Messages[2].Email; to != "old@example.com" {
		t.Errorf("sent to %s before the new address was confirmed", to)
	}
	confirmed, err := p.Confirm(context.Background(), "alice", "", code)
	if err != nil || !confirmed.Replaced || p.alice(t).Email != "new@example.com" || len(p.alice(t).Factors) != 1 {
		t.Errorf("%+v, %+v, %v", confirmed, p.alice(t), err)
	}
}

// A code that came by another way proves nothing about the number.
func TestFirstCodeTakesNoOtherWay(t *testing.T) {
	p := newPlaceOnDisk(t)
	post := &gatetest.Sender{Fallback: "the gateway is down"}
	p.Sender = post
	if _, _, err := p.EnrollTrusted(context.Background(), "alice", sent(account.Email), "alice@example.com", false); err != nil {
		t.Fatal(err)
	}
	if _, err := p.EnrollSent("alice", sent(account.SMS), "+491511234567", false); err != nil {
		t.Fatal(err)
	}
	if _, err := p.SendFirst(context.Background(), "alice", sent(account.SMS), "+491511234567"); err == nil || !strings.Contains(err.Error(), "by email instead of sms") {
		t.Errorf("%v", err)
	}
	if m := post.Messages[0]; m.Email != "" {
		t.Errorf("the sender was given %q to fall back to", m.Email)
	}
}

func TestEnrollSentNeedsAnAddress(t *testing.T) {
	p := newPlaceOnDisk(t)
	for _, test := range []struct {
		f    account.Factor
		to   string
		want string
	}{
		{sent(account.Email), "", ErrNoAddress.Error()},
		{sent(account.SMS), "", ErrNoAddress.Error()},
		{sent(account.Email), "alice", "expected a plain mail address"},
		{sent(account.SMS), "alice@example.com", "expected a telephone number"},
		{account.Factor{ID: "x", Kind: account.TOTP}, "alice@example.com", "are not sent"},
	} {
		if _, err := p.EnrollSent("alice", test.f, test.to, false); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v to %q: %v", test.f, test.to, err)
		}
	}
	if _, err := p.EnrollSent("alice", sent(account.Email), "alice@example.com", false); !errors.Is(err, gate.ErrNoSender) {
		t.Errorf("nothing to send with: %v", err)
	}
	if _, err := p.Accounts.Load("alice"); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("a file was made: %v", err)
	}
	if _, err := p.SendFirst(context.Background(), "alice", sent(account.Email), "alice@example.com"); !errors.Is(err, gate.ErrNoSender) {
		t.Errorf("%v", err)
	}
}

func TestEnrollTrusted(t *testing.T) {
	p := newPlaceOnDisk(t)
	done, confirmed, err := p.EnrollTrusted(context.Background(), "alice", sent(account.SMS), "+491511234567", false)
	if err != nil || !p.enrolled(t) || len(confirmed.RecoveryCodes) != 10 || done.To != "+491511234567" || p.alice(t).Phone != done.To {
		t.Errorf("%+v, %+v, %v", done, confirmed, err)
	}
	if _, _, err := p.EnrollTrusted(context.Background(), "alice", sent(account.SMS), "+491511111111", false); !errors.Is(err, enrollment.ErrAlreadyConfirmed) {
		t.Errorf("%v", err)
	}
	if _, confirmed, err := p.EnrollTrusted(context.Background(), "alice", sent(account.SMS), "+491511111111", true); err != nil || !confirmed.Replaced || p.alice(t).Phone != "+491511111111" || len(p.alice(t).Factors) != 1 {
		t.Errorf("%+v, %+v, %v", confirmed, p.alice(t), err)
	}
	// The last address cannot go while codes are sent there.
	err = p.edit("alice", func(person *account.Person) error { person.Phone = ""; return nil })
	if err == nil || !strings.Contains(err.Error(), `the person has no number to send to; expected phone = `) || p.alice(t).Phone == "" {
		t.Errorf("the number could be removed: %v", err)
	}
}

func TestEnrollSentTwiceLeavesOne(t *testing.T) {
	p := newPlaceOnDisk(t)
	p.Sender = &gatetest.Sender{}
	for _, id := range []string{"one", "two"} {
		if _, err := p.EnrollSent("alice", account.Factor{ID: id, Kind: account.Email}, "alice@example.com", false); err != nil {
			t.Fatal(err)
		}
	}
	if factors := p.alice(t).Factors; len(factors) != 1 || factors[0].ID != "two" {
		t.Errorf("%+v", factors)
	}
}
