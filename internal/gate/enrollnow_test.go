package gate

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/enrollment"
	"github.com/otpgate/otpgate/internal/gate/gatetest"
	"github.com/otpgate/otpgate/internal/keyring"
)

// enrolling gives a place with a real directory of secret files, where people
// enroll at the login.
func enrolling(t *testing.T) *fixture {
	p := required(t, config.Grace{})
	p.Config.Policy.Unenrolled = config.Enroll
	p.Config.TOTP.Issuer = "example.com"
	p.Config.Paths.Users = filepath.Join(t.TempDir(), "users")
	if err := os.Mkdir(p.Config.Paths.Users, 0o700); err != nil {
		t.Fatal(err)
	}
	p.Accounts = userFiles{PlaceOf(p.Config)}
	return p
}

var keyLine = regexp.MustCompile(`Key: ([A-Z2-7 ]+)`)

// shown is the code of the key that a conversation showed.
func (p *fixture) shown(t *testing.T, conversation *script) string {
	found := keyLine.FindStringSubmatch(strings.Join(conversation.told, "\n"))
	if found == nil {
		t.Fatalf("no key was shown: %q", conversation.told)
	}
	code, err := totp.GenerateCode(strings.ReplaceAll(found[1], " ", ""), p.Clock)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// notShown is none of the codes of that key that may be taken now.
func (p *fixture) notShown(t *testing.T, conversation *script) string {
	var right []string
	now := p.Clock
	for step := range 11 {
		p.Clock = now.Add(time.Duration(step-5) * 30 * time.Second)
		right = append(right, p.shown(t, conversation))
	}
	p.Clock = now
	return gatetest.Other(right...)
}

func TestEnrollAtTheLogin(t *testing.T) {
	p := enrolling(t)
	conversation := &script{}
	first := ""
	conversation.answers = []any{"", "12345", func() any { return p.notShown(t, conversation) }, func() any { first = p.shown(t, conversation); return first }, ""}
	expect(t, p.login("bob", conversation), Accept, "totp:phone")
	shown := strings.Join(conversation.told, "\n")
	if !strings.Contains(shown, "█") || !strings.Contains(shown, "has 6 digits") || !strings.Contains(shown, wrongCode) {
		t.Errorf("told %q", conversation.told)
	}
	recovery := regexp.MustCompile(`[0-9a-z]{4}(-[0-9a-z]{4}){3}`).FindAllString(shown, -1)
	if len(recovery) != 10 {
		t.Errorf("recovery codes: %q", recovery)
	}
	// The next login is an ordinary one, and the first code was spent.
	expect(t, p.login("bob", says(first, recovery[0])), Accept, "recovery")
	p.Clock = p.Clock.Add(30 * time.Second)
	expect(t, p.login("bob", says(p.shown(t, conversation))), Accept, "totp:phone")
	if log := p.Lines(); !strings.Contains(log, "verdict=enrolled rule=totp:phone") || strings.Contains(log, first) {
		t.Errorf("log:\n%s", log)
	}
}

// Who cannot be shown a QR code has the key as text, and what to do with it
// stands below the code, not only above its many lines.
func TestEnrollWithoutPicture(t *testing.T) {
	for wish, picture := range map[string]bool{"": true, "key": false, " KEY ": false, "x": true} {
		p := enrolling(t)
		conversation := &script{}
		conversation.answers = []any{wish, Answer{Password: true}, func() any { return p.shown(t, conversation) }, ""}
		expect(t, p.login("bob", conversation), Accept, "totp:phone")
		told := strings.Join(conversation.told, "\n")
		if drawn := strings.ContainsAny(told, "█▀▄"); drawn != picture {
			t.Errorf("%q: a QR code was shown: %v", wish, drawn)
		}
		below := told[max(0, strings.LastIndexAny(told, "█▀▄")):]
		if !strings.Contains(below, "type this key into the app") && !strings.Contains(below, "Type this key into the app") {
			t.Errorf("%q: below the code: %q", wish, below)
		}
		if !strings.Contains(told, wasPassword) {
			t.Errorf("%q: the password for a code: told %q", wish, conversation.told)
		}
	}
}

// Nothing secret is shown to a host that answers by itself, and nothing is
// written before a code was right.
func TestEnrollNeedsSomebody(t *testing.T) {
	for name, answers := range map[string][]any{
		"a host that repeats the password": {Answer{Password: true}}, "nobody": {errors.New("cannot prompt")},
		"no code": {"", "", "", ""}, "somebody who goes away": {"", errors.New("gone")}, "a password as the code": {"", Answer{Password: true}},
	} {
		p := enrolling(t)
		conversation := says(answers...)
		if got := p.login("bob", conversation); got.Decision != Deny && got.Decision != TooMany || got.Rule != "policy.unenrolled" {
			t.Errorf("%s: %v", name, got)
		}
		if _, isText := answers[0].(string); !isText && strings.Contains(strings.Join(conversation.told, ""), "Key:") {
			t.Errorf("%s: told %q", name, conversation.told)
		}
		if files, err := os.ReadDir(p.Config.Paths.Users); err != nil || len(files) != 0 {
			t.Errorf("%s: %v, %v", name, files, err)
		}
	}
}

// Where nothing was proven before, whoever it is would enroll a phone of his own.
func TestEnrollNeedsAProof(t *testing.T) {
	p := enrolling(t)
	conversation := says("key")
	got := p.Login(t.Context(), Request{User: "bob", Service: "sshd", Unproven: true}, conversation)
	if got.Decision != TooMany || got.Rule != "policy.unenrolled" || strings.Contains(strings.Join(conversation.told, ""), "Key:") {
		t.Errorf("%v, told %q", got, conversation.told)
	}
	if files, err := os.ReadDir(p.Config.Paths.Users); err != nil || len(files) != 0 {
		t.Errorf("%v, %v", files, err)
	}
}

// Nobody is shown a key that could not be encrypted: the key for that is not there, or
// nobody has decided about a spare copy of it.
func TestEnrollNeedsAKeyThatMayEncrypt(t *testing.T) {
	for what, change := range map[string]func(data []byte) []byte{
		"not there":     func([]byte) []byte { return nil },
		"no spare copy": func(data []byte) []byte { return data[bytes.LastIndexByte(data[:len(data)-1], '\n')+1:] },
	} {
		p := enrolling(t)
		_, data := keyring.NewFile()
		path := filepath.Join(t.TempDir(), "key")
		if data = change(data); data != nil {
			if err := os.WriteFile(path, data, 0o400); err != nil {
				t.Fatal(err)
			}
		}
		p.Config.Secrets.Keys = []string{path}
		p.reopen()
		conversation := says("key")
		got := p.login("bob", conversation)
		if got.Decision != Fault || !strings.Contains(got.Reason, path) || strings.Contains(strings.Join(conversation.told, ""), "Key:") {
			t.Errorf("%s: %v, told %q", what, got, conversation.told)
		}
		if files, err := os.ReadDir(p.Config.Paths.Users); err != nil || len(files) != 0 {
			t.Errorf("%s: %v, %v", what, files, err)
		}
	}
}

// Of two logins that enroll at once one wins; the other one's key is worth
// nothing.
func TestEnrollTwiceAtOnce(t *testing.T) {
	p := enrolling(t)
	var ready, wait sync.WaitGroup
	ready.Add(2)
	verdicts := make([]Verdict, 2)
	for i := range verdicts {
		wait.Go(func() {
			conversation := &script{}
			conversation.answers = []any{"", func() any { ready.Done(); ready.Wait(); return p.shown(t, conversation) }, ""}
			verdicts[i] = p.login("bob", conversation)
		})
	}
	wait.Wait()
	if (verdicts[0].Decision == Accept) == (verdicts[1].Decision == Accept) {
		t.Errorf("%v, %v", verdicts[0], verdicts[1])
	}
	person, err := p.Accounts.Load("bob")
	if err != nil || len(person.Factors) != 1 {
		t.Errorf("%d factors, %v", len(person.Factors), err)
	}
}

// An enrollment that an admin began gives way to the one at the login.
func TestEnrollInPlaceOfAnUnconfirmedOne(t *testing.T) {
	p := enrolling(t)
	write(t, p.Config.Paths.Users, account.Person{Version: 1, User: "bob", Enabled: true, Factors: []account.Factor{enrollment.NewFactor("phone", p.Config.TOTP)}})
	conversation := &script{}
	conversation.answers = []any{"", func() any { return p.shown(t, conversation) }, ""}
	expect(t, p.login("bob", conversation), Accept, "totp:phone")
	// Who is disabled does not get round that.
	write(t, p.Config.Paths.Users, account.Person{Version: 1, User: "bob"})
	conversation = says("", "")
	expect(t, p.login("bob", conversation), Deny, "policy.unenrolled")
	if need, err := p.Need(context.Background(), Request{User: "bob", Service: "sshd"}); err != nil || need.Code != Refused {
		t.Errorf("%+v, %v", need, err)
	}
}
