package portal

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/otpgate/otpgate/internal/browsertest"
	"github.com/otpgate/otpgate/internal/gate/gatetest"
	"github.com/otpgate/otpgate/internal/portalwire"
)

// seen is the key that a camera reads from the screen, as the code of an app now.
func (s *site) seen(t *testing.T, b *browsertest.Browser) string {
	t.Helper()
	return gatetest.CodeOf(t, b.QR(t), s.Clock)
}

func title(text string) string { return "<h1>" + text + "</h1>" }

// Somebody without a mouse and without scripts enrolls, in a narrow dark window, and
// finds all recovery codes on paper; whoever uses the browser then finds nothing.
func TestChromium(t *testing.T) {
	s := newSite(t)
	link := s.invite(t, false)
	log := s.Lines()
	b := browsertest.Start(t, browsertest.Options{})
	b.Opens(t, s.server.URL+link)
	if text := b.HTML(t); !strings.Contains(text, title("Set up codes for a…e")) || s.Lines() != log {
		t.Fatalf("%s\n%s", text, s.Lines())
	}
	b.Arrives(t, chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter))
	if text := b.HTML(t); !strings.Contains(text, title("Set up your app")) {
		t.Fatal(text)
	}
	code := s.seen(t, b)
	b.Do(t, browsertest.Window(320, 480, true, true)...)
	if again := s.seen(t, b); again != code || b.Width(t) > 320 {
		t.Errorf("in a narrow dark window the page is %.0f wide, and its key makes %s, expected %s", b.Width(t), again, code)
	}
	// The link for the app comes before the field.
	b.Do(t, chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Tab), browsertest.Types(code))
	b.Arrives(t, chromedp.KeyEvent(kb.Enter))
	text := b.HTML(t)
	codes := inCode.FindAllStringSubmatch(text, -1)
	if !strings.Contains(text, title("Your codes are set up")) || len(codes) != 10 || b.Width(t) > 320 {
		t.Fatalf("%.0f wide:\n%s", b.Width(t), text)
	}
	paper := b.Paper(t)
	for _, one := range codes {
		if !strings.Contains(paper, one[1]) {
			t.Errorf("the recovery code %s is not on paper:\n%s", one[1], paper)
		}
	}
	s.Clock = s.Clock.Add(time.Minute)
	if !s.logsIn(codes[0][1]) {
		t.Error("a recovery code does not log in")
	}
	b.GoesBack(t)
	text = b.HTML(t)
	if !strings.Contains(text, title("There is nothing to set up here")) || strings.Contains(text, "otpauth:") || inCode.MatchString(text) {
		t.Errorf("the back button shows\n%s", text)
	}
	b.Opens(t, s.server.URL+link)
	if text := b.HTML(t); !strings.Contains(text, title("This link has been used")) {
		t.Error(text)
	}
	_, besides := b.Asked()
	delete(besides, s.server.URL+"/favicon.ico") // by itself, once: there is none, for good
	if len(besides) != 1 || besides[s.server.URL+stylePath] == 0 {
		t.Errorf("it asks for %v beside the pages", besides)
	}
	if s.reported() != "" {
		t.Error(s.reported())
	}
}

// A page of somebody else's that has ours in a frame, to have people press its button
// without knowing, has nothing there.
func TestFraming(t *testing.T) {
	s := newSite(t)
	link := s.invite(t, false)
	serve := func(text string) string {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte(text))
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	framed := serve("<p>This may be in a frame.")
	frame := func(url string) string { return `<iframe src="` + url + `"></iframe>` }
	b := browsertest.Start(t, browsertest.Options{})
	b.Opens(t, serve(frame(framed)+frame(s.server.URL+link)+frame(s.server.URL+"/setup")))
	if text := b.Texts(t); !strings.Contains(text, "This may be in a frame.") || strings.Contains(text, "Set up") || strings.Contains(text, "Begin") || strings.Contains(text, "nothing to set up") {
		t.Errorf("the frames show\n%s", text)
	}
	if asked := s.last(); asked.Op != portalwire.Open {
		t.Errorf("the frame asked for %v, expected the link", asked)
	}
}
