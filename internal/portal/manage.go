package portal

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/portalwire"
)

// managePath is where people who are enrolled find what is theirs, askPath where they ask
// for the link to it, devicePath where they set up one more device.
const (
	askPath    = "/self"
	managePath = "/manage"
	devicePath = "/manage/device"
)

// manageRoutes are the addresses for people who are enrolled.
func (p *portal) manageRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET "+askPath, p.askForm)
	mux.HandleFunc("POST "+askPath, p.askLink)
	mux.HandleFunc("GET "+config.ManagePath+"{link}", p.lookManage)
	mux.HandleFunc("POST "+config.ManagePath+"{link}", p.enter)
	mux.HandleFunc("GET "+managePath, p.show)
	mux.HandleFunc("POST "+managePath, p.change)
	mux.HandleFunc("GET "+devicePath, p.showDevice)
}

// manageCookie is what a browser has of a browser session.
const manageCookie = "__Host-otpgate-manage"

func setManageCookie(w http.ResponseWriter, session string, seconds int) {
	http.SetCookie(w, &http.Cookie{
		Name: manageCookie, Value: session, Path: "/", MaxAge: seconds, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}

func manageSession(r *http.Request) string {
	if c, err := r.Cookie(manageCookie); err == nil {
		return c.Value
	}
	return ""
}

// askForm asks for the login name.
func (p *portal) askForm(w http.ResponseWriter, r *http.Request) {
	p.draw(w, r, http.StatusOK, "ask", func(*pageData) {})
}

// askLink has a link mailed, and says the same of every name.
func (p *portal) askLink(w http.ResponseWriter, r *http.Request) {
	user := strings.TrimSpace(r.PostFormValue("user"))
	if user == "" {
		p.draw(w, r, http.StatusUnprocessableEntity, "ask", func(s *pageData) { s.Mistake = "no-name" })
		return
	}
	answer, ok := p.ask(w, r, portalwire.Request{Op: portalwire.AskLink, Manage: portalwire.Manage{User: user}})
	switch {
	case !ok:
	case answer.Managed == nil:
		p.refuseManage(w, r, answer)
	default:
		p.message(w, r, http.StatusOK, "asked", time.Time{})
	}
}

// lookManage says what has become of a link, and asks for a code. Mail servers and scanners
// send this too.
func (p *portal) lookManage(w http.ResponseWriter, r *http.Request) {
	p.enterForm(w, r, http.StatusOK, "")
}

func (p *portal) enterForm(w http.ResponseWriter, r *http.Request, status int, mistake string) {
	answer, ok := p.ask(w, r, portalwire.Request{Op: portalwire.OpenManage, Link: r.PathValue("link")})
	switch {
	case !ok:
	case answer.Page == nil:
		p.refuseManage(w, r, answer)
	case answer.Page.State == portalwire.Ready:
		p.draw(w, r, status, "enter", func(s *pageData) { s.Page, s.Mistake = answer.Page, mistake })
	default:
		p.refuseManage(w, r, portalwire.Answer{Refused: answer.Page.State, Until: answer.Page.At})
	}
}

// enter opens what is the person's for the browser in which link and code were given.
func (p *portal) enter(w http.ResponseWriter, r *http.Request) {
	answer, ok := p.ask(w, r, portalwire.Request{Op: portalwire.Enter, Link: r.PathValue("link"), Current: r.PostFormValue("current")})
	switch {
	case !ok:
	case answer.Managed != nil && answer.Managed.Entered != nil:
		entered := answer.Managed.Entered
		setManageCookie(w, entered.BrowserSession, max(1, int(entered.Ends.Sub(p.Now())/time.Second)))
		if entered.Unseen > 0 {
			p.draw(w, r, http.StatusOK, "unseen", func(s *pageData) { s.Unseen = entered.Unseen })
			return
		}
		// The link leaves the address bar.
		http.Redirect(w, r, managePath, http.StatusSeeOther)
	case slices.Contains(manageMistakes, answer.Refused):
		p.enterForm(w, r, http.StatusUnprocessableEntity, answer.Refused)
	default:
		p.refuseManage(w, r, answer)
	}
}

// manageMistakes are what can be typed, or chosen, once more.
var manageMistakes = []string{
	portalwire.WrongCurrent, portalwire.UsedCurrent, portalwire.NotFound, portalwire.BadName, portalwire.TakenName, portalwire.TooManyDevices,
	portalwire.LastDevice, portalwire.YoungDevice,
}

// show shows what is the person's.
func (p *portal) show(w http.ResponseWriter, r *http.Request) {
	done := r.URL.Query().Get("done")
	if _, ok := doneTexts[portalwire.Doing(done)]; !ok {
		done = ""
	}
	p.overview(w, r, http.StatusOK, done, "")
}

// doneTexts are the changes that are told of on the page which shows what is the person's.
var doneTexts = map[portalwire.Doing]bool{
	portalwire.EndSession: true, portalwire.EndSessions: true, portalwire.Confirmed: true, portalwire.Rename: true, portalwire.Remove: true,
	portalwire.Report: true,
}

func (p *portal) overview(w http.ResponseWriter, r *http.Request, status int, done, mistake string) {
	if manageSession(r) == "" {
		p.refuseManage(w, r, portalwire.Answer{Refused: portalwire.SessionEnded})
		return
	}
	answer, ok := p.ask(w, r, portalwire.Request{Op: portalwire.Show, BrowserSession: manageSession(r)})
	switch {
	case !ok:
	case answer.Managed == nil || answer.Managed.Overview == nil:
		p.refuseManage(w, r, answer)
	default:
		p.draw(w, r, status, "manage", func(s *pageData) { s.Overview, s.Done, s.Mistake = answer.Managed.Overview, done, mistake })
	}
}

// change changes something of the person's.
func (p *portal) change(w http.ResponseWriter, r *http.Request) {
	if manageSession(r) == "" {
		p.refuseManage(w, r, portalwire.Answer{Refused: portalwire.SessionEnded})
		return
	}
	do := portalwire.Doing(r.PostFormValue("do"))
	request := portalwire.Request{
		Op: portalwire.Change, BrowserSession: manageSession(r), First: r.PostFormValue("first"), Current: r.PostFormValue("current"),
		Manage: portalwire.Manage{Do: do, ID: r.PostFormValue("id"), Name: strings.TrimSpace(r.PostFormValue("name"))},
	}
	if !request.Valid() {
		p.message(w, r, http.StatusNotFound, "not-found", time.Time{})
		return
	}
	answer, ok := p.ask(w, r, request)
	switch {
	case !ok:
	case do == portalwire.Confirmed && slices.Contains(mistakes, answer.Refused):
		p.device(w, r, http.StatusUnprocessableEntity, answer)
	case slices.Contains(manageMistakes, answer.Refused):
		p.overview(w, r, http.StatusUnprocessableEntity, "", answer.Refused)
	case answer.Refused == "" && do == portalwire.AddDevice && answer.Setup != nil:
		http.Redirect(w, r, devicePath, http.StatusSeeOther)
	case answer.Managed == nil || answer.Managed.Done == nil:
		p.refuseManage(w, r, answer)
	default:
		p.changed(w, r, *answer.Managed.Done)
	}
}

// changed says that something is changed. The answer itself has recovery codes, once.
func (p *portal) changed(w http.ResponseWriter, r *http.Request, done portalwire.Done) {
	switch {
	case len(done.RecoveryCodes) > 0:
		p.draw(w, r, http.StatusOK, "codes", func(s *pageData) { s.Codes = done.RecoveryCodes })
	case done.Do == portalwire.Leave:
		setManageCookie(w, "", -1)
		p.message(w, r, http.StatusOK, "left", time.Time{})
	default:
		http.Redirect(w, r, managePath+"?done="+string(done.Do), http.StatusSeeOther)
	}
}

// showDevice shows the key of the device that is being added.
func (p *portal) showDevice(w http.ResponseWriter, r *http.Request) {
	if manageSession(r) == "" {
		p.refuseManage(w, r, portalwire.Answer{Refused: portalwire.SessionEnded})
		return
	}
	p.device(w, r, http.StatusOK, portalwire.Answer{})
}

// device shows it, with what was wrong with the first code.
func (p *portal) device(w http.ResponseWriter, r *http.Request, status int, answer portalwire.Answer) {
	mistake := answer.Refused
	if answer.Setup == nil {
		var ok bool
		request := portalwire.Request{Op: portalwire.Change, BrowserSession: manageSession(r), Manage: portalwire.Manage{Do: portalwire.ShowDevice}}
		if answer, ok = p.ask(w, r, request); !ok {
			return
		}
	}
	switch {
	case answer.Refused == portalwire.NotFound:
		p.overview(w, r, http.StatusNotFound, "", answer.Refused)
	case answer.Setup == nil:
		p.refuseManage(w, r, answer)
	default:
		p.setupFor(w, r, status, answer.Setup, mistake, true)
	}
}

// refuseManage says why there is nothing to show, in the words for people who are enrolled
// where those are others.
func (p *portal) refuseManage(w http.ResponseWriter, r *http.Request, answer portalwire.Answer) {
	name := "manage-" + answer.Refused
	if _, own := p.languages.all[0].Texts[name]; !own || answer.Refused == "" {
		p.refuse(w, r, answer)
		return
	}
	status := statusOf(answer.Refused)
	if answer.Refused == portalwire.NoDevice {
		status = http.StatusForbidden
	}
	p.message(w, r, status, name, answer.Until)
}

// Day writes a time, for the templates.
func (s *pageData) Day(at time.Time) string { return s.Language.Day(at, s.zone) }

// With says by which device, or otherwise, a login was.
func (s *pageData) With(rule string) (string, error) {
	kind, id, found := strings.Cut(rule, ":")
	switch {
	case found && id != "":
		return id, nil
	case kind == "recovery":
		return s.Say("manage", "by-recovery")
	}
	return rule, nil
}
