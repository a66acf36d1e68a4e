package config

import (
	"slices"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/placeholder"
)

// SMS says how codes are sent as text messages: by one request to a gateway.
type SMS struct {
	// Preset fills in what a gateway of that name wants: "twilio", or "".
	Preset string `toml:"preset"`
	// URL, the values of Headers, and Body are templates with SMSWords. URL is
	// https://, or leads to the machine itself.
	URL     string            `toml:"url"`
	Headers map[string]string `toml:"headers"`
	Body    string            `toml:"body"`
	// Method is POST, PUT or GET, the last without Body.
	Method string `toml:"method"`
	// From is who the message comes from, as the gateway wants it.
	From string `toml:"from"`
	// Username and PasswordFile are for HTTP's basic authentication, unless a
	// template has {otp_password}.
	Username     string `toml:"username"`
	PasswordFile string `toml:"password_file"`
	// Proxy is "http://host:port" or "https://host:port". ProxyUsername and
	// ProxyPasswordFile are for one that wants them.
	Proxy             string `toml:"proxy"`
	ProxyUsername     string `toml:"proxy_username"`
	ProxyPasswordFile string `toml:"proxy_password_file"`
	// CAFile is as in [email]. It holds for an https:// proxy too.
	CAFile string `toml:"ca_file"`
	// Success says which answers mean that the gateway has taken the message.
	Success Success `toml:"success"`
	// Timeout is for the whole delivery, further tries included, a second to two
	// minutes.
	Timeout Duration `toml:"timeout"`
}

// Success is what an answer must be like.
type Success struct {
	// Status lists HTTP's codes, of 200 to 299. Empty: all of those.
	Status []int `toml:"status"`
	// Pattern is the whole text of the answer, with * for any text, even none.
	// Empty: any.
	Pattern string `toml:"pattern"`
}

// SMSWords are the placeholders of a request. {otp_username} and {otp_password}
// are the gateway's.
var SMSWords = []string{"otp_token", "otp_to", "otp_from", "otp_username", "otp_password", "otp_service", "otp_host"}

// Twilio is the preset for Twilio's Messages resource.
const Twilio = "twilio"

const (
	twilioURL  = "https://api.twilio.com/2010-04-01/Accounts/{otp_username}/Messages.json"
	twilioBody = "To={otp_to}&From={otp_from}&Body=Your+code+for+{otp_host}:+{otp_token}"
	// A service of several senders has another parameter.
	twilioServiceBody = "To={otp_to}&MessagingServiceSid={otp_from}&Body=Your+code+for+{otp_host}:+{otp_token}"
)

func defaultSMS() *SMS { return &SMS{Method: "POST", Timeout: Duration{10 * time.Second}} }

// fill adds what the preset says where the file says nothing.
func (s *SMS) fill() {
	if s == nil || s.Preset != Twilio {
		return
	}
	if s.URL == "" {
		s.URL = twilioURL
	}
	if s.Body == "" {
		s.Body = twilioBody
		if isSID(s.From, "MG") {
			s.Body = twilioServiceBody
		}
	}
	if s.Success.Status == nil {
		s.Success.Status = []int{201}
	}
	if s.Success.Pattern == "" {
		s.Success.Pattern = `{*"sid"*}`
	}
}

// isSID takes Twilio's identifiers: two letters and 32 hexadecimal digits.
func isSID(text string, kinds ...string) bool {
	return len(text) == 34 && slices.Contains(kinds, text[:2]) && strings.Trim(text[2:], "0123456789abcdef") == ""
}

// check returns the first problem and the key it is at, or "".
func (s *SMS) check() (problem string, key []string) {
	if s == nil {
		return "", nil
	}
	if s.Preset != "" && s.Preset != Twilio {
		return `expected "twilio", or no such line`, []string{"preset"}
	}
	for _, check := range []func() (string, []string){s.checkTwilio, s.checkURL, s.checkRequest, s.checkHeaders, s.checkBody, s.checkUse, s.checkProxy} {
		if problem, key := check(); problem != "" {
			return problem, key
		}
	}
	if problem, key := s.Success.check(); problem != "" {
		return problem, []string{"success", key}
	}
	return relative(keyPath{"password_file", s.PasswordFile}, keyPath{"proxy_password_file", s.ProxyPasswordFile}, keyPath{"ca_file", s.CAFile})
}

