package main

import (
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
)

const (
	// usualPatience is how long names may hold sessions up at once. Beyond it
	// they are waited for a tenth of the time.
	usualPatience = time.Second
	// freshness is how long an answer is believed.
	freshness = 10 * time.Minute
	// maxKnown bounds the answers that are kept, maxAsked those waited for.
	maxKnown = 10000
	maxAsked = 64
)

type question struct {
	kind  uint8
	about string
}

// people knows names and homes: those of the machine's own files, and for the
// others there is the login process, which can ask every name service. One that is
// slow costs names, never much time: what it says too late is known when the same
// is asked again.
type people struct {
	spec     messages.Spec
	local    *localNames
	login    *seqpacket.Conn
	patience time.Duration
	now      func() time.Time
	after    func(time.Duration) <-chan time.Time
	listen   sync.Once
	queue    chan question

	mu         sync.Mutex
	since      time.Time
	known      map[question]string
	asked      map[question]chan struct{} // closed when it is known
	waited     time.Duration              // of the patience
	forgivenAt time.Time                  // when waited was last made less
}

func newPeople(spec messages.Spec, login *seqpacket.Conn) *people {
	return &people{spec: spec, local: openLocalNames(), login: login, patience: usualPatience, now: time.Now, after: time.After,
		queue: make(chan question, maxAsked), asked: map[question]chan struct{}{}}
}

func (p *people) user(id uint32) string {
	if id == p.spec.UID {
		return p.spec.User // others may have the same
	}
	return p.ask(question{messages.NameOfUser, strconv.FormatUint(uint64(id), 10)})
}

func (p *people) group(id uint32) string {
	return p.ask(question{messages.NameOfGroup, strconv.FormatUint(uint64(id), 10)})
}

// homeOf tells other people's homes only where they can be seen.
func (p *people) homeOf(user string) (string, error) {
	if user == "" || user == p.spec.User {
		return p.spec.Home, nil
	}
	if p.spec.Root == "" && len(user) <= messages.MaxNameQuestion/2 {
		if home := p.ask(question{messages.HomeOfUser, user}); home != "" {
			return home, nil
		}
	}
	return "", syscall.ENOENT
}

// ask waits for an answer as long as there is patience, and gives "" then.
func (p *people) ask(q question) string {
	if answer := p.local.answer(q); answer != "" {
		return answer
	}
	p.listen.Do(func() { go p.exchange() })
	answer, coming, most := p.begin(q)
	if coming == nil || most <= 0 {
		return answer
	}
	began := p.now()
	select {
	case <-coming:
	case <-p.after(most):
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waited += p.now().Sub(began)
	return p.known[q]
}

// begin is the answer that is known, or what tells that one has come and how
// long that may be waited for.
func (p *people) begin(q question) (answer string, coming <-chan struct{}, most time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if p.known == nil || len(p.known) > maxKnown || now.Sub(p.since) > freshness {
		p.known, p.since = map[question]string{}, now
	}
	if answer, known := p.known[q]; known {
		return answer, nil, 0
	}
	p.waited = max(0, p.waited-now.Sub(p.forgivenAt)/10)
	p.forgivenAt = now
	if come, asked := p.asked[q]; asked {
		return "", come, p.patience - p.waited
	}
	come := make(chan struct{})
	select {
	case p.queue <- q:
		p.asked[q] = come
		return "", come, p.patience - p.waited
	default:
		return "", nil, 0
	}
}

// exchange asks the login process one question after the other. Without it nothing
// is known: the session goes on in numbers.
func (p *people) exchange() {
	buffer := make([]byte, messages.MaxNameAnswer)
	for q := range p.queue {
		var w fields.Writer
		answer := ""
		if p.login.Send(w.U8(q.kind).Text(q.about).Bytes) == nil {
			n, fds, err := p.login.Receive(buffer)
			seqpacket.CloseAll(fds)
			if r := fields.NewReader(buffer[:n]); err == nil {
				answer = r.Text()
			}
		}
		p.mu.Lock()
		p.known[q] = answer
		close(p.asked[q])
		delete(p.asked, q)
		p.mu.Unlock()
	}
}
