package authentication

import (
	"crypto/subtle"
	"errors"
	"strings"
	"sync"
	"time"

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
	// oneField is set until it is seen that the client can be asked. One that
	// has gone without an answer could not: the engine then leaves a code that
	// was sent for the next login to bring behind the password.
	oneField bool

	mu   sync.Mutex
	told []string
}

// errGone is for the engine when the client has.
var errGone = errors.New("the client did not answer")

// endTimeout is how long the engine may take to end once nobody waits for it.
const endTimeout = 5 * time.Second

// begin starts the engine.
func (l *Login) begin(request gate.Request, password, code string) *dialogue {
	ctx, cancel := l.context()
	d := &dialogue{questions: make(chan string), answers: make(chan string), verdict: make(chan gate.Verdict, 1), quit: make(chan struct{}),
		code: code, password: password, oneField: request.AfterSplit}
	d.stop = sync.OnceFunc(func() {
		close(d.quit)
		time.AfterFunc(endTimeout, cancel)
	})
	go func() {
		d.verdict <- l.engine.Login(ctx, request, d)
		cancel()
	}()
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
	case <-d.quit: // or it would be chance whether next has this question or the verdict
		return d.unanswered()
	default:
	}
	select {
	case d.questions <- prompt:
	case <-d.quit:
		return d.unanswered()
	}
	select {
	case text := <-d.answers:
		d.oneField = false
		// Clients that know one field fill every prompt with it.
		if d.password != "" && subtle.ConstantTimeCompare([]byte(text), []byte(d.password)) == 1 {
			return gate.Answer{Password: true}, nil
		}
		return gate.Answer{Text: text}, nil
	case <-d.quit:
		return d.unanswered()
	}
}

func (d *dialogue) unanswered() (gate.Answer, error) {
	if d.oneField {
		return gate.Answer{Password: true}, nil
	}
	return gate.Answer{}, errGone
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
func (t tail) Tail(n, group int, alphabet string) (string, bool, error) {
	if n <= 0 || n >= len(t) {
		return "", false, nil
	}
	end := string(t[len(t)-n:])
	for i := range len(end) {
		allowed := alphabet
		if group > 0 && i%(group+1) == group {
			allowed = "-"
		}
		if strings.IndexByte(allowed, end[i]) < 0 {
			return "", false, nil
		}
	}
	return end, true, nil
}
