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

// memory is a Registers whose answers get lost as a test wants it.
type memory struct {
	values   map[string]Register
	revision int64
	// lose decides what becomes of each Swap.
	lose []loss
	// late are swaps that have not arrived yet.
	late []func()
	// swaps are the values that were to be stored.
	swaps [][]byte
	// keeps are how long each was to be kept.
	keeps []time.Duration
	// others changes what somebody else has under a key, as other does to an entry.
	others func(key string)
}

// loss is what becomes of a Swap.
type loss int

const (
	answered loss = iota
	// notDone never arrives.
	notDone
	// done takes place, and the answer is lost.
	done
	// later arrives behind the next one.
	later
	// overwritten takes place, the answer is lost, and somebody else changes the entry.
	overwritten
	// elsewhere never arrives, and somebody else changes the entry.
	elsewhere
)

func (m *memory) Get(_ context.Context, key string) (Register, error) { return m.values[key], nil }

func (m *memory) Close() error { return nil }

func (m *memory) Swap(_ context.Context, key string, revision int64, value []byte, keep time.Duration) (bool, Register, error) {
	m.swaps, m.keeps = append(m.swaps, value), append(m.keeps, keep)
	what := answered
	if len(m.lose) > 0 {
		what, m.lose = m.lose[0], m.lose[1:]
	}
	apply := func() bool {
		if m.values[key].Revision != revision {
			return false
		}
		m.revision++
		m.values[key] = Register{Value: value, Revision: m.revision}
		return true
	}
	lost := fmt.Errorf("lost: %w", ErrUnavailable)
	switch what {
	case notDone:
		return false, Register{}, lost
	case done:
		apply()
		return false, Register{}, lost
	case later:
		m.late = append(m.late, func() { apply() })
		return false, Register{}, lost
	case overwritten, elsewhere:
		if what == overwritten {
			apply()
		}
		if m.others == nil {
			m.others = m.other
		}
		m.others(key)
		return false, Register{}, lost
	}
	swapped := apply()
	for _, arrive := range m.late {
		arrive()
	}
	m.late = nil
	return swapped, m.values[key], nil
}

// other is another program that has somebody's wrong code.
func (m *memory) other(key string) {
	_, payload, err := split(m.values[key])
	if err == nil {
		payload, _, err = ledger.Change(payload, func(e *ledger.Entry) error { e.Attempts.Wrong++; return nil })
	}
	if err != nil {
		panic(err)
	}
	m.revision++
	m.values[key] = Register{Value: append(append([]byte{format}, newMark()...), payload...), Revision: m.revision}
}

var errUsed = errors.New("used")

// use is a login with a code.
func use(step int64) func(*ledger.Entry) error {
	return func(e *ledger.Entry) error {
		if e.Used["phone"].Step >= step {
			return errUsed
		}
		e.Used = map[string]ledger.Use{"phone": {Step: step}}
		return nil
	}
}

func testStore(m *memory) *Store {
	s := New(m, Limits{Try: time.Minute, All: time.Minute})
	s.pause = func(context.Context) {}
	return s
}

// Whatever becomes of the answers, a code is used up once. That a right one is
// refused may be only if somebody else changed the entry after it.
func TestLostAnswers(t *testing.T) {
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
		{[]loss{notDone, notDone, notDone}, nil},
		{[]loss{elsewhere}, nil},
		{[]loss{elsewhere, done}, nil},
		{[]loss{later, elsewhere, later, elsewhere}, nil},
		{[]loss{overwritten}, errUsed},
		{[]loss{notDone, overwritten}, errUsed},
	} {
		for _, before := range []bool{false, true} {
			t.Run(fmt.Sprint(test.lose, before), func(t *testing.T) {
				m := &memory{values: map[string]Register{}}
				store := testStore(m)
				if before {
					if err := store.Update(t.Context(), alice, use(1)); err != nil {
						t.Fatal(err)
					}
				}
				m.lose = slices.Clone(test.lose)
				if err := store.Update(t.Context(), alice, use(2)); err != test.want {
					t.Errorf("update: %v, expected %v", err, test.want)
				}
				if err := testStore(m).Update(t.Context(), alice, use(2)); err != errUsed {
					t.Errorf("the same code again: %v", err)
				}
				entry, err := store.View(t.Context(), alice)
				if err != nil || entry.Used["phone"].Step != 2 {
					t.Errorf("entry %+v, %v", entry, err)
				}
			})
		}
	}
}

