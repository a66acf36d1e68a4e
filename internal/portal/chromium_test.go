package portal

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/otpgate/otpgate/internal/gate/gatetest"
	"github.com/otpgate/otpgate/internal/testwait"
)

// chromium is a real browser with one window, in which no script runs.
type chromium struct {
	ctx context.Context
	mu  sync.Mutex
	// besides are the addresses of what it asked for beside pages.
	besides map[string]bool
}

func newChromium(t *testing.T) *chromium {
	t.Helper()
	home := t.TempDir() // which is removed once the browser has ended
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, // root has none, and the page is our own
		chromedp.Flag("ignore-certificate-errors", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("accept-lang", "en"),
		chromedp.Env("HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home, "XDG_DATA_HOME="+home, "XDG_RUNTIME_DIR="+home, "TMPDIR="+home),
		chromedp.ModifyCmdFunc(alone),
		chromedp.WSURLReadTimeout(time.Hour)) // go test's own time is shorter
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(end)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	t.Cleanup(func() { _ = chromedp.Cancel(ctx) })
	c := &chromium{ctx: ctx, besides: map[string]bool{}}
	err := chromedp.Listen(ctx, func(event any) {
		if sent, is := event.(*network.EventRequestWillBeSent); is && sent.Type != network.ResourceTypeDocument {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.besides[sent.Request.URL] = true
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	c.do(t, command(network.Enable, network.EnableParams{}),
		command(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}),
		command(emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}))
	return c
}

// alone has a browser run in a PID namespace of its own: none of its processes outlives
// it, nor this one.
func alone(cmd *exec.Cmd) {
	cmd.Args = append([]string{"unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--", cmd.Path}, cmd.Args[1:]...)
	cmd.Path, cmd.Err = "/usr/bin/unshare", nil
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

type action = chromedp.Action[chromedp.Void]

// command is a command of the protocol that returns nothing.
func command[P any](c cdp.Command[P, cdp.Empty], params P) action {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, c, params)
		return err
	})
}