func (s *SMS) checkTwilio() (problem string, key []string) {
	switch {
	case s.Preset != Twilio:
	case s.URL == twilioURL && !isSID(s.Username, "AC"):
		return `expected the account's SID, "AC" and 32 hexadecimal digits`, []string{"username"}
	case s.PasswordFile == "":
		return `expected a file with the account's auth token`, []string{"password_file"}
	case s.From == "":
		return `expected one of the account's numbers, "+15005550006", or the SID of a messaging service, "MG…"`, []string{"from"}
	}
	return "", nil
}

func (s *SMS) checkRequest() (problem string, key []string) {
	switch {
	case !slices.Contains([]string{"POST", "PUT", "GET"}, s.Method):
		return `expected "POST", "PUT" or "GET"`, []string{"method"}
	case s.Method == "GET" && s.Body != "":
		return `expected no body with method = "GET"`, []string{"body"}
	case hasControl(s.From, ""):
		return "expected no control characters", []string{"from"}
	case hasControl(s.Username, "") || strings.Contains(s.Username, ":"):
		return "expected neither control characters nor a colon", []string{"username"}
	case !within(int(s.Timeout.Duration), int(time.Second), int(2*time.Minute)):
		return `expected "1s" to "2m"`, []string{"timeout"}
	}
	return "", nil
}

// checkUse holds placeholders against what there is to fill them with.
func (s *SMS) checkUse() (problem string, key []string) {
	for _, word := range []string{"otp_token", "otp_to"} {
		if !s.uses(word) {
			return "expected {" + word + "} in url, body or headers", nil
		}
	}
	password := s.uses("otp_password")
	switch {
	case s.uses("otp_from") && s.From == "":
		return "expected this key, as a template has {otp_from}", []string{"from"}
	case s.uses("otp_username") && s.Username == "":
		return "expected this key, as a template has {otp_username}", []string{"username"}
	case password && s.PasswordFile == "":
		return "expected this key, as a template has {otp_password}", []string{"password_file"}
	case password && s.Username != "" && !s.uses("otp_username"):
		return "nothing uses this key: {otp_password} is in a template, and {otp_username} is not", []string{"username"}
	case !password && (s.Username == "") != (s.PasswordFile == ""):
		return "expected username and password_file together", []string{"username"}
	case !password && s.Username != "" && s.header("Authorization") != "":
		return "this header is made of username and password_file; expected {otp_password} in it, or no such line", []string{"headers", "Authorization"}
	}
	return "", nil
}

// uses says whether a template has the placeholder.
func (s *SMS) uses(word string) bool {
	texts := []string{s.URL, s.Body}
	for _, value := range s.Headers {
		texts = append(texts, value)
	}
	for _, text := range texts {
		if t, err := placeholder.Parse(text, SMSWords...); err == nil && t.Has(word) {
			return true
		}
	}
	return false
}

// Basic says whether HTTP's basic authentication is used.
func (s *SMS) Basic() bool { return s.Username != "" && !s.uses("otp_password") }

// check returns the first problem and the key it is at, or "".
func (s Success) check() (problem, key string) {
	if s.Status != nil && (len(s.Status) == 0 || slices.ContainsFunc(s.Status, func(n int) bool { return !within(n, 200, 299) })) {
		return "expected codes of 200 to 299, which are HTTP's for success", "status"
	}
	if s.Pattern != "" && (len(s.Pattern) > 500 || hasControl(s.Pattern, "") || strings.Trim(s.Pattern, "* ") == "") {
		return "expected up to 500 characters that are not all *, and no control characters", "pattern"
	}
	return "", ""
}

// Match says whether an answer means that the message was taken. Space around
// the text does not matter.
func (s Success) Match(status int, text string) bool {
	if s.Status == nil && !within(status, 200, 299) || s.Status != nil && !slices.Contains(s.Status, status) {
		return false
	}
	return s.Pattern == "" || matches(s.Pattern, strings.TrimSpace(text))
}

// matches takes * for any text. Between two of them the first place that fits
// is as good as any, so the time is that of the texts' lengths.
func matches(pattern, text string) bool {
	pieces := strings.Split(pattern, "*")
	first, last := pieces[0], pieces[len(pieces)-1]
	if len(pieces) == 1 {
		return text == pattern
	}
	if len(text) < len(first)+len(last) || !strings.HasPrefix(text, first) || !strings.HasSuffix(text, last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, piece := range pieces[1 : len(pieces)-1] {
		at := strings.Index(text, piece)
		if at < 0 {
			return false
		}
		text = text[at+len(piece):]
	}
	return true
}
