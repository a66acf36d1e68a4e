package config

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/placeholder"
)

// BodyKind says how values are escaped in a body.
type BodyKind int

// The kinds of body, by their media types. The zero value is none of them.
const (
	FormBody BodyKind = iota + 1 // application/x-www-form-urlencoded
	JSONBody                     // application/json, and what ends in +json
	XMLBody                      // application/xml, text/xml, and what ends in +xml
	TextBody                     // text/plain: nothing can be escaped
)

const formType = "application/x-www-form-urlencoded"

// ContentType is that of the body, "" if there is none.
func (s *SMS) ContentType() string {
	if s.Body == "" {
		return ""
	}
	if set := s.header("Content-Type"); set != "" {
		return set
	}
	return formType
}

// Kind is the body's.
func (s *SMS) Kind() BodyKind {
	media, _, _ := strings.Cut(s.ContentType(), ";")
	switch media = strings.ToLower(strings.TrimSpace(media)); {
	case media == formType:
		return FormBody
	case media == "application/json" || strings.HasSuffix(media, "+json"):
		return JSONBody
	case media == "application/xml" || media == "text/xml" || strings.HasSuffix(media, "+xml"):
		return XMLBody
	case media == "text/plain":
		return TextBody
	}
	return 0
}

// header returns a header's template. HTTP takes every case for the same name.
func (s *SMS) header(name string) string {
	for n, value := range s.Headers {
		if strings.EqualFold(n, name) {
			return value
		}
	}
	return ""
}

// filled is a template with a letter for each value, which is what stands as
// itself everywhere.
func filled(t placeholder.Template) string { return t.Fill(func(string) string { return "x" }) }

func (s *SMS) checkURL() (problem string, key []string) {
	const want = `expected "https://host/…"`
	key = []string{"url"}
	if s.URL == "" {
		return want, key
	}
	template, err := placeholder.Parse(s.URL, SMSWords...)
	if err != nil {
		return err.Error(), key
	}
	sample := filled(template)
	at, err := url.Parse(sample)
	switch {
	case err != nil || at.Scheme != "https" && at.Scheme != "http" || !validHost(at.Hostname()) || !printable(sample) || strings.Contains(sample, " "):
		return want + ", with %20 for a space", key
	case at.User != nil:
		return want + "; a name and a password are username and password_file", key
	case strings.Contains(s.URL, "#"):
		return want + " without #", key
	case at.Scheme == "http" && !isLoopback(at.Hostname()):
		return want + ": without TLS everybody on the way reads the code; http:// is for 127.0.0.1 and [::1] alone", key
	}
	// The place that a value could lead the request to is not for values.
	start, _, _ := strings.Cut(strings.TrimPrefix(s.URL, at.Scheme+"://"), "/")
	start, _, _ = strings.Cut(start, "?")
	if strings.Contains(start, "{") || !strings.HasPrefix(s.URL, at.Scheme+"://") {
		return want + ", with placeholders in the path and the query alone", key
	}
	return "", nil
}

// reserved are headers that the request itself decides.
var reserved = []string{"host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade", "expect", "proxy-authorization", "accept-encoding"}

func (s *SMS) checkHeaders() (problem string, key []string) {
	var seen []string
	for _, name := range slices.Sorted(maps.Keys(s.Headers)) {
		value := s.Headers[name]
		key = []string{"headers", name}
		lower := strings.ToLower(name)
		template, err := placeholder.Parse(value, SMSWords...)
		switch {
		case !isToken(name):
			return "expected a header's name: letters, digits and -", key
		case slices.Contains(reserved, lower):
			return "this header is not for the configuration; take it out", key
		case slices.Contains(seen, lower):
			return "expected each header once, in whichever case", key
		case err != nil:
			return err.Error(), key
		case !printable(value) || strings.TrimSpace(value) != value || value == "":
			return "expected one line of printable ASCII", key
		case lower == "authorization" && !template.Has("otp_password"):
			return "expected {otp_password} in it: this file is for all to read, the secret belongs into password_file", key
		}
		seen = append(seen, lower)
	}
	return "", nil
}

// isToken is the form of a header's name, RFC 9110 section 5.6.2.
func isToken(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

func (s *SMS) checkBody() (problem string, key []string) {
	key = []string{"body"}
	if s.Body == "" {
		return "", nil
	}
	template, err := placeholder.Parse(s.Body, SMSWords...)
	if err != nil {
		return err.Error(), key
	}
	if hasControl(s.Body, "\t\r\n") {
		return "expected no control characters", key
	}
	switch s.Kind() {
	case FormBody:
		sample := filled(template)
		if _, err := url.ParseQuery(sample); err != nil || !printable(sample) || strings.ContainsAny(sample, ` "<>`) {
			return "expected a form, such as \"to={otp_to}&text=Your+code:+{otp_token}\", with + for a space", key
		}
	case JSONBody:
		if !json.Valid([]byte(filled(template))) {
			return "expected JSON, with placeholders inside its texts, such as '{\"to\": \"{otp_to}\"}'", key
		}
	case 0:
		return "expected the type of a form, JSON, XML or text/plain, such as \"application/json\"", []string{"headers", "Content-Type"}
	}
	return "", nil
}

func (s *SMS) checkProxy() (problem string, key []string) {
	const want = `expected "http://host:port" or "https://host:port"`
	key = []string{"proxy"}
	if s.Proxy == "" {
		if s.ProxyUsername+s.ProxyPasswordFile != "" {
			return want + ", as there is a name or a password for it", key
		}
		return "", nil
	}
	at, err := url.Parse(s.Proxy)
	switch {
	case err != nil || at.Scheme != "http" && at.Scheme != "https" || !validHost(at.Hostname()) || at.Port() == "" ||
		at.RawQuery != "" || at.Fragment != "" || at.Path != "" && at.Path != "/":
		return want, key
	case at.User != nil:
		return want + "; a name and a password are proxy_username and proxy_password_file", key
	case strings.HasPrefix(s.URL, "http:"):
		return "expected no proxy for http://: it would read the code", key
	case (s.ProxyUsername == "") != (s.ProxyPasswordFile == ""):
		return "expected proxy_username and proxy_password_file together", []string{"proxy_username"}
	case hasControl(s.ProxyUsername, "") || strings.Contains(s.ProxyUsername, ":"):
		return "expected neither control characters nor a colon", []string{"proxy_username"}
	}
	return "", nil
}
