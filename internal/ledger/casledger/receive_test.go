package casledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
)

// payloadOf is an entry in which a code is used up, as another ledger has it.
func payloadOf(t *testing.T, step int64) []byte {
	t.Helper()
	payload, _, err := ledger.Change(nil, use(step))
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

const from, other = "0123456789abcdef", "fedcba9876543210"

// Whatever becomes of the answers, what was received is there, and a code that it knows
// to be used is used. What somebody else has stored is not replaced.
func TestReceive(t *testing.T) {
	alice := ledger.UserKey("alice")
	for _, test := range []struct {
		lose []loss
		want error
	}{
		{nil, nil},
		{[]loss{notDone}, nil},
		{[]loss{done}, nil},
		{[]loss{later}, nil},
		{[]loss{later, later, notDone, done}, nil},
		{[]loss{elsewhere}, ErrDiffers},
		{[]loss{overwritten}, ErrDiffers},
	} {
		for _, before := range []bool{false, true} {
			t.Run(fmt.Sprint(test.lose, before), func(t *testing.T) {
				m := &memory{values: map[string]Register{}}
				store := testStore(m)
				if before { // an earlier move, which was taken back
					if _, err := store.Receive(t.Context(), alice, payloadOf(t, 1), from); err != nil {
						t.Fatal(err)
					}
				}
				m.lose = slices.Clone(test.lose)
				if _, err := store.Receive(t.Context(), alice, payloadOf(t, 2), from); !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
					t.Fatalf("received: %v, expected %v", err, test.want)
				}
				if test.want != nil {
					return
				}
				swaps := len(m.swaps)
				if stored, err := store.Receive(t.Context(), alice, payloadOf(t, 2), from); err != nil || stored || len(m.swaps) != swaps {
					t.Errorf("again: %v, %d swaps", err, len(m.swaps)-swaps)
				}
				if err := store.Update(t.Context(), alice, use(2)); err != errUsed {
					t.Errorf("the code it knows to be used: %v", err)
				}
			})
		}
	}
}

// What is here counts, as soon as anybody has stored it.
func TestStanding(t *testing.T) {
	alice := ledger.UserKey("alice")
	m := &memory{values: map[string]Register{}}
	store := testStore(m)
	check := func(when string, payload []byte, from string, want Standing) {
		t.Helper()
		if got, err := store.Standing(t.Context(), alice, payload, from); err != nil || got != want {
			t.Errorf("%s: %v, %v, expected %v", when, got, err, want)
		}
		stored, err := store.Receive(t.Context(), alice, payload, from)
		if (want == Differs) != errors.Is(err, ErrDiffers) || want != Differs && err != nil || stored != (want == Absent || want == Outdated) {
			t.Errorf("%s: received %v, %v", when, stored, err)
		}
	}
	check("nothing to know", nil, from, Same)
	check("nothing known", payloadOf(t, 1), from, Absent)
	check("received", payloadOf(t, 1), from, Same)
	check("another ledger has the same", payloadOf(t, 1), other, Same)
	check("known in another ledger no more", nil, other, Same)
	check("known there no more", nil, from, Outdated)
	check("nor here", nil, from, Same)
	check("changed there since", payloadOf(t, 2), from, Outdated)
	check("changed in another ledger", payloadOf(t, 3), other, Differs)
	if err := store.Update(t.Context(), alice, use(4)); err != nil {
		t.Fatal(err)
	}
	check("changed here", payloadOf(t, 5), from, Differs)
	check("changed here and there alike", payloadOf(t, 4), from, Same)
	m.values["users/alice"] = Register{Value: []byte("x"), Revision: 9}
	if _, err := store.Standing(t.Context(), alice, payloadOf(t, 4), from); !errors.Is(err, ledger.ErrDamaged) {
		t.Errorf("a damaged entry: %v", err)
	}
	if _, err := store.Receive(t.Context(), alice, payloadOf(t, 4), from); !errors.Is(err, ledger.ErrDamaged) {
		t.Errorf("a damaged entry: %v", err)
	}
}

// That a ledger was moved here is known for ever, whichever answers are lost, and is said
// of that one alone.
func TestEnd(t *testing.T) {
	const id = "0123456789abcdef"
	for _, lose := range [][]loss{nil, {notDone}, {done}, {later}, {later, notDone, done}} {
		m := &memory{values: map[string]Register{}, lose: lose}
		store := testStore(m)
		check := func(id string, want bool) {
			t.Helper()
			if ended, err := store.Ended(t.Context(), id); err != nil || ended != want {
				t.Errorf("%v: %s: %v, %v", lose, id, ended, err)
			}
		}
		check(id, false)
		for range 2 {
			if err := store.End(t.Context(), id, from); err != nil {
				t.Errorf("%v: %v", lose, err)
			}
		}
		check(id, true)
		check("fedcba9876543210", false)
		if err := store.End(t.Context(), id, other); !errors.Is(err, ErrDiffers) {
			t.Errorf("%v: the end of another copy: %v", lose, err)
		}
		for _, keep := range m.keeps {
			if keep != 0 {
				t.Errorf("%v: kept for %v", lose, keep)
			}
		}
		for name, register := range m.values {
			if err := (Named{name, register}).check(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// What is received is kept as long as what is stored by logins.
func TestReceivedKept(t *testing.T) {
	for kind, want := range map[ledger.Kind]time.Duration{ledger.User: 0, ledger.Source: ledger.SourceKept} {
		m := &memory{values: map[string]Register{}}
		if _, err := testStore(m).Receive(t.Context(), ledger.Key{Kind: kind, Name: "a"}, payloadOf(t, 1), from); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(m.keeps, []time.Duration{want}) {
			t.Errorf("kind %d: %v", kind, m.keeps)
		}
	}
}

// Whether something can be stored is tried on what is there, and draws the id.
func TestTryWrite(t *testing.T) {
	m := &memory{values: map[string]Register{}}
	store := testStore(m)
	id, err := store.TryWrite(t.Context())
	if err != nil || !ledger.ValidID(id) || len(m.values) != 1 {
		t.Fatalf("%q, %v, %v", id, err, m.values)
	}
	m.lose = []loss{notDone, done, later}
	if again, err := store.TryWrite(t.Context()); err != nil || again != id {
		t.Errorf("%q, %v, expected %q", again, err, id)
	}
	limits := Limits{Try: time.Millisecond, All: 20 * time.Millisecond}
	for _, registers := range []Registers{readOnly{m}, refusing{fmt.Errorf("nobody there: %w", ErrUnavailable)}} {
		if id, err := New(registers, limits).TryWrite(t.Context()); err == nil || id != "" {
			t.Errorf("%q, %v", id, err)
		}
		if _, err := New(registers, limits).Receive(t.Context(), ledger.UserKey("bob"), payloadOf(t, 1), from); err == nil || errors.Is(err, ErrDiffers) {
			t.Errorf("received: %v", err)
		}
	}
	if _, err := New(readOnly{m}, limits).TryWrite(t.Context()); !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("%v", err)
	}
}

type readOnly struct{ *memory }

func (readOnly) Swap(context.Context, string, int64, []byte, time.Duration) (bool, Register, error) {
	return false, Register{}, errors.New("permission denied")
}
