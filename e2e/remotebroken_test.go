package e2e

import (
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/deliver/twiliotest"
)

// loss is a way in which a server is lost, and comes back.
type loss struct {
	name       string
	lose, back func(t testing.TB, s *machine.Server)
	// silent says that nothing tells a client: its front's own clock ends the login.
	silent bool
}

var losses = []loss{
	{"killed", func(_ testing.TB, s *machine.Server) {
		s.Gateway.Kill()
		s.Verifier.Kill()
	}, func(t testing.TB, s *machine.Server) {
		s.StartVerifier(t)
		s.StartGateway(t)
	}, false},
	{"stopped", func(t testing.TB, s *machine.Server) {
		s.Gateway.Signal(t, syscall.SIGSTOP)
		s.Verifier.Signal(t, syscall.SIGSTOP)
	}, func(t testing.TB, s *machine.Server) {
		s.Verifier.Signal(t, syscall.SIGCONT)
		s.Gateway.Signal(t, syscall.SIGCONT)
	}, true},
	{"cut off", func(t testing.TB, s *machine.Server) {
		s.In.Cut(t)
		// It goes on, and what it says is lost.
		s.Gateway.Signal(t, syscall.SIGCONT)
	}, func(t testing.TB, s *machine.Server) { s.In.Mend(t) }, false},
}

// brokenFleet is a fleet whose servers send text messages, each by a gateway of its own.
type brokenFleet struct {
	servers [2]*machine.Server
	clients [3]machine.Site
	texts   [2]*hosts.Gateway
	loss
}

func newBrokenFleet(t *testing.T, how loss) *brokenFleet {
	t.Helper()
	f := &brokenFleet{loss: how}
	f.servers, f.clients = ownFleet(t, "r-broken-"+strings.ReplaceAll(how.name, " ", "-"), "", machine.Client{})
	f.sendTexts(t)
	return f
}

// sendTexts has each server send text messages.
func (f *brokenFleet) sendTexts(t *testing.T) {
	t.Helper()
	for i, server := range f.servers {
		server.In.Within(t, func() { f.texts[i] = hosts.StartGatewayOnLoopback(t) })
		server.Configure(t, "[totp]\nwindow = 3\n"+f.texts[i].Settings(""))
	}
}

// sent is how many messages each server has asked for, and how many were taken.
type sent [2]struct{ asked, taken int }

func (f *brokenFleet) sent() (all sent) {
	for i, texts := range f.texts {
		all[i].asked, all[i].taken = texts.Requests(), len(texts.Messages())
	}
	return all
}

// asked is the server that has asked for a message, once one has.
func (f *brokenFleet) asked(t *testing.T, before sent) int {
	t.Helper()
	asked := -1
	machine.Until(t, "a server has a message sent", func() bool {
		for i, texts := range f.texts {
			if texts.Requests() > before[i].asked {
				asked = i
			}
		}
		return asked >= 0
	})
	return asked
}

// code is the one that a server has sent.
func (f *brokenFleet) code(t *testing.T, server int, before sent) string {
	t.Helper()
	return texted(t, f.texts[server], before[server].taken+1)
}

// ended waits for the end of a login, in which nobody may be asked any more.
func (f *brokenFleet) ended(t *testing.T, login *hosts.Host) {
	t.Helper()
	event := hosts.Event{Kind: "tell"}
	for event.Kind == "tell" {
		if f.silent {
			event = login.HourLater(t)
		} else {
			event = login.Next(t)
		}
	}
	if event.Kind != "verdict" || event.Code == hosts.PAMSuccess {
		t.Fatalf("%+v, expected a denial", event)
	}
}

// good is a whole login with a code that is sent.
func (f *brokenFleet) good(t *testing.T, client machine.Site, p *machine.Person) {
	t.Helper()
	before := f.sent()
	login := beginAt(t, client, p)
	login.Prompt(t, "Verification code")
	f.finish(t, login, before, p)
}

