package portal

import (
	"net/http"
	"slices"
	"time"

	"github.com/otpgate/otpgate/internal/portalwire"
)

// look says what has become of a link. Mail servers and scanners send this too.
func (p *portal) look(w http.ResponseWriter, r *http.Request) {
	answer, ok := p.ask(w, r, portalwire.Request{Op: portalwire.Open, Link: r.PathValue("link")})
	switch {
	case !ok:
	case answer.Page == nil:
		p.refuse(w, r, answer)
	case answer.Page.State == portalwire.Ready:
		p.draw(w, r, http.StatusOK, "ready", func(s *pageData) { s.Page = answer.Page })
	default:
		p.message(w, r, statusOf(answer.Page.State), answer.Page.State, answer.Page.At)
	}
}

// begin has a key made for the browser in which the button was pressed.
func (p *portal) begin(w http.ResponseWriter, r *http.Request) {
	answer, ok := p.ask(w, r, portalwire.Request{Op: portalwire.Begin, Link: r.PathValue("link")})
	switch {
	case !ok:
	case answer.Setup == nil:
		p.refuse(w, r, answer)
	default:
		setCookie(w, answer.Setup.BrowserSession, max(1, int(answer.Setup.Ends.Sub(p.Now())/time.Second)))
		// The link leaves the address bar.
		http.Redirect(w, r, "/setup", http.StatusSeeOther)
	}
}

// resume shows the key.
func (p *portal) resume(w http.ResponseWriter, r *http.Request) {
	if browserSession(r) == "" {
		p.message(w, r, http.StatusNotFound, "no-visit", time.Time{})
		return
	}
	answer, ok := p.ask(w, r, portalwire.Request{Op: portalwire.Resume, BrowserSession: browserSession(r)})
	switch {
	case !ok:
	case answer.Setup == nil:
		p.refuse(w, r, answer)
	default:
		p.setup(w, r, http.StatusOK, answer.Setup, "")
	}
}

// confirm has the device count.
func (p *portal) confirm(w http.ResponseWriter, r *http.Request) {
	if browserSession(r) == "" {
		p.message(w, r, http.StatusNotFound, "no-visit", time.Time{})
		return
	}
	// What is no form has no code in it.
	request := portalwire.Request{
		Op: portalwire.Confirm, BrowserSession: browserSession(r), First: r.PostFormValue("first"), Current: r.PostFormValue("current"),
	}
	answer, ok := p.ask(w, r, request)
	switch {
	case !ok:
	case answer.Enrolled != nil:
		// The change of a cookie that no script sees also keeps browsers from showing
		// the page with the key again, which they had in memory.
		setCookie(w, "", -1)
		p.draw(w, r, http.StatusOK, "done", func(s *pageData) { s.Enrolled = answer.Enrolled })
	case slices.Contains(mistakes, answer.Refused):
		p.mistaken(w, r, answer)
	default:
		p.refuse(w, r, answer)
	}
}

// mistakes are what can be typed once more.
var mistakes = []string{
	portalwire.WrongFirst, portalwire.MalformedFirst, portalwire.UsedFirst, portalwire.WrongCurrent, portalwire.UsedCurrent, portalwire.NewKey,
}

// mistaken shows the key once more, and what was wrong.
func (p *portal) mistaken(w http.ResponseWriter, r *http.Request, answer portalwire.Answer) {
	mistake := answer.Refused
	if answer.Setup == nil {
		var ok bool
		if answer, ok = p.ask(w, r, portalwire.Request{Op: portalwire.Resume, BrowserSession: browserSession(r)}); !ok {
			return
		}
	}
	if answer.Setup == nil {
		p.refuse(w, r, answer)
		return
	}
	p.setup(w, r, http.StatusUnprocessableEntity, answer.Setup, mistake)
}

// refuse says why there is nothing to show.
func (p *portal) refuse(w http.ResponseWriter, r *http.Request, answer portalwire.Answer) {
	if statusOf(answer.Refused) == 0 {
		p.Report("", "an answer that this page has no text for: was otpgate-portal started again after an upgrade?")
		p.message(w, r, http.StatusServiceUnavailable, "fault", time.Time{})
		return
	}
	p.message(w, r, statusOf(answer.Refused), answer.Refused, answer.Until)
}

// statusOf is what clients other than browsers know the reason by; 0 is of no reason.
func statusOf(word string) int {
	switch word {
	case portalwire.Used, portalwire.Expired, portalwire.Cancelled, portalwire.Removed, portalwire.Overtaken,
		portalwire.OpenedAgain, portalwire.SessionEnded:
		return http.StatusGone
	case portalwire.Disabled:
		return http.StatusForbidden
	case portalwire.Unknown:
		return http.StatusNotFound
	case portalwire.Locked:
		return http.StatusTooManyRequests
	}
	return 0
}