// What may still arrive is sent again as it was, so that it cannot count twice.
func TestSameBytesAgain(t *testing.T) {
	m := &memory{values: map[string]Register{}, lose: []loss{notDone, later, notDone}}
	calls := 0
	err := testStore(m).Update(t.Context(), ledger.UserKey("alice"), func(e *ledger.Entry) error {
		calls++
		e.Attempts.Wrong++
		return nil
	})
	if err != nil || calls != 1 || len(m.swaps) != 4 {
		t.Fatalf("%v, change ran %d times, %d swaps", err, calls, len(m.swaps))
	}
	for _, value := range m.swaps {
		if !slices.Equal(value, m.swaps[0]) {
			t.Errorf("%x, then %x", m.swaps[0], value)
		}
	}
}

// An error that is no lost answer ends the Update.
func TestRefusedByTheService(t *testing.T) {
	refuses := errors.New("permission denied")
	store := New(refusing{refuses}, Limits{Try: time.Minute, All: time.Minute})
	err := store.Update(t.Context(), ledger.UserKey("alice"), use(1))
	if !errors.Is(err, refuses) {
		t.Errorf("update: %v", err)
	}
	if _, err = store.View(t.Context(), ledger.UserKey("alice")); !errors.Is(err, refuses) {
		t.Errorf("view: %v", err)
	}
	if _, err = store.ID(t.Context()); !errors.Is(err, refuses) {
		t.Errorf("id: %v", err)
	}
}

type refusing struct{ err error }

func (r refusing) Get(context.Context, string) (Register, error) { return Register{}, r.err }
func (r refusing) Swap(context.Context, string, int64, []byte, time.Duration) (bool, Register, error) {
	return false, Register{}, r.err
}
func (r refusing) Close() error { return nil }

// Without any answer a login ends when its time is over.
func TestNoAnswer(t *testing.T) {
	store := New(refusing{fmt.Errorf("nobody there: %w", ErrUnavailable)}, Limits{Try: time.Millisecond, All: 20 * time.Millisecond})
	if err := store.Update(t.Context(), ledger.UserKey("alice"), use(1)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("update: %v", err)
	}
}

// Where nobody answers, the ledger cannot be reached; but of a change whose answer was
// lost nobody may say that it was not made.
func TestUnreachable(t *testing.T) {
	limits := Limits{Try: time.Millisecond, All: 20 * time.Millisecond}
	nobody := fmt.Errorf("nobody there: %w", ErrUnavailable)
	store := New(refusing{nobody}, limits)
	_, errView := store.View(t.Context(), ledger.UserKey("alice"))
	_, errID := store.ID(t.Context())
	for _, err := range []error{errView, errID, store.Update(t.Context(), ledger.UserKey("alice"), use(1))} {
		if !errors.Is(err, ledger.ErrUnreachable) || !errors.Is(err, ErrUnavailable) {
			t.Errorf("%v", err)
		}
	}
	for _, lost := range []Registers{
		&swapLost{refusing: refusing{nobody}, gets: 1},         // then it is away
		&swapLost{refusing: refusing{nobody}, gets: 1_000_000}, // it says that nothing was changed yet
	} {
		err := New(lost, limits).Update(t.Context(), ledger.UserKey("alice"), use(1))
		if err == nil || errors.Is(err, ledger.ErrUnreachable) || !strings.Contains(err.Error(), "not known whether") || !strings.Contains(err.Error(), "nobody there") {
			t.Errorf("a lost answer: %v", err)
		}
	}
	refuses := New(refusing{errors.New("permission denied")}, limits)
	if _, err := refuses.View(t.Context(), ledger.UserKey("alice")); errors.Is(err, ledger.ErrUnreachable) {
		t.Errorf("refused: %v", err)
	}
}

// swapLost is empty, and answers so many times, but no Swap.
type swapLost struct {
	refusing
	gets int
}

func (s *swapLost) Get(context.Context, string) (Register, error) {
	if s.gets--; s.gets < 0 {
		return Register{}, s.err
	}
	return Register{}, nil
}

