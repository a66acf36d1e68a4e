package portalanswer

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/gate/enginetest"
	"github.com/otpgate/otpgate/internal/portalwire"
)

// mailer puts links into a channel.
type mailer chan deliver.Message

func (m mailer) Send(_ context.Context, message deliver.Message) (deliver.Delivery, error) {
	m <- message
	return deliver.Delivery{Channel: deliver.Email, To: deliver.MaskEmail(message.Email)}, nil
}

// managing is a site on which alice, who has a phone, looks after what is hers.
func managing(t *testing.T) (*site, mailer, *Later) {
	t.Helper()
	s := newSite(t)
	setup := s.ask(t, portalwire.Request{Op: portalwire.Begin, Link: s.invite(t, false)}).Setup
	if s.ask(t, portalwire.Request{Op: portalwire.Confirm, BrowserSession: setup.BrowserSession, First: s.code(t, setup, 0)}).Enrolled == nil {
		t.Fatal("alice is not enrolled")
	}
	enginetest.Change(t, s.engine, "alice", func(person *account.Person) { person.Email = "alice@example.com" })
	settings, err := config.Parse("f", []byte("[email]\nsmtp = 'smtps://h'\nfrom = 'a@h'\n[portal]\nurl = 'https://otp.example.com'\nmanage = true\n"))
	if err != nil {
		t.Fatal(err)
	}
	mails, later := make(mailer, 100), &Later{}
	s.engine.Config.Portal, s.engine.Sender = settings.Portal, mails
	t.Cleanup(func() { later.End(context.Background()) })
	s.serve(t, "manage.sock", func(ctx context.Context, request portalwire.Request) (portalwire.Answer, error) {
		return AnswerAll(ctx, s.engine, request, later)
	})
	return s, mails, later
}

// device is what a device of alice's shows, a step later at each call.
func (s *site) device(t *testing.T, id string) string {
	t.Helper()
	s.Clock = s.Clock.Add(30 * time.Second)
	return enginetest.DeviceCode(t, s.engine, "alice", id, s.Clock)
}

