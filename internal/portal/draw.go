package portal

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/catalogue"
	"github.com/otpgate/otpgate/internal/otpauth"
	"github.com/otpgate/otpgate/internal/portalwire"
)

//go:embed pages
var pages embed.FS

var templates = template.Must(template.ParseFS(pages, "pages/*.html"))

// pageData is what a page says. Its methods are for the templates.
type pageData struct {
	catalogue.Language
	Name  string // of the template, and of its texts
	Host  string
	Style string
	zone  *time.Location
	now   time.Time

	Page     *portalwire.Page
	Setup    *portalwire.Setup
	Enrolled *portalwire.Enrolled
	Overview *portalwire.Overview
	Unseen   int    // wrong codes
	Done     string // what was changed
	Codes    []string
	// Further says that the setup is of somebody who is enrolled.
	Further bool
	QR      picture
	Mistake string
	At      time.Time
}

// Say is a text, with its words filled in.
func (s *pageData) Say(table, key string) (string, error) {
	return s.Language.Say(table, key, s.fill)
}

func (s *pageData) fill(word string) string {
	switch {
	case word == "host":
		return s.Host
	case word == "title":
		title, _ := s.Say(s.Name, "title")
		return title
	case word == "name" && s.Page != nil:
		return s.Page.Name
	case word == "digits" && s.Setup != nil:
		return strconv.Itoa(s.Setup.Digits)
	case word == "period" && s.Setup != nil:
		return strconv.Itoa(s.Setup.Period)
	case word == "count" && s.Unseen > 0:
		return strconv.Itoa(s.Unseen)
	case word == "count" && s.Overview != nil:
		return strconv.Itoa(s.Overview.RecoveryLeft)
	case word == "more" && s.Overview != nil:
		return strconv.Itoa(s.Overview.More)
	case word == "name" && s.Overview != nil:
		return s.Overview.User
	case word == "count" && s.Enrolled != nil:
		return strconv.Itoa(s.Enrolled.Unseen)
	case word == "date":
		return s.Day(s.date())
	}
	return ""
}

// date is the time that a page speaks of.
func (s *pageData) date() time.Time {
	switch {
	case s.Page != nil:
		return s.Page.At
	case s.Setup != nil:
		return s.Setup.Ends
	case s.Overview != nil:
		return s.Overview.Ends
	case s.Enrolled != nil, s.Codes != nil:
		return s.now
	}
	return s.At
}

// Title is that of the window.
func (s *pageData) Title() (string, error) {
	if s.Mistake != "" {
		return s.Say("mistake", "title")
	}
	return s.Say(s.Name, "title")
}

// Action is where the first code of a device goes.
func (s *pageData) Action() string {
	if s.Further {
		return managePath
	}
	return "/setup"
}

// MistakeIn says whether the mistake is in a field.
func (s *pageData) MistakeIn(field string) bool { return strings.HasSuffix(s.Mistake, "-"+field) }

// URI is the key as a link for an app. Another scheme than its own is no link.
func (s *pageData) URI() template.URL {
	if !strings.HasPrefix(s.Setup.URI, "otpauth://") {
		return ""
	}
	return template.URL(s.Setup.URI)
}

// draw sends a page.
func (p *portal) draw(w http.ResponseWriter, r *http.Request, status int, name string, with func(*pageData)) {
	s := &pageData{Language: p.languages.of(r), Name: name, Host: p.URL.Host, Style: stylePath, zone: p.Zone, now: p.Now()}
	with(s)
	file := name
	if templates.Lookup(file+".html") == nil {
		file = "message"
	}
	var text bytes.Buffer
	if err := templates.ExecuteTemplate(&text, file+".html", s); err != nil {
		// What the library says may quote what was to be shown.
		p.Report("", "the page "+name+" cannot be drawn")
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", s.Tag)
	w.Header().Set("Content-Length", strconv.Itoa(text.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(text.Bytes()) // who has gone is not told
}

// message sends a page that says one thing.
func (p *portal) message(w http.ResponseWriter, r *http.Request, status int, name string, at time.Time) {
	if name == portalwire.Locked {
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(at.Sub(p.Now())/time.Second)+1)))
	}
	p.draw(w, r, status, name, func(s *pageData) { s.At = at })
}

// setup sends the page with the key.
func (p *portal) setup(w http.ResponseWriter, r *http.Request, status int, setup *portalwire.Setup, mistake string) {
	p.setupFor(w, r, status, setup, mistake, false)
}

// setupFor is setup also for a further device of somebody who is enrolled.
func (p *portal) setupFor(w http.ResponseWriter, r *http.Request, status int, setup *portalwire.Setup, mistake string, further bool) {
	qr, err := otpauth.Draw(setup.URI)
	if err != nil {
		p.Report("", "the key cannot be drawn: it is too long, see totp.issuer")
	}
	p.draw(w, r, status, "setup", func(s *pageData) {
		s.Setup, s.Mistake, s.Further = setup, mistake, further
		if err == nil {
			s.QR = pictureOf(qr)
		}
	})
}

// picture is a QR code as SVG has it.
type picture struct {
	Size int
	// Path has a line for each run of dark modules in a row.
	Path string
}

func pictureOf(qr otpauth.QR) picture {
	var path strings.Builder
	for y := range qr.Size {
		for x := 0; x < qr.Size; x++ {
			begin := x
			for x < qr.Size && qr.Dark(x, y) {
				x++
			}
			if x > begin {
				fmt.Fprintf(&path, "M%d %d.5h%d", begin, y, x-begin)
			}
		}
	}
	return picture{qr.Size, path.String()}
}