// Values of a newer version, and what nobody wrote, are refused.
func TestDamaged(t *testing.T) {
	for _, value := range []string{"", "\x01", "\x01 fifteen bytes.", "\x02" + "0123456789abcdef", "\x01" + "0123456789abcdef" + "\xc8\x01\x00"} {
		m := &memory{values: map[string]Register{"users/alice": {Value: []byte(value), Revision: 7}}, revision: 7}
		if _, err := testStore(m).View(t.Context(), ledger.UserKey("alice")); !errors.Is(err, ledger.ErrDamaged) {
			t.Errorf("view of %q: %v", value, err)
		}
		if err := testStore(m).Update(t.Context(), ledger.UserKey("alice"), use(1)); !errors.Is(err, ledger.ErrDamaged) || len(m.swaps) > 0 {
			t.Errorf("update of %q: %v", value, err)
		}
	}
}

// The id is drawn once, whichever answers are lost.
func TestID(t *testing.T) {
	for _, lose := range [][]loss{nil, {notDone}, {done}, {later}} {
		m := &memory{values: map[string]Register{}, lose: lose}
		first, err := testStore(m).ID(t.Context())
		if err != nil || !ledger.ValidID(first) {
			t.Fatalf("%q, %v", first, err)
		}
		if again, err := testStore(m).ID(t.Context()); err != nil || again != first {
			t.Errorf("%q, then %q, %v", first, again, err)
		}
	}
	m := &memory{values: map[string]Register{"id": {Value: []byte("x"), Revision: 1}}}
	if id, err := testStore(m).ID(t.Context()); !errors.Is(err, ledger.ErrDamaged) {
		t.Errorf("%q, %v", id, err)
	}
}

// The error is that of a try that had its time, not of the last one, which the end
// cut short.
func TestErrorOfAWholeTry(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	tries := []error{fmt.Errorf("no leader: %w", ErrUnavailable), fmt.Errorf("cut short: %w", ErrUnavailable)}
	store := testStore(nil)
	store.registers = getting(func() error {
		err := tries[0]
		if tries = tries[1:]; len(tries) == 0 {
			cancel()
		}
		return err
	})
	if _, err := store.View(ctx, ledger.UserKey("alice")); err == nil || !strings.Contains(err.Error(), "no leader") {
		t.Error(err)
	}
}

type getting func() error

func (g getting) Get(context.Context, string) (Register, error) { return Register{}, g() }
func (g getting) Swap(context.Context, string, int64, []byte, time.Duration) (bool, Register, error) {
	return false, Register{}, g()
}
func (g getting) Close() error { return nil }

// silent is a Registers that answers nothing, in its own words.
type silent struct{}

func (silent) Get(context.Context, string) (Register, error) {
	return Register{}, fmt.Errorf("%w: nobody is there", ErrUnavailable)
}

func (silent) Swap(context.Context, string, int64, []byte, time.Duration) (bool, Register, error) {
	return false, Register{}, fmt.Errorf("%w: nobody is there", ErrUnavailable)
}

func (silent) Close() error { return nil }

// readable is silent once something is to be changed.
type readable struct{ silent }

func (readable) Get(context.Context, string) (Register, error) { return Register{}, nil }

// TestEndsWithTheContext looks at what is said of a service that did not answer until
// whoever asked gave up: that it did not, and that they gave up.
func TestEndsWithTheContext(t *testing.T) {
	key := ledger.UserKey("alice")
	for name, registers := range map[string]Registers{"Get": silent{}, "Swap": readable{}} {
		for _, want := range []error{context.Canceled, context.DeadlineExceeded} {
			begin := func() (context.Context, *Store) {
				ctx, cancel := context.WithCancel(t.Context())
				if want == context.DeadlineExceeded {
					ctx, cancel = context.WithTimeout(t.Context(), 0)
				}
				store := New(registers, Limits{Try: time.Hour, All: time.Hour})
				store.pause = func(context.Context) { cancel() }
				t.Cleanup(cancel)
				return ctx, store
			}
			ctx, store := begin()
			update := store.Update(ctx, key, func(e *ledger.Entry) error { e.Attempts.Wrong++; return nil })
			errs := []error{update}
			if name == "Get" {
				ctx, store = begin()
				_, view := store.View(ctx, key)
				ctx, store = begin()
				_, id := store.ID(ctx)
				errs = append(errs, view, id)
			}
			for i, err := range errs {
				if !errors.Is(err, want) || !errors.Is(err, ErrUnavailable) && i > 0 {
					t.Errorf("%s %d: %v, expected %v and %v", name, i, err, want, ErrUnavailable)
				}
			}
		}
	}
}
