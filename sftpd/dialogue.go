package main

import (
	"context"
	"crypto/subtle"
	"errors"
	"strings"
	"sync"

	"github.com/otpgate/otpgate/internal/gate"
)

// dialogue is a login in the engine. It may begin in one step of SSH's
// authentication and go on in the next: the engine waits at its question
// meanwhile.
type dialogue struct {
	questions chan string
	answers   chan string
	verdict   chan gate.Verdict
	quit      chan struct{}
	stop      func()

	// code was typed behind the password: the answer to the first question.
	code     string
	password string

	mu   sync.Mutex
	told []string
}

// errGone is for the engine when the client has.
var errGone = errors.New("the client did not answer")

// begin starts the engine.
func begin(engine *gate.Gate, request gate.Request, password, code string) *dialogue {
	ctx, cancel := context.WithCancel(context.Background())
	d := &dialogue{questions: make(chan string), answers: make(chan string), verdict: make(chan gate.Verdict, 1), quit: make(chan struct{}),
		code: code, password: password}
	d.stop = sync.OnceFunc(func() {
		close(d.quit)
		cancel()
	})
	go func() { d.verdict <- engine.Login(ctx, request, d) }()
	return d
}

// end breaks it off. What the engine has decided by then it has decided.
func (d *dialogue) end() { d.stop() }

// next waits for the next question, or for the verdict.
func (d *dialogue) next() (prompt string, asks bool, verdict gate.Verdict) {
	select {
	case prompt = <-d.questions:
		return prompt, true, gate.Verdict{}
	case verdict = <-d.verdict:
		return "", false, verdict
	}
}

// give answers a question.
func (d *dialogue) give(text string) {
	select {
	case d.answers <- text:
	case <-d.quit:
	}
}

// Ask implements gate.Conversation.
func (d *dialogue) Ask(prompt string) (gate.Answer, error) {
	if d.code != "" {
		text := d.code
		d.code = ""
		return gate.Answer{Text: text}, nil
	}
	select {
	case d.questions <- prompt:
	case <-d.quit:
		return gate.Answer{}, errGone
	}
	select {
	case text := <-d.answers:
		// Clients that know one field fill every prompt with it.
		if d.password != "" && subtle.ConstantTimeCompare([]byte(text), []byte(d.password)) == 1 {
			return gate.Answer{Password: true}, nil
		}
		return gate.Answer{Text: text}, nil
	case <-d.quit:
		return gate.Answer{}, errGone
	}
}

// Tell implements gate.Conversation.
func (d *dialogue) Tell(_ gate.Tone, text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.told = append(d.told, text)
}

// take is what was told since it was last asked.
func (d *dialogue) take() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	told := d.told
	d.told = nil
	return told
}

// tail gives ends of a password.
type tail string

// Tail implements gate.Tails.
func (t tail) Tail(n int, alphabet string) (string, bool, error) {
	if n <= 0 || n >= len(t) {
		return "", false, nil
	}
	end := string(t[len(t)-n:])
	for i := range len(end) {
		if strings.IndexByte(alphabet, end[i]) < 0 {
			return "", false, nil
		}
	}
	return end, true, nil
}
