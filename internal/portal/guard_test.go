package portal

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/portalwire"
)

func TestHeaders(t *testing.T) {
	for _, tls := range []bool{true, false} {
		s := newSite(t)
		if !tls {
			handler := s.server.Config.Handler
			s.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.TLS = nil
				handler.ServeHTTP(w, r)
			})
		}
		link := s.invite(t, false)
		b := s.browser(t)
		b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		pressed := b.press(t, link)
		set := pressed.Header.Get("Set-Cookie")
		for _, want := range []string{"__Host-otpgate=", "; Path=/", "; Max-Age=900", "; HttpOnly", "; Secure", "; SameSite=Strict"} {
			if !strings.Contains(set, want) {
				t.Errorf("the cookie %q lacks %q", set, want)
			}
		}
		if pressed.StatusCode != http.StatusSeeOther || pressed.Header.Get("Location") != "/setup" || strings.Contains(set, strings.TrimPrefix(link, "/l/")) {
			t.Errorf("%d to %q with %q", pressed.StatusCode, pressed.Header.Get("Location"), set)
		}
		for _, page := range []answered{b.get(t, link), pressed, b.get(t, "/setup"), b.try(t, "", ""), b.get(t, "/nothing"), b.get(t, stylePath)} {
			for name, want := range map[string]string{
				"Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
				"Referrer-Policy":         "same-origin", "X-Content-Type-Options": "nosniff", "X-Robots-Tag": "noindex",
				"Strict-Transport-Security": map[bool]string{true: "max-age=31536000"}[tls],
			} {
				if got := page.Header.Get(name); got != want {
					t.Errorf("%s: %s is %q, expected %q", page.Request.URL.Path, name, got, want)
				}
			}
			if stored := page.Header.Get("Cache-Control"); (stored == "no-store") == (page.Request.URL.Path == stylePath) {
				t.Errorf("%s: Cache-Control is %q", page.Request.URL.Path, stored)
			}
		}
	}
}

