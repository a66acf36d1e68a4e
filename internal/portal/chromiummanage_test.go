package portal

import (
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// types goes on by that many tabs, types, and presses Enter, which leads to another page.
func (c *chromium) types(t *testing.T, tabs int, text string) {
	t.Helper()
	for range tabs {
		c.do(t, chromedp.KeyEvent(kb.Tab))
	}
	c.do(t, command(input.InsertText, input.InsertTextParams{Text: text}))
	c.arrives(t, chromedp.KeyEvent(kb.Enter))
}

// opens goes on by that many tabs and opens what is closed there.
func (c *chromium) opens(t *testing.T, tabs int) {
	t.Helper()
	for range tabs {
		c.do(t, chromedp.KeyEvent(kb.Tab))
	}
	c.do(t, chromedp.KeyEvent(kb.Enter))
}

// Somebody without a mouse and without scripts asks for a link, enters, adds a device,
// which the screen's picture sets up, and finds new recovery codes on paper.
func TestChromiumManages(t *testing.T) {
	s := newOwnSite(t)
	c := newChromium(t)
	c.do(t, command(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: 320, Height: 480, DeviceScaleFactor: 1, Mobile: true}))
	expects := func(texts ...string) string {
		t.Helper()
		page := c.html(t)
		for _, text := range texts {
			if !strings.Contains(page, text) {
				t.Fatalf("expected %q in\n%s", text, page)
			}
		}
		if c.width(t) > 320 {
			t.Errorf("the page is %.0f wide:\n%s", c.width(t), page)
		}
		return page
	}
	c.do(t, chromedp.Navigate(s.server.URL+askPath))
	expects(title("Your devices and logins"))
	c.types(t, 1, "alice")
	expects(title("Look for the mail"))
	mails := s.sent()
	c.do(t, chromedp.Navigate(strings.Replace(mails[len(mails)-1].Link, "https://otp.example.com", s.server.URL, 1)))
	expects(title("Your devices and logins, a…e"))
	c.types(t, 1, s.codeOf(t, "phone"))
	expects(title("Devices and logins of alice"), "<strong>phone</strong>")
	// The phone's own form comes first.
	c.opens(t, 2)
	c.types(t, 1, "tablet")
	expects(title("Set up your app"))
	code := c.seen(t, s.site)
	// The link for the app comes before the field.
	c.types(t, 2, code)
	expects("The device counts from now on.", "<strong>phone</strong>", "<strong>tablet</strong>")
	c.opens(t, 4)
	c.types(t, 1, s.codeOf(t, "tablet"))
	page := expects(title("New recovery codes"))
	codes := inCode.FindAllStringSubmatch(page, -1)
	if len(codes) != 10 {
		t.Fatal(page)
	}
	c.prints(t, codes)
	if !s.logsIn(codes[0][1]) || !s.logsIn(s.codeOf(t, "tablet")) {
		t.Error("a new recovery code, or the new device, does not log in")
	}
	c.goesBack(t)
	if page := c.html(t); inCode.MatchString(page) {
		t.Errorf("the back button shows\n%s", page)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.besides, s.server.URL+"/favicon.ico")
	if len(c.besides) != 1 || !c.besides[s.server.URL+stylePath] {
		t.Errorf("it asks for %v beside the pages", c.besides)
	}
	if s.reported() != "" {
		t.Error(s.reported())
	}
}

// prints expects each code on paper.
func (c *chromium) prints(t *testing.T, codes [][]string) {
	t.Helper()
	paper := c.paper(t)
	for _, one := range codes {
		if !strings.Contains(paper, one[1]) {
			t.Errorf("the recovery code %s is not on paper:\n%s", one[1], paper)
		}
	}
}
