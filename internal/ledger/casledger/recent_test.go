package casledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
)

// watched is a service of which a test says what it answers.
type watched struct {
	memory
	mu    sync.Mutex
	asked int
	err   error
	// hold, if set, is waited for by each question.
	hold chan struct{}
}

func (w *watched) Status(context.Context) (Status, error) { return Status{}, nil }

func (w *watched) Page(ctx context.Context, after string) ([]Named, error) {
	w.mu.Lock()
	w.asked++
	hold, err := w.hold, w.err
	page := []Named{{Key: "users/alice", Register: Register{Revision: 1}}}
	if r, found := w.values[textName]; found && after < textName {
		page = append([]Named{{textName, r}}, page...)
	}
	w.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
		}
	}
	return page, err
}

func (w *watched) set(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked, w.err = 0, err
}

func (w *watched) wasAsked(t *testing.T, want int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.asked != want {
		t.Errorf("asked %d times, expected %d", w.asked, want)
	}
}

var errAway = fmt.Errorf("%w from etcd", ErrUnavailable)

// Whether there are people is asked once in a while, is known again soon after it changed, and
// stands for an hour while nobody answers. Before the first answer, and where there is a
// refusal, nothing is known.
func TestRecentTexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watched{memory: memory{values: map[string]Register{}}}
		r := NewRecent(w)
		knows := func(want bool) {
			t.Helper()
			if known, err := r.Texts(t.Context(), ""); err != nil || known.Any != want {
				t.Errorf("%+v, %v, expected %v", known, err, want)
			}
		}
		fails := func(want error) {
			t.Helper()
			if known, err := r.Texts(t.Context(), ""); !errors.Is(err, want) {
				t.Errorf("%+v, %v, expected %v", known, err, want)
			}
		}
		w.set(errAway)
		fails(errAway)
		w.set(nil)
		knows(false)
		knows(false)
		w.wasAsked(t, 1)
		w.otherText(textName)
		time.Sleep(freshFor)
		knows(true)
		w.wasAsked(t, 2)
		delete(w.values, textName)
		time.Sleep(freshFor)
		knows(false)

		w.set(errAway)
		time.Sleep(freshFor)
		knows(false)
		knows(false)
		w.wasAsked(t, 1)
		time.Sleep(standsFor - freshFor)
		fails(errAway)
		w.set(nil)
		knows(false)
		refused := errors.New("permission denied")
		w.set(refused)
		time.Sleep(freshFor)
		fails(refused)
		w.set(errAway)
		fails(errAway)
	})
}

// Many who ask at once have one asked for them. While that one waits, the others are told
// what is known, and if nothing is they wait as long as they may.
func TestRecentTextsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watched{memory: memory{values: map[string]Register{}}, hold: make(chan struct{})}
		r := NewRecent(w)
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if known, err := r.Texts(t.Context(), ""); err != nil || known.Any {
					t.Errorf("%+v, %v", known, err)
				}
			})
		}
		synctest.Wait()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.Texts(short, ""); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%v", err)
		}
		close(w.hold)
		all.Wait()
		w.wasAsked(t, 1)

		w.hold = make(chan struct{})
		time.Sleep(freshFor)
		all.Go(func() {
			if _, err := r.Texts(t.Context(), ""); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		if known, err := r.Texts(t.Context(), ""); err != nil || known.Any {
			t.Errorf("%+v, %v", known, err)
		}
		close(w.hold)
		all.Wait()
		w.wasAsked(t, 2)
	})
}

// Where a machine's ledger was moved, what another etcd says of people counts for nothing. What
// is known of one counts for no other.
func TestKnownTextsElsewhere(t *testing.T) {
	w := &watched{memory: memory{values: map[string]Register{}}}
	r := NewRecent(w)
	r.now = time.Now
	w.values[endOf("there")] = Register{Revision: 1}
	for beside, want := range map[string]bool{"": false, endOf("there"): true, endOf("missing"): false} {
		if known, err := r.Texts(t.Context(), beside); err != nil || known.Beside != want {
			t.Errorf("%q: %+v, %v", beside, known, err)
		}
	}
	w.wasAsked(t, 3)
	store := New(r, LimitsOf(time.Minute))
	if any, err := store.KnownTexts(t.Context()); err != nil || any {
		t.Errorf("%v, %v", any, err)
	}
	if _, err := testStore(&w.memory).KnownTexts(t.Context()); err == nil {
		t.Error("what cannot remember knew it")
	}
	w.set(errAway)
	away := New(NewRecent(w), LimitsOf(time.Millisecond))
	if _, err := away.KnownTexts(t.Context()); !errors.Is(err, ledger.ErrUnreachable) {
		t.Errorf("%v", err)
	}
}
