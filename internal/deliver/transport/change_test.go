package transport

import (
	"context"
	"mime"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/catalogue"
	"github.com/otpgate/otpgate/internal/config"
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
	german, inGerman := asked, changed()
	german.Language, inGerman.Language, inGerman.Change = "de", "de", "Das Gerät phone wurde entfernt."
	klingon := changed()
	klingon.Language = "tlh"
	reported := changed()
	reported.Report = true
	for _, test := range []struct {
		message deliver.Message
		subject string
		wants   []string
	}{
		{asked, "The page for your codes for web1", []string{"\n" + asked.Link + "\n", "asks for a code"}},
		{changed(), "Your codes for web1 were changed", []string{"The device phone was removed.\n", "for alice on web1", changed().At.Local().Format("Monday 2 January 2006, 15:04 MST")}},
		{klingon, "Your codes for web1 were changed", []string{"for alice on web1"}},
		{german, "Die Seite für Ihre Codes für web1", []string{"\n" + asked.Link + "\n", "Sie fragt nach einem Code", "Er gilt bis " + germanDay(t, asked.Expires)}},
		{inGerman, "Ihre Codes für web1 wurden geändert", []string{"Das Gerät phone wurde entfernt.\n", "für alice auf web1", "am " + germanDay(t, changed().At)}},
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
		if subject, err := new(mime.WordDecoder).DecodeHeader(header.Get("Subject")); err != nil || subject != test.subject {
			t.Errorf("subject %q, %v, expected %q", subject, err, test.subject)
		}
		for _, want := range test.wants {
			if !strings.Contains(texts["text/plain"], want) {
				t.Errorf("expected %q in %q", want, texts["text/plain"])
			}
		}
	}
}

func germanDay(t *testing.T, at time.Time) string {
	t.Helper()
	german, err := catalogue.Find("de")
	if err != nil {
		t.Fatal(err)
	}
	return german.Day(at, time.Local)
}

// What an admin has written holds for everybody, around what is in the person's language.
func TestOwnTextInAnotherLanguage(t *testing.T) {
	path, kept := spool(t, keep)
	s, _ := newSender(t, "[email]\nsendmail = '"+path+"'\nfrom = 'a@h'\n"+portal+"manage = true\n[portal.change_email]\nsubject = 'Changes'\ntext = '{what} {time}'\n")
	m := changed()
	m.Language, m.Change = "de", "Das Gerät phone wurde entfernt."
	if _, err := s.Send(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	header, texts := parts(t, data)
	if want := m.Change + " " + germanDay(t, m.At); header.Get("Subject") != "Changes" || !strings.Contains(texts["text/plain"], want) {
		t.Errorf("%q, %q, expected %q", header.Get("Subject"), texts["text/plain"], want)
	}
}

// The English texts of the catalogue are those that the settings have.
func TestSameEnglishTexts(t *testing.T) {
	english, err := catalogue.Find(catalogue.Usual)
	if err != nil {
		t.Fatal(err)
	}
	settings, err := config.Parse("f", []byte("[portal]\nurl = 'https://h'\n"))
	if err != nil {
		t.Fatal(err)
	}
	same := func(word string) string { return "{" + word + "}" }
	for table, own := range map[string]config.PortalEmail{"mail-link": settings.Portal.ManageEmail, "mail-change": config.PortalEmail(settings.Portal.ChangeEmail)} {
		if got := english.Texts[table]; got["subject"].Fill(same) != own.Subject || got["text"].Fill(same) != own.Text {
			t.Errorf("%s is otherwise", table)
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
