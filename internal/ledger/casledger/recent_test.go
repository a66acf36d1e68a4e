package casledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// watched is a service of which a test says what it answers.
type watched struct {
	memory
	mu    sync.Mutex
	asked int
	err   error
	// once is what the next question fails with.
	once error
	// hold, if set, is waited for by each question.
	hold chan struct{}
}

func (w *watched) Status(context.Context) (Status, error) { return Status{}, nil }

func (w *watched) Page(ctx context.Context, after string) ([]Named, error) {
	w.mu.Lock()
	w.asked++
	hold, err := w.hold, cmp.Or(w.once, w.err)
	w.once = nil
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

// asking is a Recent of w, and what a test expects of it.
type asking struct {
	*testing.T
	*Recent
	w *watched
}

func newAsking(t *testing.T) asking {
	w := &watched{memory: memory{values: map[string]Register{}}}
	return asking{t, NewRecent(w), w}
}

func (a asking) knows(want bool) {
	a.Helper()
	if known, err := a.Texts(a.Context(), ""); err != nil || known.Any != want {
		a.Errorf("%+v, %v, expected %v", known, err, want)
	}
}

func (a asking) fails(want error) {
	a.Helper()
	if known, err := a.Texts(a.Context(), ""); !errors.Is(err, want) {
		a.Errorf("%+v, %v, expected %v", known, err, want)
	}
}

var errRefused = errors.New("permission denied")

// Whether there are people is asked once in a while, and is known again soon after it changed. That
// there are none stands for an hour while nobody answers. Before the first answer, and where there is
// a refusal, nothing is known; nobody is asked for a moment then either.
func TestRecentTexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsking(t)
		a.w.set(errAway)
		a.fails(errAway)
		a.w.wasAsked(t, 2)
		a.fails(errAway)
		a.w.wasAsked(t, 2)
		a.w.set(nil)
		time.Sleep(freshFor)
		a.knows(false)
		a.knows(false)
		a.w.wasAsked(t, 1)
		a.w.otherText(textName)
		time.Sleep(freshFor)
		a.knows(true)
		a.w.wasAsked(t, 2)
		delete(a.w.values, textName)
		time.Sleep(freshFor)
		a.knows(false)

		a.w.set(errAway)
		time.Sleep(freshFor)
		a.knows(false)
		a.knows(false)
		a.w.wasAsked(t, 2)
		time.Sleep(standsFor - freshFor)
		a.fails(errAway)
		a.w.set(nil)
		time.Sleep(freshFor)
		a.knows(false)
		a.w.set(errRefused)
		time.Sleep(freshFor)
		a.fails(errRefused)
		a.w.set(errAway)
		time.Sleep(freshFor)
		a.fails(errAway)
	})
}

// Once there were people it stands until the service says that there are none: neither silence
// nor a refusal ends that, however long it takes.
func TestRecentTextsStand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsking(t)
		a.w.otherText(textName)
		a.knows(true)
		for _, err := range []error{errAway, errRefused, errAway} {
			a.w.set(err)
			time.Sleep(100 * standsFor)
			a.knows(true)
			if known, err := a.Texts(t.Context(), "moved/elsewhere"); err != nil || !known.Any || known.Beside {
				t.Errorf("%+v, %v", known, err)
			}
		}
		a.w.set(nil)
		delete(a.w.values, textName)
		time.Sleep(freshFor)
		a.knows(false)
	})
}

// One answer that is lost is asked for once more.
func TestRecentTextsAskTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsking(t)
		a.w.once = errAway
		a.knows(false)
		a.w.wasAsked(t, 2)
	})
}

// Many who ask at once have one asked for them. Each waits as long as they may, and the question
// goes on without them. If something is known they wait for half of that, and then it stands.
func TestRecentTextsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsking(t)
		a.w.hold = make(chan struct{})
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { a.knows(false) })
		}
		synctest.Wait()
		short := func() (Texts, error, time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			begun := time.Now()
			known, err := a.Texts(ctx, "")
			return known, err, time.Since(begun)
		}
		if _, err, took := short(); !errors.Is(err, ErrUnavailable) || took != time.Second {
			t.Errorf("%v after %v", err, took)
		}
		if _, err, took := short(); !errors.Is(err, ErrUnavailable) || took != 0 {
			t.Errorf("of a question that is a second old: %v after %v", err, took)
		}
		close(a.w.hold)
		all.Wait()
		a.w.wasAsked(t, 1)

		a.w.hold = make(chan struct{})
		a.w.otherText(textName)
		time.Sleep(freshFor)
		if known, err, took := short(); err != nil || known.Any || took != time.Second/2 {
			t.Errorf("%+v, %v after %v", known, err, took)
		}
		close(a.w.hold)
		synctest.Wait()
		a.knows(true)
		a.w.wasAsked(t, 2)
	})
}

// A login waits a second at most, and then nobody is asked for a moment. Once there were people
// that stands, whoever is silent then.
func TestTextsForLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answer func(ctx context.Context) (bool, error)
		f := &ForLogins{Ask: func(ctx context.Context) (bool, error) { return answer(ctx) }, Within: time.Second, Now: time.Now}
		wants := func(want, wantErr, wantAgain bool, wantTook time.Duration) {
			t.Helper()
			begun := time.Now()
			got, err := f.Any(t.Context())
			var unknown NotKnownError
			if errors.As(err, &unknown) != wantErr || got != want || unknown.Again != wantAgain || time.Since(begun) != wantTook {
				t.Errorf("%v, %v after %v, expected %v, error %v, again %v", got, err, time.Since(begun), want, wantErr, wantAgain)
			}
		}
		hangs := func(ctx context.Context) (bool, error) {
			<-ctx.Done()
			return false, NotKnownError{Why: ctx.Err()}
		}
		says := func(any bool) func(context.Context) (bool, error) {
			return func(context.Context) (bool, error) { return any, nil }
		}
		answer = hangs
		wants(false, true, false, time.Second)
		answer = says(true)
		wants(false, true, true, 0)
		time.Sleep(freshFor)
		wants(true, false, false, 0)
		answer = hangs
		wants(true, false, false, time.Second)
		wants(true, false, false, 0)
		time.Sleep(freshFor)
		answer = says(false)
		wants(false, false, false, 0)
		answer = func(context.Context) (bool, error) { return false, errRefused }
		for range 2 { // which is asked again at each login
			if _, err := f.Any(t.Context()); !errors.Is(err, errRefused) {
				t.Error(err)
			}
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		answer = hangs
		var unknown NotKnownError
		if _, err := f.Any(over); !errors.As(err, &unknown) || !unknown.Again {
			t.Errorf("of a login that is over: %v", err)
		}
		answer = says(true)
		wants(true, false, false, 0)
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
	if _, err := testStore(&w.memory).KnownTexts(t.Context()); !errors.As(err, new(NotKnownError)) {
		t.Errorf("what cannot remember: %v", err)
	}
	for _, silent := range []error{errAway, errRefused} {
		w.set(silent)
		away := New(NewRecent(w), LimitsOf(time.Minute))
		if _, err := away.KnownTexts(t.Context()); !errors.As(err, new(NotKnownError)) || !errors.Is(err, silent) {
			t.Errorf("%v", err)
		}
	}
}
