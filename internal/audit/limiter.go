package audit

import (
	"fmt"
	"sync"
	"time"
)

// Limiter is a [Sink] for lines about what strangers can do as often as they like:
// of each rule it writes one a second at most. The last of those that came within a
// second is written when it is over, and says of how many it is one.
type Limiter struct {
	now   func() time.Time
	after func(time.Duration, func())
	to    func(Record)

	mu    sync.Mutex
	rules map[string]*limitedRule
}

// limitedRule is what is known of a rule's lines.
type limitedRule struct {
	written time.Time
	waits   Record
	waiting int // lines for which waits stands
}

// lineEvery is how far two lines of a rule are apart at least.
const lineEvery = time.Second

// NewLimiter writes to what is given.
func NewLimiter(to func(Record)) *Limiter {
	return &Limiter{now: time.Now, after: func(d time.Duration, f func()) { time.AfterFunc(d, f) }, to: to, rules: map[string]*limitedRule{}}
}

// Write implements [Sink]. Rules are the program's own words, so there are few.
func (l *Limiter) Write(record Record) {
	if l.keep(record) {
		l.to(record)
	}
}

// keep says whether the line is to be written now; if not, it waits. Nothing is
// written with the lock: a log that takes nothing would hold everybody up.
func (l *Limiter) keep(record Record) (now bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rule := l.rules[record.Rule]
	if rule == nil {
		rule = &limitedRule{}
		l.rules[record.Rule] = rule
	}
	rest := lineEvery - l.now().Sub(rule.written)
	if rule.waiting == 0 && rest <= 0 {
		rule.written = l.now()
		return true
	}
	rule.waits = record
	if rule.waiting++; rule.waiting == 1 {
		// A clock that was set back makes nobody wait for longer.
		l.after(min(rest, lineEvery), func() { l.flush(rule) })
	}
	return false
}

func (l *Limiter) flush(rule *limitedRule) {
	l.mu.Lock()
	record, waiting := rule.waits, rule.waiting
	rule.waiting, rule.written = 0, l.now()
	l.mu.Unlock()
	if waiting > 1 {
		record.Reason = fmt.Sprintf("one of %d: %s", waiting, record.Reason)
	}
	l.to(record)
}
