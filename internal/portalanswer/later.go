package portalanswer

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/selfservice"
)

// Later is what is done behind answers: looking whom a name is of, and sending mail. So no
// answer waits for a mail server, and none tells by its time whether there was a mail. Of
// each sort one is done after the other, and those who had them done take turns, as do
// their networks. One that hangs is left behind: it holds up the others for its time alone. The
// zero value is ready.
type Later struct {
	// Panicked gets what a panic in it says.
	Panicked func(any)

	mu                    sync.Mutex
	looks, links, changes roundRobin
	// looking and mailing say that somebody works on them, look is the look that is
	// running, and mail the mail that is being sent.
	looking, mailing bool
	look, mail       *selfservice.Job
	// linksNext says that a link is to go before the next change.
	linksNext bool
	// ofLooks and ofMails are those who work on them.
	ofLooks, ofMails worker
	// ended takes no more looks, and stopped nothing more.
	ended, stopped bool
	stop           chan struct{}
	// busy is there while somebody works, and closed when nobody does any more. It is no
	// WaitGroup: more may come while End waits.
	busy chan struct{}
	// givesUp is what tests have in the place of GivingUp.
	givesUp time.Duration
}

const (
	// longest is how long a mail may take: longer than a mail server is waited for.
	longest = 2 * time.Minute
	// longestLook is how long a look may, longer than the ledger is waited for.
	longestLook = 30 * time.Second
	// GivingUp is how long a mail that is being sent gets once its time is over.
	GivingUp = 10 * time.Second
	// mostHanging is how many of a sort are left behind, as they are in a call that nothing
	// ends: to a file system whose server is gone, for example. Beyond that the rest waits.
	mostHanging = 16
)

var errHangs = errors.New("it was not done in time: something that it needs does not answer, such as a file system")

// Look implements [selfservice.Later].
func (l *Later) Look(job selfservice.Job) { l.add(&l.looks, job) }

// Link implements [selfservice.Later].
func (l *Later) Link(job selfservice.Job) { l.add(&l.links, job) }

// Change implements [selfservice.Later].
func (l *Later) Change(job selfservice.Job) { l.add(&l.changes, job) }

func (l *Later) add(to *roundRobin, job selfservice.Job) {
	l.mu.Lock()
	refuse := l.stopped || l.ended && to == &l.looks
	lost, isLost := job, refuse
	if !refuse {
		if l.stop == nil {
			l.stop = make(chan struct{})
			l.ofLooks = worker{l.nextLook, &l.looking, &l.look, longestLook, make(chan struct{}, mostHanging)}
			l.ofMails = worker{l.nextMail, &l.mailing, &l.mail, longest, make(chan struct{}, mostHanging)}
		}
		lost, isLost = to.add(job)
		switch {
		case to == &l.looks && !l.looking:
			l.begin(l.ofLooks)
		case to != &l.looks && !l.mailing:
			l.begin(l.ofMails)
		}
	}
	l.mu.Unlock()
	if isLost {
		l.lose(lost, map[bool]error{true: selfservice.ErrEnded, false: selfservice.ErrBusy}[refuse])
	}
}

// begin has somebody work. l.mu is held.
func (l *Later) begin(w worker) {
	if l.busy == nil {
		l.busy = make(chan struct{})
	}
	*w.works = true
	go l.work(w)
}

// rested is closed once nobody works.
func (l *Later) rested() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy != nil {
		return l.busy
	}
	rested := make(chan struct{})
	close(rested)
	return rested
}

// worker does one job after the other.
type worker struct {
	next func() (job selfservice.Job, found bool)
	// works says that it does, and running what.
	works   *bool
	running **selfservice.Job
	longest time.Duration
	// hanging has a place for each job that was left behind.
	hanging chan struct{}
}

// work does what next gives until that is nothing.
func (l *Later) work(w worker) {
	for {
		l.mu.Lock()
		job, found := w.next()
		if !l.looking && !l.mailing {
			close(l.busy)
			l.busy = nil
		}
		l.mu.Unlock()
		if !found {
			return
		}
		l.one(w, job)
	}
}

func (l *Later) nextLook() (job selfservice.Job, found bool) {
	job, found = l.looks.next()
	l.looking, l.look = found, nil
	if found {
		l.look = &job
	}
	return job, found
}

// nextMail gives changes and links by turns: neither may hold up the other for good.
func (l *Later) nextMail() (job selfservice.Job, found bool) {
	from := []*roundRobin{&l.changes, &l.links}
	if l.linksNext {
		from[0], from[1] = from[1], from[0]
	}
	for _, one := range from {
		if job, found = one.next(); found {
			l.linksNext = one == &l.changes
			break
		}
	}
	l.mailing, l.mail = found, nil
	if found {
		l.mail = &job
	}
	return job, found
}

// one does a job, and leaves it behind if it has not ended some time after it should have.
// Then it is told as lost, which is no less bounded: it may be a change of the ledger, whose
// file system may be the one that hangs.
func (l *Later) one(w worker, job selfservice.Job) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.do(job, w.longest)
	}()
	late := time.NewTimer(w.longest + GivingUp)
	defer late.Stop()
	select {
	case <-done:
		return
	case <-late.C:
	}
	select {
	case w.hanging <- struct{}{}:
	case <-done:
		return
	}
	select {
	case <-done: // just now, or as there came to be a place for it
		<-w.hanging
		return
	default:
	}
	l.mu.Lock()
	told := *w.running == nil // at the end
	*w.running = nil
	l.mu.Unlock()
	lost := make(chan struct{})
	go func() {
		if !told {
			l.lose(job, errHangs)
		}
		close(lost)
		<-done
		<-w.hanging
	}()
	late.Reset(GivingUp)
	select {
	case <-lost:
	case <-late.C:
	}
}

func (l *Later) do(job selfservice.Job, longest time.Duration) {
	defer l.recovered()
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	defer cancel()
	go func() {
		select {
		case <-l.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	job.Do(ctx)
}

func (l *Later) lose(job selfservice.Job, why error) {
	defer l.recovered()
	job.Lost(why)
}

func (l *Later) recovered() {
	if panicked := recover(); panicked != nil && l.Panicked != nil {
		l.Panicked(panicked)
	}
}

// Waits says whether something is being done, or waits for that.
func (l *Later) Waits() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.looking || l.mailing
}

// End takes nothing new from answers, and waits for what is left until ctx ends. What is
// not done by then is told that it is lost.
func (l *Later) End(ctx context.Context) {
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	select {
	case <-l.rested():
	case <-ctx.Done():
	}
	left := l.halt()
	for _, job := range left {
		l.lose(job, selfservice.ErrEnded)
	}
	select {
	case <-l.rested():
	case <-time.After(cmp.Or(l.givesUp, GivingUp)):
		l.mu.Lock()
		running := []*selfservice.Job{l.look, l.mail}
		l.look, l.mail = nil, nil
		l.mu.Unlock()
		for _, job := range running {
			if job != nil {
				l.lose(*job, selfservice.ErrEnded)
			}
		}
	}
}

// halt has what is being done give up, and gives what waits.
func (l *Later) halt() (left []selfservice.Job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stopped && l.stop != nil {
		close(l.stop)
	}
	l.stopped = true
	for _, from := range []*roundRobin{&l.looks, &l.changes, &l.links} {
		for {
			job, found := from.next()
			if !found {
				break
			}
			left = append(left, job)
		}
	}
	return left
}

// Wait waits until nothing waits.
func (l *Later) Wait() { <-l.rested() }
