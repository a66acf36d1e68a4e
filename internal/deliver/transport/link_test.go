package transport

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
)

const portal = "[portal]\nurl = 'https://otp.example.com'\n"

// invites is a message with a link.
func invites() deliver.Message {
	m := message
	m.Channel, m.Code, m.Link = deliver.Email, "", "https://otp.example.com/l/abcdefghijklmnopqrstuvwxyz234567"
	return m
}

func TestInvitationByMail(t *testing.T) {
	path, kept := spool(t, keep)
	s, _ := newSender(t, "[email]\nsendmail = '"+path+"'\nfrom = 'a@h'\nsubject = 'for codes'\nhtml = 'for codes {auth_token}'\n"+portal)
	m := invites()
	if got, err := s.Send(context.Background(), m); err != nil || got != (deliver.Delivery{Channel: deliver.Email, To: "a…e@example.com"}) {
		t.Fatalf("found %+v, %v", got, err)
	}
	data, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	header, texts := parts(t, data)
	if header.Get("Subject") != "Set up your codes for web1" || len(texts) != 1 {
		t.Errorf("found %q, %q", header, texts)
	}
	text := texts["text/plain"]
	for _, want := range []string{"\n" + m.Link + "\n", "alice", "until " + m.Expires.Local().Format("Monday 2 January 2006, 15:04 MST")} {
		if !strings.Contains(text, want) {
			t.Errorf("expected %q in %q", want, text)
		}
	}
}

// A link stays whole, and no name leaves its place.
func TestInvitationTemplates(t *testing.T) {
	parsed, err := config.Parse("f", []byte("[email]\nsmtp = 'smtp://h'\nfrom = 'a@h'\n"+portal+
		"[portal.email]\nsubject = 'x {user} {host}'\ntext = '{link}|{user}|{host}'\nhtml = '<a href=\"{link}\">{user}</a>{host}'\n"))
	if err != nil {
		t.Fatal(err)
	}
	mailer, err := newMailer(parsed.Email)
	if err != nil {
		t.Fatal(err)
	}
	if err := mailer.writeFor(invites(), parsed.Portal); err != nil {
		t.Fatal(err)
	}
	m := invites()
	m.User, m.Host = `<b>{link}`, "web\r\nBcc: eve@example.com"
	m.Link = "https://" + strings.Repeat("long.", 40) + "example.com/l/abc"
	header, texts := parts(t, written(t, mailer, m))
	if header.Get("Subject") != "x <b>{link} web  Bcc: eve@example.com" || len(header["Bcc"]) > 0 {
		t.Errorf("found %q", header)
	}
	if want := m.Link + "|<b>{link}|web  Bcc: eve@example.com"; texts["text/plain"] != want {
		t.Errorf("found  %q\nwanted %q", texts["text/plain"], want)
	}
	if want := `<a href="` + m.Link + `">&lt;b&gt;{link}</a>web  Bcc: eve@example.com`; texts["text/html"] != want {
		t.Errorf("found  %q\nwanted %q", texts["text/html"], want)
	}
}

// What fails shows no link, nor a code's way out for one.
func TestInvitationNotSent(t *testing.T) {
	path, _ := spool(t, "echo \"no $(grep -o '/l/[a-z2-7]*') for abcdefghijklmnopqrstuvwxyz234567\" >&2; exit 69\n")
	email := "[email]\nsendmail = '" + path + "'\nfrom = 'a@h'\n"
	for _, test := range []struct {
		name, config, want string
		change             func(*deliver.Message)
	}{
		{"refused", email + portal, "send a link by email: " + path + ": exit status 69: no /l/… for …", nil},
		{"no [portal]", email, "there is no [portal] in the configuration", nil},
		{"no [email]", portal, "there is no [email] in the configuration", nil},
		{"no address", email + portal, "the person has no email address", func(m *deliver.Message) { m.Email = "" }},
		{"sms", email + portal, "send a link: expected a link of printable ASCII alone", func(m *deliver.Message) { m.Channel = deliver.SMS }},
		{"a code too", email + portal, "expected a link of printable ASCII alone", func(m *deliver.Message) { m.Code = "123456" }},
		{"a space", email + portal, "expected a link of printable ASCII alone", func(m *deliver.Message) { m.Link += " x" }},
		{"too long", email + portal, "expected a link of printable ASCII alone", func(m *deliver.Message) { m.Link += strings.Repeat("x", maxLink) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, _ := newSender(t, test.config)
			m := invites()
			if test.change != nil {
				test.change(&m)
			}
			_, err := s.Send(context.Background(), m)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("found  %v\nwanted %s", err, test.want)
			}
			if strings.Contains(err.Error(), "abcdefgh") {
				t.Error("it shows the link")
			}
		})
	}
}
