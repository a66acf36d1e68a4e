package config

import (
	"strings"
	"testing"
	"time"
)

func TestParsePortal(t *testing.T) {
	settings, err := Parse("f", []byte("[portal]\nurl = 'https://otp.example.com:8443'\nlink = '30d'\nremind = '0s'\n[portal.email]\nsubject = 'Codes for {user}'\nhtml = '<a href=\"{link}\">{host}</a>'\n"))
	if err != nil {
		t.Fatal(err)
	}
	p := settings.Portal
	if p.Link.Duration != 30*24*time.Hour || p.Remind.Duration != 0 || p.Socket != "/run/otpgate/portal.sock" || p.Email.Subject != "Codes for {user}" || p.Email.Text != defaultInvitation {
		t.Errorf("%+v", p)
	}
	if got := p.LinkTo("abc"); got != "https://otp.example.com:8443/l/abc" {
		t.Errorf("a link is %s", got)
	}
	if settings, err := Parse("f", []byte("[portal]\nurl = 'http://127.0.0.1:8080'\n")); err != nil || settings.Portal.Link.Duration != 3*24*time.Hour || settings.Portal.Remind.Duration != 24*time.Hour {
		t.Errorf("%+v, %v", settings.Portal, err)
	}
	if settings, err := Parse("f", []byte("[email]\nsmtp = 'smtps://h'\nfrom = 'a@h'\n")); err != nil || settings.Portal != nil {
		t.Errorf("%+v, %v", settings.Portal, err)
	}
}

func TestPortalRefused(t *testing.T) {
	const url = "url = 'https://h'\n"
	for _, test := range []struct{ text, want string }{
		{"", `:1: portal.url: expected "https://host"`},
		{"url = 'otp.example.com'\n", `:2: portal.url: expected "https://host"`},
		{"url = 'ftp://h'\n", `:2: portal.url: expected "https://host"`},
		{"url = 'https://h/'\n", "and nothing behind it"},
		{"url = 'https://h/otp'\n", "and nothing behind it"},
		{"url = 'https://h?a'\n", "and nothing behind it"},
		{"url = 'https://a:b@h'\n", "and nothing behind it"},
		{"url = 'https://H\\u00e4'\n", `expected "https://host"`},
		{"url = 'http://otp.example.com'\n", "http:// is for 127.0.0.1 and [::1] alone"},
		{url + "link = '59m'\n", `:3: portal.link: expected "1h" to "30d"`},
		{url + "link = '31d'\n", `:3: portal.link: expected "1h" to "30d"`},
		{url + "socket = 'portal.sock'\n", ":3: portal.socket: expected an absolute path"},
		{url + "remind = '59m'\n", `:3: portal.remind: expected "1h" to "30d", or "0s" for never`},
		{url + "remind = '31d'\n", `:3: portal.remind: expected "1h" to "30d", or "0s" for never`},
		{url + "manag = true\n", ":3: portal.manag: unknown key"},
		{url + "[portal.email]\nsubject = ' '\n", ":4: portal.email.subject: expected one line of text"},
		{url + "[portal.email]\nsubject = 'a {link}'\n", "mail servers log subjects"},
		{url + "[portal.email]\ntext = 'hello {user}'\n", ":4: portal.email.text: expected {link} in it"},
		{url + "[portal.email]\nhtml = '<b>{user}</b>'\n", ":4: portal.email.html: expected {link} in it"},
		{url + "[portal.email]\ntext = '{link} {auth_token}'\n", "{auth_token} is not known here, expected one of {link}, {user}, {host}, {expires}"},
		{url + "[portal.email]\ntext = \"{link} \\u001b\"\n", "expected no control characters"},
		{"url = 'https://h'\n[remote]\nservers = ['h:1']\nserver_keys = ['47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=']\n", "the servers of [remote] do that"},
	} {
		_, err := Parse("f", []byte("[portal]\n"+test.text))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q:\n got %v\nwant %s", test.text, err, test.want)
		}
	}
}
