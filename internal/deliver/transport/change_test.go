package transport

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/deliver"
)

// changed is a message about a change.
func changed() deliver.Message {
	m := invites()
	m.Link, m.Change, m.At = "", "The device phone was removed.", m.Expires
	return m
}

func TestChangesByMail(t *testing.T) {
	table := func(path string) string {
		return "[email]\nsendmail = '" + path + "'\nfrom = 'a@h'\nsubject = 'for codes'\n" + portal + "manage = true\n"
	}
	asked := invites()
	asked.Manage, asked.Link = true, strings.Replace(asked.Link, "/l/", "/m/", 1)
	reported := changed()
	reported.Report = true
	for _, test := range []struct {
		message deliver.Message
		subject string
		wants   []string
	}{
		{asked, "The page for your codes for web1", []string{"\n" + asked.Link + "\n", "asks for a code"}},
		{changed(), "Your codes for web1 were changed", []string{"The device phone was removed.\n", "for alice on web1", changed().At.Local().Format("Monday 2 January 2006, 15:04 MST")}},
		{reported, "A login of alice on web1 was reported", []string{"The device phone was removed.\n", "otpctl disable alice"}},
	} {
		path, kept := spool(t, keep)
		s, _ := newSender(t, table(path))
		if _, err := s.Send(context.Background(), test.message); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(kept)
		if err != nil {
			t.Fatal(err)
		}
		header, texts := parts(t, data)
		if header.Get("Subject") != test.subject {
			t.Errorf("subject %q, expected %q", header.Get("Subject"), test.subject)
		}
		for _, want := range test.wants {
			if !strings.Contains(texts["text/plain"], want) {
				t.Errorf("expected %q in %q", want, texts["text/plain"])
			}
		}
	}
}

func TestChangeNotSent(t *testing.T) {
	path, _ := spool(t, keep)
	s, _ := newSender(t, "[email]\nsendmail = '"+path+"'\nfrom = 'a@h'\n"+portal+"manage = true\n")
	for name, change := range map[string]func(*deliver.Message){
		"a link too": func(m *deliver.Message) { m.Link = invites().Link },
		"a code too": func(m *deliver.Message) { m.Code = "123456" },
		"sms":        func(m *deliver.Message) { m.Channel = deliver.SMS },
		"too long":   func(m *deliver.Message) { m.Change = strings.Repeat("x", maxChange+1) },
	} {
		m := changed()
		change(&m)
		if _, err := s.Send(context.Background(), m); err == nil || !strings.Contains(err.Error(), "expected a change in a sentence") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
