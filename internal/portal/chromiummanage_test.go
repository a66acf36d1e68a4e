package portal

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/otpgate/otpgate/internal/browsertest"
)

// fillsIn goes on by that many tabs, types, and presses Enter, which leads to another page.
func fillsIn(t *testing.T, b *browsertest.Browser, tabs int, text string) {
	t.Helper()
	for range tabs {
		b.Do(t, chromedp.KeyEvent(kb.Tab))
	}
	b.Do(t, browsertest.Types(text))
	b.Arrives(t, chromedp.KeyEvent(kb.Enter))
}

// unfolds goes on by that many tabs and opens what is closed there.
func unfolds(t *testing.T, b *browsertest.Browser, tabs int) {
	t.Helper()
	for range tabs {
		b.Do(t, chromedp.KeyEvent(kb.Tab))
	}
	b.Do(t, chromedp.KeyEvent(kb.Enter))
}

// Somebody without a mouse and without scripts asks for a link, enters, adds a device,
// which the screen's picture sets up, and finds new recovery codes on paper.
func TestChromiumManages(t *testing.T) {
	s := newOwnSite(t)
	c := browsertest.Start(t, browsertest.Options{})
	c.Do(t, browsertest.Window(320, 480, true, false)...)
	expects := func(texts ...string) string {
		t.Helper()
		page := c.HTML(t)
		for _, text := range texts {
			if !strings.Contains(page, text) {
				t.Fatalf("expected %q in\n%s", text, page)
			}
		}
		if c.Width(t) > 320 {
			t.Errorf("the page is %.0f wide:\n%s", c.Width(t), page)
		}
		return page
	}
	c.Opens(t, s.server.URL+askPath)
	expects(title("Your devices and logins"))
	fillsIn(t, c, 1, "alice")
	expects(title("Look for the mail"))
	mails := s.sent()
	c.Opens(t, strings.Replace(mails[len(mails)-1].Link, "https://otp.example.com", s.server.URL, 1))
	expects(title("Your devices and logins, a…e"))
	fillsIn(t, c, 1, s.codeOf(t, "phone"))
	expects(title("Devices and logins of alice"), ">phone</strong>")
	// The phone's own form comes first.
	unfolds(t, c, 2)
	fillsIn(t, c, 1, "tablet")
	expects(title("Set up your app"))
	code := s.seen(t, c)
	// The link for the app comes before the field.
	fillsIn(t, c, 2, code)
	expects("The device counts from now on.", ">phone</strong>", ">tablet</strong>")
	unfolds(t, c, 4)
	fillsIn(t, c, 1, s.codeOf(t, "phone"))
	page := expects(title("New recovery codes"))
	codes := inCode.FindAllStringSubmatch(page, -1)
	if len(codes) != 10 {
		t.Fatal(page)
	}
	prints(t, c, codes)
	if !s.logsIn(codes[0][1]) || !s.logsIn(s.codeOf(t, "tablet")) {
		t.Error("a new recovery code, or the new device, does not log in")
	}
	c.GoesBack(t)
	if page := c.HTML(t); inCode.MatchString(page) {
		t.Errorf("the back button shows\n%s", page)
	}
	_, besides := c.Asked()
	delete(besides, s.server.URL+"/favicon.ico")
	if len(besides) != 1 || besides[s.server.URL+stylePath] == 0 {
		t.Errorf("it asks for %v beside the pages", besides)
	}
	if s.reported() != "" {
		t.Error(s.reported())
	}
}

// prints expects each code on paper.
func prints(t *testing.T, c *browsertest.Browser, codes [][]string) {
	t.Helper()
	paper := c.Paper(t)
	for _, one := range codes {
		if !strings.Contains(paper, one[1]) {
			t.Errorf("the recovery code %s is not on paper:\n%s", one[1], paper)
		}
	}
}
