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
	slots    chan struct{}

	mu sync.Mutex
	// open has, for each question, the one that was asked last and has no answer.
	open map[subject]*question
}

// The askers: one for accounts of the machine's own, which files answer, one for
// groups, and one for all other accounts. Whoever asks for made-up names while a service
// hangs takes all slots of the last alone, and every login may depend on a group.
var own, groups, usual = newAsker(patience, maxUnderWay), newAsker(patience, maxUnderWay), newAsker(patience, maxUnderWay)

func askerFor(local bool) *asker {
	if local {
		return own
	}
	return usual
}

func newAsker(patience time.Duration, most int) *asker {
	return &asker{patience: patience, slots: make(chan struct{}, most), open: map[subject]*question{}}
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

// Limit bounds the questions under way in the name of one who asks for others, so
// that a server that was taken over cannot take all slots with made-up names. One
// is not to be copied. A nil Limit has no bound but everybody's.
type Limit struct{ slots chan struct{} }

// NewLimit allows that many at a time.
func NewLimit(most int) *Limit { return &Limit{make(chan struct{}, most)} }

// UnderWay is how many of the questions have no answer yet, those among them that
// nobody waits for any more.
func (l *Limit) UnderWay() int {
	if l == nil {
		return 0
	}
	return len(l.slots)
}

// take waits for a slot.
func (l *Limit) take(end <-chan time.Time) bool {
	if l == nil {
		return true
	}
	select {
	case l.slots <- struct{}{}:
		return true
	case <-end:
		return false
	}
}

func (l *Limit) leave() {
	if l != nil {
		<-l.slots
	}
}

// subject is what is asked, and within which limit: a question that waits for a
// slot of one limit holds up nobody else.
type subject struct {
	about string
	limit *Limit
}

// askOnce asks a question. Who asks the same meanwhile, within the same limit, gets the
// same answer, so that one name that is looked up for long has one thread. A
// question that is late is asked again, as the service may have come back, but ever
// less often.
func askOnce[T any](a *asker, limit *Limit, about string, ask func() (T, bool, error)) (answer T, found bool, err error) {
	given, found, err := a.ask(subject{about, limit}, func() (any, bool, error) { return ask() })
	if err != nil {
		return answer, false, fmt.Errorf("look up %s: %w", about, err)
	}
	answer, ok := given.(T)
	if !ok {
		return answer, false, fmt.Errorf("look up %s: an answer of another kind", about)
	}
	return answer, found, nil
}

func (a *asker) ask(about subject, ask func() (any, bool, error)) (any, bool, error) {
	deadline := time.NewTimer(a.patience)
	defer deadline.Stop()
	a.mu.Lock()
	q, under := a.open[about]
	if !under || q.expired(a.patience) {
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

// expired says that the question is not to be waited for any longer.
func (q *question) expired(patience time.Duration) bool {
	return time.Since(q.began) > patience<<min(q.late, 10)
}

func (a *asker) answer(about subject, q *question, ask func() (any, bool, error)) {
	timeout := time.NewTimer(a.patience)
	defer timeout.Stop()
	q.answer, q.found, q.err = a.within(about.limit, timeout.C, ask)
	a.mu.Lock()
	if a.open[about] == q {
		delete(a.open, about)
	}
	a.mu.Unlock()
	close(q.done)
}

// within asks once there is a slot.
func (a *asker) within(limit *Limit, end <-chan time.Time, ask func() (any, bool, error)) (any, bool, error) {
	if !limit.take(end) {
		return nil, false, fmt.Errorf("%w to %d other questions of the same program", errLate, cap(limit.slots))
	}
	defer limit.leave()
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
		return ask()
	case <-end:
		return nil, false, fmt.Errorf("%w to %d other questions", errLate, cap(a.slots))
	}
}
