package e2e

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/testprogram"
)

// tokenCommand writes a program that prints a token.
func tokenCommand(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mail-token")
	must(t, testprogram.Write(path, []byte("#!/bin/sh\n"+text+"\n")))
	return path
}

// A mail server that takes nothing but tokens gets one, from a file or a command,
// over TLS; a wrong one is refused, and no log has it.
func TestSendWithToken(t *testing.T) {
	t.Parallel()
	for _, mechanism := range []string{"XOAUTH2", "OAUTHBEARER"} {
		server := hosts.StartExim(t, hosts.EximOptions{Tokens: mechanism})
		login := "ca_file = '" + server.CA + "'\nusername = '" + server.Name + "'\n"
		for _, test := range []struct{ name, config, err string }{
			{"file", "smtp = '" + server.SMTP + "'\ntoken_file = '" + secretFile(t, server.Token) + "'\n", ""},
			{"command", "smtp = '" + server.SMTPS + "'\ntoken_command = ['" + tokenCommand(t, "echo '"+server.Token+"'") + "']\n", ""},
			{"another", "smtp = '" + server.SMTP + "'\ntoken_file = '" + secretFile(t, server.Token+"x") + "'\n", "535"},
			{"password", "smtp = '" + server.SMTP + "'\npassword_file = '" + secretFile(t, server.Password) + "'\n", "the server offers no way to log in that is safe"},
			{"none", "smtp = '" + server.SMTP + "'\ntoken_command = ['" + tokenCommand(t, "echo the client is unknown >&2; exit 1") + "']\n", "exit status 1; it said: the client is unknown"},
		} {
			t.Run(mechanism+" "+test.name, func(t *testing.T) {
				t.Parallel()
				p := newPost(t, deliver.Email, emailWith(login+test.config))
				got, err := p.send(t)
				if test.err != "" {
					if err == nil || !strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), server.Token) || len(p.Letters(t)) > 0 {
						t.Errorf("expected %q, found %+v, %v", test.err, got, err)
					}
					return
				}
				if err != nil || !strings.Contains(p.Letter(t), "Your code: "+p.code) {
					t.Fatalf("found %+v, %v\n%s", got, err, server.Log(t))
				}
				if log := server.Log(t); !strings.Contains(log, "P=esmtpsa X=TLS1.3") || !strings.Contains(log, "A=own:"+server.Name) {
					t.Errorf("expected a login over TLS in\n%s", log)
				}
			})
		}
	}
}

// The command of docs/sent-codes.md asks for a token as it says, and prints it.
func TestTokenCommandOfTheDocuments(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../docs/sent-codes.md")
	must(t, err)
	found := regexp.MustCompile("(?s)```\n(#!/bin/sh\n# /usr/local/sbin/mail-token\n.*?)```").FindSubmatch(document)
	if found == nil {
		t.Fatal("docs/sent-codes.md has no such command")
	}
	server := hosts.StartExim(t, hosts.EximOptions{Tokens: "XOAUTH2"})
	const secret = "Kl~8Q+&=% /secret"
	machine.Keep(secret)
	answer := `{"token_type":"Bearer","expires_in":3599,"access_token":"` + server.Token + `"}`
	entra := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for key, want := range map[string]string{
			"grant_type": "client_credentials", "client_id": "CLIENT", "client_secret": secret, "scope": "https://outlook.office365.com/.default",
		} {
			if got := r.PostFormValue(key); got != want || r.URL.Path != "/TENANT/oauth2/v2.0/token" {
				http.Error(w, `{"error":"invalid_client"}`, http.StatusUnauthorized)
				t.Errorf("%s: %s: expected %q, found %q", r.URL, key, want, got)
				return
			}
		}
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(entra.Close)
	text := strings.NewReplacer("#!/bin/sh\n", "", "https://login.microsoftonline.com", entra.URL, "/etc/otpgate/secrets/m365", secretFile(t, secret)).Replace(string(found[1]))
	p := newPost(t, deliver.Email, emailWith("ca_file = '"+server.CA+"'\nusername = '"+server.Name+"'\nsmtp = '"+server.SMTP+
		"'\ntoken_command = ['"+tokenCommand(t, text)+"']\n"))
	if got, err := p.send(t); err != nil || !strings.Contains(p.Letter(t), "Your code: "+p.code) {
		t.Errorf("found %+v, %v", got, err)
	}
	answer = `{"error":"invalid_client"}`
	if got, err := p.send(t); err == nil || !strings.Contains(err.Error(), "token_command: ") {
		t.Errorf("found %+v, %v", got, err)
	}
}