// What another page sends in a person's name does nothing.
func TestOrigins(t *testing.T) {
	s := newSite(t)
	link := s.invite(t, false)
	own := s.server.URL
	for _, test := range []struct {
		headers map[string]string
		host    string
		taken   bool
	}{
		{map[string]string{"Origin": "https://example.net"}, "", false},
		{map[string]string{"Origin": "https://example.net"}, "example.net", false},
		{map[string]string{"Origin": "null"}, "", false},
		{map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": own}, "", false},
		{map[string]string{"Sec-Fetch-Site": "same-site"}, "", false},
		{map[string]string{"Origin": own}, "example.net", true},
		{map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": own}, "", true},
		{nil, "", true},
	} {
		b := s.browser(t)
		for name, value := range test.headers {
			b.headers.Set(name, value)
		}
		got := b.sendAs(t, test.host, link)
		if taken := got.StatusCode == http.StatusSeeOther; taken != test.taken {
			t.Errorf("%v, host %q: %d", test.headers, test.host, got.StatusCode)
		}
		if !test.taken {
			s.says(t, got, http.StatusForbidden, "foreign")
		}
		if strings.Contains(got.text+got.Header.Get("Location"), "example.net") {
			t.Errorf("the page has the name of a forged host:\n%s", got.text)
		}
	}
}

func TestHostOfOrigin(t *testing.T) {
	for own, want := range map[string]string{
		"https://OTP.example.com": "otp.example.com", "https://otp.example.com:443": "otp.example.com", "https://h:8443": "h:8443",
		"http://127.0.0.1:80": "127.0.0.1", "https://[2001:db8::1]:443": "[2001:db8::1]",
	} {
		parsed, err := url.Parse(own)
		if err != nil || hostOf(parsed) != want {
			t.Errorf("%s: %s, %v", own, hostOf(parsed), err)
		}
	}
}

// sendAs presses a link's button, with another host's name in the request.
func (b *browser) sendAs(t *testing.T, host, link string) answered {
	t.Helper()
	client := *b.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if host != "" {
		next := client.Transport
		client.Transport = asHost{next, host}
	}
	return (&browser{&client, b.s, b.headers}).press(t, link)
}

type asHost struct {
	http.RoundTripper
	host string
}

func (a asHost) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Host = a.host
	return a.RoundTripper.RoundTrip(r)
}

func TestLargeForm(t *testing.T) {
	s := newSite(t)
	b := s.browser(t)
	setup := b.press(t, s.invite(t, false))
	large := url.Values{"first": {s.code(t, setup, 0)}, "more": {strings.Repeat("x", maxForm)}}
	s.says(t, b.send(t, "POST", "/setup", large), http.StatusUnprocessableEntity, "setup")
	if asked := s.last(); asked.First != "" {
		t.Error("a form that is too large is read")
	}
}

// What is too long for a link, a cookie or a code is a wrong one, and no fault.
func TestLongTexts(t *testing.T) {
	s := newSite(t)
	link := s.invite(t, false)
	b := s.browser(t)
	long := strings.Repeat("%01", 3000)
	s.says(t, b.get(t, link+long), http.StatusNotFound, "unknown")
	s.says(t, b.press(t, link+long), http.StatusNotFound, "unknown")
	b.press(t, link)
	s.says(t, b.try(t, strings.Repeat("1", 3000), strings.Repeat("\x01", 300)), http.StatusUnprocessableEntity, "setup")
	b.Jar.SetCookies(s.settings.URL, []*http.Cookie{{Name: cookie, Value: strings.Repeat("a", 8000), Path: "/", Secure: true}})
	s.says(t, b.get(t, "/setup"), http.StatusNotFound, "unknown")
	if s.reported() != "" {
		t.Error(s.reported())
	}
}

// Where a browser comes from is a trusted proxy's word alone.
func TestClientAddress(t *testing.T) {
	proxies := []config.Network{{Prefix: netip.MustParsePrefix("192.0.2.1/32")}, {Prefix: netip.MustParsePrefix("2001:db8:1::/48")}}
	for _, test := range []struct {
		peer, said, want string
	}{
		{"198.51.100.7:1", "", "198.51.100.7"},
		{"198.51.100.7:1", "203.0.113.9", "198.51.100.7"},
		{"[::ffff:198.51.100.7]:1", "203.0.113.9", "198.51.100.7"},
		{"192.0.2.1:1", "203.0.113.9", "203.0.113.9"},
		{"[::ffff:192.0.2.1]:1", " 203.0.113.9 ", "203.0.113.9"},
		{"192.0.2.1:1", "198.51.100.7, 203.0.113.9", "203.0.113.9"},
		{"192.0.2.1:1", "198.51.100.7,2001:db8:9::1, 2001:db8:1::5", "2001:db8:9::1"},
		{"192.0.2.1:1", "203.0.113.9:4711", "203.0.113.9"},
		{"192.0.2.1:1", "[2001:db8:9::1%eth0]:4711", "2001:db8:9::1"},
		{"192.0.2.1:1", "", "192.0.2.1"},
		{"192.0.2.1:1", "203.0.113.9, unknown", "192.0.2.1"},
		{"192.0.2.1:1", "198.51.100.7, , 2001:db8:1::5", "2001:db8:1::5"},
		{"192.0.2.1:1", "2001:db8:1::6, 2001:db8:1::5", "2001:db8:1::6"},
		{"unix", "203.0.113.9", "203.0.113.9"},
		{"unix", "198.51.100.7, 203.0.113.9", "203.0.113.9"},
		{"unix", "198.51.100.7, 192.0.2.1", "198.51.100.7"},
		{"unix", "", ""},
		{"unix", "localhost", ""},
	} {
		r := requestFrom(t, test.peer)
		if test.said != "" {
			r.Header.Set("X-Forwarded-For", test.said)
		}
		got, err := clientAddress(r, proxies)
		if (err != nil) != (test.want == "") || err == nil && got.String() != test.want {
			t.Errorf("from %s with %q: %v, %v, expected %s", test.peer, test.said, got, err, test.want)
		}
	}
	r := requestFrom(t, "192.0.2.1:1")
	r.Header["X-Forwarded-For"] = []string{"203.0.113.9", "198.51.100.7"}
	if got, err := clientAddress(r, proxies); err != nil || got.String() != "198.51.100.7" {
		t.Errorf("of two headers the first: %v, %v", got, err)
	}
}

func TestAddressReachesTheEngine(t *testing.T) {
	s := newSite(t)
	b := s.browser(t)
	b.headers.Set("X-Forwarded-For", "203.0.113.9")
	link := s.invite(t, false)
	b.get(t, link)
	if asked := s.last(); asked.Remote != "127.0.0.1" {
		t.Errorf("a browser forged %s", asked.Remote)
	}
	s = newSite(t, func(settings *Settings) {
		settings.Proxies = []config.Network{{Prefix: netip.MustParsePrefix("127.0.0.0/8")}}
	})
	b = s.browser(t)
	b.headers.Set("X-Forwarded-For", "203.0.113.9")
	b.get(t, s.invite(t, false))
	if asked := s.last(); asked.Remote != "203.0.113.9" {
		t.Errorf("a proxy's browser is at %s", asked.Remote)
	}
}

// Without an answer of the verifier the page says so, and the log why.
func TestVerifierDoesNotAnswer(t *testing.T) {
	var fails error
	answer := portalwire.Answer{}
	s := newSite(t, func(settings *Settings) {
		settings.Ask = func(context.Context, portalwire.Request) (portalwire.Answer, error) { return answer, fails }
	})
	for _, test := range []struct {
		answer portalwire.Answer
		err    error
		why    string
	}{
		{portalwire.Answer{}, errors.New("nobody listens"), "nobody listens"},
		{portalwire.Answer{Refused: "of-a-newer-verifier"}, nil, "after an upgrade"},
	} {
		answer, fails = test.answer, test.err
		b := s.browser(t)
		b.Jar.SetCookies(s.settings.URL, []*http.Cookie{{Name: cookie, Value: "x", Path: "/", Secure: true}})
		for _, page := range []answered{b.get(t, "/l/x"), b.press(t, "/l/x"), b.get(t, "/setup"), b.try(t, "1", "")} {
			s.says(t, page, http.StatusServiceUnavailable, "fault")
		}
		if strings.Count(s.reported(), test.why) != 4 {
			t.Errorf("expected %q four times: %s", test.why, s.reported())
		}
	}
}
