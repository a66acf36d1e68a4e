// Package portal is the page on which people set up codes by a link.
//
// The entry point is [New]. The page holds no secrets and keeps nothing, but for a
// moment what it answered to a button that is pressed twice: what it shows it asks the
// verifier for, see package portalwire, at each request. It promises
// that a GET changes nothing, whoever sends it and however often; that what changes
// something came from the page itself; that a link, a key and a code go into no log,
// no address and no browser's cache; and that every page works without a script.
package portal

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/catalogue"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/portalwire"
)

// Settings are those of a page. All but Proxies and Manage must be set.
type Settings struct {
	// URL is what people reach the page by, a scheme and a host. Nothing that a
	// request says takes its place.
	URL *url.URL
	// Ask asks the verifier.
	Ask func(context.Context, portalwire.Request) (portalwire.Answer, error)
	// Proxies are those whose word on where a request came from counts. Whoever comes
	// by a Unix socket is one.
	Proxies []config.Network
	// Now is the clock, and Zone what times are shown in.
	Now  func() time.Time
	Zone *time.Location
	// Manage says that people who are enrolled may look after what is theirs.
	Manage bool
	// Report gets each fault, for the log.
	Report func(remote, reason string)
}

// Bounds of what is in memory at once.
const (
	maxForm = 4 << 10
	// maxText is more than a link, a cookie or a code has. What is longer is none, and
	// may be cut off: it counts as any other wrong one.
	maxText = 256
	// mostAsked is how many questions the verifier gets at once. The others wait.
	mostAsked = 64
)

type portal struct {
	Settings
	host        string // as browsers write it in an origin
	languages   languages
	asking      chan struct{}
	origin      *http.CrossOriginProtection
	submissions submissions
	after       func(time.Duration, func())
}

// New makes the page.
func New(settings Settings) (http.Handler, error) {
	languages, err := readLanguages(catalogue.Files)
	if err != nil {
		return nil, fmt.Errorf("the page's texts: %w", err)
	}
	return newPortal(settings, languages).routes(), nil
}

func newPortal(settings Settings, languages languages) *portal {
	return &portal{
		Settings: settings, host: hostOf(settings.URL), languages: languages, asking: make(chan struct{}, mostAsked), origin: http.NewCrossOriginProtection(),
		after: func(d time.Duration, f func()) { time.AfterFunc(d, f) },
	}
}

// routes are the addresses of the page.
func (p *portal) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+stylePath, style)
	mux.HandleFunc("GET /favicon.ico", noIcon)
	mux.HandleFunc("GET /l/{link}", p.look)
	mux.HandleFunc("POST /l/{link}", p.begin)
	mux.HandleFunc("GET /setup", p.resume)
	mux.HandleFunc("POST /setup", p.confirm)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		p.message(w, r, http.StatusOK, "start", time.Time{})
	})
	if p.Manage {
		p.manageRoutes(mux)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		p.message(w, r, http.StatusNotFound, "not-found", time.Time{})
	})
	return p.guarded(mux)
}

// hostOf is the host of an origin, RFC 6454 section 6.2.
func hostOf(own *url.URL) string {
	host := strings.ToLower(own.Host)
	switch own.Scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	}
	return host
}

// guarded gives every answer its headers, and refuses what another page sends in a
// person's name.
func (p *portal) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setHeaders(w.Header(), r.TLS != nil)
		// What a request says of its host is compared with nothing.
		own := *r
		own.Host = p.host
		if err := p.origin.Check(&own); err != nil {
			p.message(w, r, http.StatusForbidden, "foreign", time.Time{})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		next.ServeHTTP(w, r)
	})
}

// setHeaders says to browsers what they must not do. Where a web server in front has TLS,
// it knows better whether there is plain HTTP beside it.
func setHeaders(h http.Header, tls bool) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Cache-Control", "no-store")
	// "no-referrer" would have browsers send the origin "null" with a form.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Robots-Tag", "noindex")
	if tls {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// cookie is the browser session. The name's beginning has browsers refuse it
// unless it came over TLS, from this very host.
const cookie = "__Host-otpgate"

func setCookie(w http.ResponseWriter, session string, seconds int) {
	http.SetCookie(w, &http.Cookie{
		Name: cookie, Value: session, Path: "/", MaxAge: seconds, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}

// browserSession is what the browser has been given, "" if nothing.
func browserSession(r *http.Request) string {
	if c, err := r.Cookie(cookie); err == nil {
		return c.Value
	}
	return ""
}

// ask asks the verifier. Without an answer the page says so, and ok is false.
func (p *portal) ask(w http.ResponseWriter, r *http.Request, request portalwire.Request) (answer portalwire.Answer, ok bool) {
	for _, text := range []*string{&request.Link, &request.BrowserSession, &request.First, &request.Current, &request.Manage.User, &request.Manage.ID, &request.Manage.Name} {
		*text = (*text)[:min(len(*text), maxText)]
	}
	remote, err := clientAddress(r, p.Proxies)
	if err == nil {
		request.Remote, request.Language = remote.String(), p.languages.of(r).Tag
		if request.Op == portalwire.Confirm || request.Op == portalwire.Change {
			answer, err = p.once(r.Context(), request)
		} else {
			answer, err = p.askFrom(r.Context(), request)
		}
	}
	if err != nil {
		p.Report(request.Remote, err.Error())
		p.message(w, r, http.StatusServiceUnavailable, "fault", time.Time{})
		return answer, false
	}
	return answer, true
}

func (p *portal) askFrom(ctx context.Context, request portalwire.Request) (portalwire.Answer, error) {
	select {
	case p.asking <- struct{}{}:
		defer func() { <-p.asking }()
	case <-ctx.Done():
		return portalwire.Answer{}, fmt.Errorf("wait to ask the verifier: %w", ctx.Err())
	}
	// A browser that has gone ends nothing: what was done is answered once.
	return p.Ask(context.WithoutCancel(ctx), request)
}