// finish answers the prompt of a login with the code that was sent for it.
func (f *brokenFleet) finish(t *testing.T, login *hosts.Host, before sent, p *machine.Person) {
	t.Helper()
	by := f.asked(t, before)
	login.Answer(f.code(t, by, before))
	if event := login.Next(t); event.Kind != "verdict" || event.Code != hosts.PAMSuccess {
		t.Fatalf("%s: %+v, expected to be in\n%s", p.Name, event, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
	}
}

// moment is how far a login has come when the server is lost.
type moment struct {
	name string
	// reach begins a login of p, and returns once it is there. before are the messages
	// until then.
	reach func(t *testing.T, f *brokenFleet, p *machine.Person, before sent) (login *hosts.Host, server int)
	// other says that the other server takes it.
	other bool
}

var moments = []moment{
	{"before it takes the login", func(t *testing.T, f *brokenFleet, p *machine.Person, _ sent) (*hosts.Host, int) {
		t.Helper()
		// This one is asked first then, by the connection that is kept.
		known := machine.WithoutUser("known").Enroll(t, f.servers[0].Users)
		if !remoteLogin(t, f.clients[0], known, known.Code(t, 0)) {
			t.Fatalf("not in:\n%s", machine.Text(machine.Log.Lines("user="+known.Name+" ")))
		}
		server := tookBy(t, f.servers, f.clients[0], known)
		f.servers[server].Gateway.Signal(t, syscall.SIGSTOP)
		login := beginAt(t, f.clients[0], p)
		machine.Until(t, "the server is asked", func() bool { return f.servers[server].Unread(t) })
		return login, server
	}, true},
	{"once it has taken the login", func(t *testing.T, f *brokenFleet, p *machine.Person, before sent) (*hosts.Host, int) {
		t.Helper()
		// It waits for its message to be taken, before it asks for the code.
		ended := make(chan struct{})
		t.Cleanup(func() { close(ended) })
		slow := func(_ http.ResponseWriter, r *http.Request, _ twiliotest.Message) bool {
			select {
			case <-ended:
			case <-r.Context().Done():
			}
			return false
		}
		for _, texts := range f.texts {
			texts.Next(slow)
		}
		login := beginAt(t, f.clients[0], p)
		server := f.asked(t, before)
		f.texts[1-server].Next()
		return login, server
	}, false},
	{"at the prompt", func(t *testing.T, f *brokenFleet, p *machine.Person, before sent) (*hosts.Host, int) {
		t.Helper()
		login := beginAt(t, f.clients[0], p)
		login.Prompt(t, "Verification code")
		return login, f.asked(t, before)
	}, false},
	{"before its verdict", func(t *testing.T, f *brokenFleet, p *machine.Person, before sent) (*hosts.Host, int) {
		t.Helper()
		login := beginAt(t, f.clients[0], p)
		login.Prompt(t, "Verification code")
		server := f.asked(t, before)
		code := f.code(t, server, before)
		f.servers[server].Gateway.Signal(t, syscall.SIGSTOP)
		login.Answer(code)
		machine.Until(t, "the answer has reached the server", func() bool { return f.servers[server].Unread(t) })
		return login, server
	}, false},
}

// However a server is lost, and however far a login has come by then: nobody is asked
// twice, one message goes out, a dialogue that broke lets nobody in, and the other
// server decides the next login on each client.
func TestRemoteServerFails(t *testing.T) {
	t.Parallel()
	for _, how := range losses {
		t.Run(how.name, func(t *testing.T) {
			t.Parallel()
			f := newBrokenFleet(t, how)
			for _, when := range moments {
				t.Log(when.name)
				f.fails(t, when)
			}
		})
	}
}

func (f *brokenFleet) fails(t *testing.T, when moment) {
	p := addressed(t, machine.WithoutUser("rem"), f.servers[0].Site, "sms")
	before := f.sent()
	login, lost := when.reach(t, f, p, before)
	f.lose(t, f.servers[lost])
	if when.other {
		login.Prompt(t, "Verification code")
		if by := f.asked(t, before); by == lost {
			t.Error("the server that was lost has sent a code")
		}
		f.finish(t, login, before, p)
	} else {
		if when.name == "at the prompt" {
			login.Answer(f.code(t, lost, before))
		}
		f.ended(t, login)
	}
	after := f.sent()
	if n := after[0].asked + after[1].asked - before[0].asked - before[1].asked; n != 1 {
		t.Errorf("%d messages were asked for, expected one", n)
	}
	for _, client := range f.clients {
		f.good(t, client, addressed(t, machine.WithoutUser("next"), f.servers[0].Site, "sms"))
	}
	if f.sent()[lost].asked != after[lost].asked {
		t.Error("the server that was lost has sent a code")
	}
	f.back(t, f.servers[lost])
}
