package portal

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/portalwire"
)

// kept is how long the answer with recovery codes is there for whoever pressed the
// button twice: a browser shows only the answer to the last press, and the codes are
// made once.
const kept = 10 * time.Second

// submissions are the first codes that are being looked at, and those that were right a
// moment ago. The zero value has none.
type submissions struct {
	mu  sync.Mutex
	all map[[sha256.Size]byte]*submission
}

type submission struct {
	answered chan struct{}
	answer   portalwire.Answer
	err      error
}

// once asks once for what the same browser sends several times.
func (p *portal) once(ctx context.Context, request portalwire.Request) (portalwire.Answer, error) {
	// Nothing secret is in memory for longer than it must be, and no text is another one.
	key := sha256.Sum256([]byte(strings.Join([]string{
		request.BrowserSession, request.First, request.Current, string(request.Manage.Do), request.Manage.ID, request.Manage.Name,
	}, "\x00")))
	one, first := p.submissions.begin(key)
	if !first {
		<-one.answered
		return one.answer, one.err
	}
	one.err = errNoAnswer // for whoever waits, should this one panic
	defer func() {
		close(one.answered)
		if !hasCodes(one.answer) {
			p.submissions.forget(key)
		} else {
			p.after(kept, func() { p.submissions.forget(key) })
		}
	}()
	// A browser in which somebody presses twice gives the first request up, and the second
	// one waits for its answer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), placeTime)
	defer cancel()
	one.answer, one.err = p.askFrom(ctx, request)
	return one.answer, one.err
}

// hasCodes says whether an answer may have recovery codes, which are made once.
func hasCodes(answer portalwire.Answer) bool {
	done := answer.Managed != nil && answer.Managed.Done != nil && len(answer.Managed.Done.RecoveryCodes) > 0
	return answer.Enrolled != nil || done
}

// placeTime is how long a Confirm waits for a place to ask the verifier.
const placeTime = 15 * time.Second

var errNoAnswer = errors.New("the same request got no answer")

func (p *submissions) begin(key [sha256.Size]byte) (one *submission, first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if one := p.all[key]; one != nil {
		return one, false
	}
	if p.all == nil {
		p.all = map[[sha256.Size]byte]*submission{}
	}
	one = &submission{answered: make(chan struct{})}
	p.all[key] = one
	return one, true
}

func (p *submissions) forget(key [sha256.Size]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, key)
}