func (c *chromium) do(t *testing.T, actions ...action) {
	t.Helper()
	if err := chromedp.Do(c.ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// asked is what the browser answers a command.
func asked[P, R any](c *chromium, command cdp.Command[P, R], params P) (R, error) {
	return chromedp.Run(c.ctx, func(ctx context.Context, target *chromedp.Target) (R, error) {
		return cdp.Call(ctx, target, command, params)
	})
}

// ask expects an answer.
func ask[P, R any](t *testing.T, c *chromium, command cdp.Command[P, R], params P) R {
	t.Helper()
	result, err := asked(c, command, params)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// arrives does something that leads to another page, and waits for that.
func (c *chromium) arrives(t *testing.T, actions ...action) {
	t.Helper()
	if _, err := chromedp.RunResponse(c.ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// html is the page as the browser has it.
func (c *chromium) html(t *testing.T) (text string) {
	t.Helper()
	// A page that is leaving has no elements any more.
	testwait.Until(t, "the browser has a page", func() bool {
		all := int64(-1)
		document, err := asked(c, dom.GetDocument, dom.GetDocumentParams{Depth: &all})
		if err != nil {
			return c.alive(t)
		}
		outer, err := asked(c, dom.GetOuterHTML, dom.GetOuterHTMLParams{NodeID: document.Root.NodeID})
		text = outer.OuterHTML
		return err == nil || c.alive(t)
	})
	return text
}

// alive is false, or the end of the test if there is no browser any more.
func (c *chromium) alive(t *testing.T) bool {
	t.Helper()
	if err := c.ctx.Err(); err != nil {
		t.Fatal(err)
	}
	return false
}

// seen is the key that a camera reads from the screen, as the code of an app now.
func (c *chromium) seen(t *testing.T, s *site) string {
	t.Helper()
	screen, err := chromedp.Run(c.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "zbarimg", "--quiet", "-Sdisable", "-Sqrcode.enable", "--raw", "-")
	cmd.Stdin = bytes.NewReader(screen)
	uri, err := cmd.Output()
	if err != nil {
		t.Fatalf("no code is read from the screen: %v", err)
	}
	return gatetest.CodeOf(t, strings.TrimSpace(string(uri)), s.Clock)
}

// width is how wide the page is, which may be more than the window.
func (c *chromium) width(t *testing.T) float64 {
	t.Helper()
	return ask(t, c, page.GetLayoutMetrics, cdp.Empty{}).CSSContentSize.Width
}

func title(text string) string { return "<h1>" + text + "</h1>" }

// Somebody without a mouse and without scripts enrolls, in a narrow dark window, and
// finds all recovery codes on paper; whoever uses the browser then finds nothing.
func TestChromium(t *testing.T) {
	s := newSite(t)
	link := s.invite(t, false)
	log := s.Lines()
	c := newChromium(t)
	c.do(t, chromedp.Navigate(s.server.URL+link))
	if text := c.html(t); !strings.Contains(text, title("Set up codes for a…e")) || s.Lines() != log {
		t.Fatalf("%s\n%s", text, s.Lines())
	}
	c.arrives(t, chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter))
	if text := c.html(t); !strings.Contains(text, title("Set up your app")) {
		t.Fatal(text)
	}
	code := c.seen(t, s)
	dark := &emulation.MediaFeature{Name: "prefers-color-scheme", Value: "dark"}
	c.do(t, command(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: 320, Height: 480, DeviceScaleFactor: 1, Mobile: true}),
		command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{dark}}))
	if again := c.seen(t, s); again != code || c.width(t) > 320 {
		t.Errorf("in a narrow dark window the page is %.0f wide, and its key makes %s, expected %s", c.width(t), again, code)
	}
	// The link for the app comes before the field.
	c.do(t, chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Tab), command(input.InsertText, input.InsertTextParams{Text: code}))
	c.arrives(t, chromedp.KeyEvent(kb.Enter))
	text := c.html(t)
	codes := inCode.FindAllStringSubmatch(text, -1)
	if !strings.Contains(text, title("Your codes are set up")) || len(codes) != 10 || c.width(t) > 320 {
		t.Fatalf("%.0f wide:\n%s", c.width(t), text)
	}
	paper := c.paper(t)
	for _, one := range codes {
		if !strings.Contains(paper, one[1]) {
			t.Errorf("the recovery code %s is not on paper:\n%s", one[1], paper)
		}
	}
	s.Clock = s.Clock.Add(time.Minute)
	if !s.logsIn(codes[0][1]) {
		t.Error("a recovery code does not log in")
	}
	c.goesBack(t)
	text = c.html(t)
	if !strings.Contains(text, title("There is nothing to set up here")) || strings.Contains(text, "otpauth:") || inCode.MatchString(text) {
		t.Errorf("the back button shows\n%s", text)
	}
	c.do(t, chromedp.Navigate(s.server.URL+link))
	if text := c.html(t); !strings.Contains(text, title("This link has been used")) {
		t.Error(text)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.besides, s.server.URL+"/favicon.ico") // by itself, once: there is none, for good
	if len(c.besides) != 1 || !c.besides[s.server.URL+stylePath] {
		t.Errorf("it asks for %v beside the pages", c.besides)
	}
	if s.reported() != "" {
		t.Error(s.reported())
	}
}

// paper is the text of the page when it is printed.
func (c *chromium) paper(t *testing.T) string {
	t.Helper()
	pdf, err := chromedp.Run(c.ctx, chromedp.PrintToPDF())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "pdftotext", "-", "-")
	cmd.Stdin = bytes.NewReader(pdf)
	text, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// goesBack presses the back button. A page from the browser's memory is one too.
func (c *chromium) goesBack(t *testing.T) {
	t.Helper()
	history := ask(t, c, page.GetNavigationHistory, cdp.Empty{})
	if history.CurrentIndex < 1 {
		t.Fatalf("there is no page before this one: %+v", history)
	}
	to, from := history.Entries[history.CurrentIndex-1].ID, history.Entries[history.CurrentIndex].Title
	c.do(t, command(page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: to}))
	testwait.Until(t, "the browser is back", func() bool {
		// On its way it may be at no page.
		now, err := asked(c, page.GetNavigationHistory, cdp.Empty{})
		if err != nil {
			return c.alive(t)
		}
		at := now.Entries[now.CurrentIndex]
		return at.ID == to && at.Title != from && strings.Contains(c.html(t), "</main>")
	})
}
