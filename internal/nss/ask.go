package nss

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// patience is how long an answer is waited for. A code's time is longer, so the
// login that asked is denied with a line in the log and not cut off.
const patience = 10 * time.Second

// maxUnderWay is how many questions may be under way in a process. Each that
// waits has a thread, and nothing can end one that never returns.
const maxUnderWay = 256

// errLate is wrapped by the error for a question that was not answered in time.
var errLate = errors.New("the name service did not answer")

// asker asks a bounded number of questions at a time.
type asker struct {
	patience time.Duration
	places   chan struct{}

	mu sync.Mutex
	// open has, for each question, the one that was asked last and has no answer.
	open map[string]*question
}

// The askers: one for accounts of the machine's own, which files answer, one for
// groups, and one for all other accounts. Whoever asks for made-up names while a service
// hangs takes all places of the last alone, and every login may depend on a group.
var own, groups, usual = newAsker(patience, maxUnderWay), newAsker(patience, maxUnderWay), newAsker(patience, maxUnderWay)

func askerFor(local bool) *asker {
	if local {
		return own
	}
	return usual
}

func newAsker(patience time.Duration, most int) *asker {
	return &asker{patience: patience, places: make(chan struct{}, most), open: map[string]*question{}}
}

// question is one that is under way. The fields after done are set before done is
// closed.
type question struct {
	began time.Time
	// late is how many of the same were under way when it was asked.
	late int

	done   chan struct{}
	answer any
	found  bool
	err    error
}

// one asks a question about groups. Who asks the same meanwhile gets the same
// answer, so that one name that is looked up for long has one thread. A question
// that is late is asked again, as the service may have come back, but ever less
// often.
func one[T any](about string, ask func() (T, bool, error)) (answer T, found bool, err error) {
	return at(groups, about, ask)
}

func at[T any](a *asker, about string, ask func() (T, bool, error)) (answer T, found bool, err error) {
	given, found, err := a.ask(about, func() (any, bool, error) { return ask() })
	if err != nil {
		return answer, false, fmt.Errorf("look up %s: %w", about, err)
	}
	answer, ok := given.(T)
	if !ok {
		return answer, false, fmt.Errorf("look up %s: an answer of another kind", about)
	}
	return answer, found, nil
}

func (a *asker) ask(about string, ask func() (any, bool, error)) (any, bool, error) {
	deadline := time.NewTimer(a.patience)
	defer deadline.Stop()
	a.mu.Lock()
	q, under := a.open[about]
	if !under || q.over(a.patience) {
		late := 0
		if under {
			late = q.late + 1
		}
		q = &question{began: time.Now(), late: late, done: make(chan struct{})}
		a.open[about] = q
		go a.answer(about, q, ask)
	}
	a.mu.Unlock()
	select {
	case <-q.done:
		return q.answer, q.found, q.err
	case <-deadline.C:
		return nil, false, fmt.Errorf("%w within %v", errLate, a.patience)
	}
}

// over says that the question is not to be waited for any longer.
func (q *question) over(patience time.Duration) bool {
	return time.Since(q.began) > patience<<min(q.late, 10)
}

func (a *asker) answer(about string, q *question, ask func() (any, bool, error)) {
	timeout := time.NewTimer(a.patience)
	defer timeout.Stop()
	select {
	case a.places <- struct{}{}:
		q.answer, q.found, q.err = ask()
		<-a.places
	case <-timeout.C:
		q.err = fmt.Errorf("%w to %d other questions", errLate, cap(a.places))
	}
	a.mu.Lock()
	if a.open[about] == q {
		delete(a.open, about)
	}
	a.mu.Unlock()
	close(q.done)
}
