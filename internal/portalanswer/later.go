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
// their networks. The zero value is ready.
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
	// longest is how long each may take: longer than a mail server is waited for.
	longest = 2 * time.Minute
	// GivingUp is how long a mail that is being sent gets once its time is over.
	GivingUp = 10 * time.Second
)

var errBusy = errors.New("too much waits to be done")

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
		}
		lost, isLost = to.add(job)
		switch {
		case to == &l.looks && !l.looking:
			l.begin(&l.looking, l.nextLook)
		case to != &l.looks && !l.mailing:
			l.begin(&l.mailing, l.nextMail)
		}
	}
	l.mu.Unlock()
	if isLost {
		l.lose(lost, map[bool]error{true: selfservice.ErrEnded, false: errBusy}[refuse])
	}
}

// begin has somebody work. l.mu is held.
func (l *Later) begin(works *bool, next func() (selfservice.Job, bool)) {
	if l.busy == nil {
		l.busy = make(chan struct{})
	}
	*works = true
	go l.work(next)
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

// work does what next gives until that is nothing.
func (l *Later) work(next func() (selfservice.Job, bool)) {
	for {
		l.mu.Lock()
		job, found := next()
		if !l.looking && !l.mailing {
			close(l.busy)
			l.busy = nil
		}
		l.mu.Unlock()
		if !found {
			return
		}
		l.one(job)
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

func (l *Later) one(job selfservice.Job) {
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