// All that somebody enrolled does, as the page asks for it.
func TestManageByThePage(t *testing.T) {
	s, mails, _ := managing(t)
	for _, name := range []string{"nobody", "alice"} {
		if answer := s.ask(t, portalwire.Request{Op: portalwire.AskLink, Manage: portalwire.Manage{User: name}}); answer.Managed == nil || !answer.Managed.Asked {
			t.Fatalf("%+v", answer)
		}
	}
	link := strings.TrimPrefix((<-mails).Link, "https://otp.example.com/m/")
	if page := s.ask(t, portalwire.Request{Op: portalwire.OpenManage, Link: link}).Page; page == nil || page.State != portalwire.Ready || page.Name != "a…e" {
		t.Fatalf("%+v", page)
	}
	s.refused(t, portalwire.Request{Op: portalwire.Open, Link: link}, "")
	s.refused(t, portalwire.Request{Op: portalwire.Begin, Link: link}, portalwire.Unknown)
	s.refused(t, portalwire.Request{Op: portalwire.Enter, Link: link, Current: "12"}, portalwire.WrongCurrent)
	entered := s.ask(t, portalwire.Request{Op: portalwire.Enter, Link: link, Current: s.device(t, "phone")}).Managed.Entered
	s.refused(t, portalwire.Request{Op: portalwire.Enter, Link: link, Current: s.device(t, "phone")}, portalwire.Used)
	show := func() *portalwire.Overview {
		t.Helper()
		return s.ask(t, portalwire.Request{Op: portalwire.Show, BrowserSession: entered.BrowserSession}).Managed.Overview
	}
	if o := show(); o.User != "alice" || len(o.Devices) != 1 || o.RecoveryLeft != 10 {
		t.Errorf("%+v", o)
	}
	change := func(do portalwire.Doing, id, name, first, current string) portalwire.Request {
		return portalwire.Request{Op: portalwire.Change, BrowserSession: entered.BrowserSession, First: first, Current: current, Manage: portalwire.Manage{Do: do, ID: id, Name: name}}
	}
	s.refused(t, change(portalwire.EndSession, "x", "", "", ""), portalwire.NotFound)
	s.refused(t, change(portalwire.AddDevice, "", "a b", "", ""), portalwire.BadName)
	s.refused(t, change(portalwire.AddDevice, "", "phone", "", ""), portalwire.TakenName)
	setup := s.ask(t, change(portalwire.AddDevice, "", "tablet", "", "")).Setup
	if again := s.ask(t, change(portalwire.ShowDevice, "", "", "", "")).Setup; *again != *setup || setup.Needs || setup.BrowserSession != "" {
		t.Error("another key is shown")
	}
	s.refused(t, change(portalwire.Confirmed, "", "", "12", ""), portalwire.MalformedFirst)
	if done := s.ask(t, change(portalwire.Confirmed, "", "", s.code(t, setup, 0), "")).Managed.Done; done.Do != portalwire.Confirmed || len(done.RecoveryCodes) != 0 {
		t.Errorf("%v", done)
	}
	s.refused(t, change(portalwire.Rename, "tablet", "phone", "", ""), portalwire.TakenName)
	_ = s.ask(t, change(portalwire.Rename, "tablet", "laptop", "", ""))
	s.refused(t, change(portalwire.Remove, "phone", "", "", "12"), portalwire.WrongCurrent)
	s.refused(t, change(portalwire.Remove, "phone", "", "", s.device(t, "laptop")), portalwire.YoungDevice)
	codes := s.ask(t, change(portalwire.Recovery, "", "", "", s.device(t, "phone"))).Managed.Done.RecoveryCodes
	if len(codes) != 10 {
		t.Fatalf("%d codes", len(codes))
	}
	_ = s.ask(t, change(portalwire.Remove, "phone", "", "", s.device(t, "phone")))
	s.refused(t, change(portalwire.Report, "x", "", "", ""), portalwire.NotFound)
	if o := show(); len(o.Devices) != 1 || o.Devices[0].ID != "laptop" {
		t.Errorf("%+v", o)
	}
	for _, want := range []string{"The device tablet was added.", "The device tablet is called laptop now.", "New recovery codes were made. The old ones are good no longer.", "The device phone was removed."} {
		if mail := <-mails; mail.Change != want {
			t.Errorf("mailed %q, expected %q", mail.Change, want)
		}
	}
	_ = s.ask(t, change(portalwire.Leave, "", "", "", ""))
	s.refused(t, portalwire.Request{Op: portalwire.Show, BrowserSession: entered.BrowserSession}, portalwire.SessionEnded)
}

// Where manage is not true, nothing of it is answered.
func TestManageIsOff(t *testing.T) {
	s, mails, _ := managing(t)
	off := *s.engine.Config.Portal
	off.Manage = false
	s.engine.Config.Portal = &off
	for _, request := range []portalwire.Request{
		{Op: portalwire.AskLink, Manage: portalwire.Manage{User: "alice"}}, {Op: portalwire.OpenManage, Link: "a"}, {Op: portalwire.Enter, Link: "a"},
		{Op: portalwire.Show, BrowserSession: "a"}, {Op: portalwire.Change, BrowserSession: "a", Manage: portalwire.Manage{Do: portalwire.Leave}},
	} {
		request.Remote = home
		if _, err := portalwire.Ask(t.Context(), s.socket, request); err == nil {
			t.Errorf("%s is answered", request.Op)
		}
		if err := <-s.ended; err == nil || !strings.Contains(err.Error(), "manage is not true") {
			t.Errorf("%s: %v", request.Op, err)
		}
	}
	if len(mails) != 0 {
		t.Error("a link is mailed")
	}
}
