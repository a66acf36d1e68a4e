// Package browsertest has tests look at pages in a real browser, Debian's Chromium.
//
// The entry point is [Start]. It promises that no process of the browser's outlives the
// test, that nothing is read or written in the home of whoever tests, and that no page's
// script runs unless the test says so.
package browsertest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os/exec"
	"slices"
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

	"github.com/otpgate/otpgate/internal/testwait"
)

// Options vary a browser. The zero value runs no script and knows no host by name.
type Options struct {
	// Scripts has those of pages run, and of tests.
	Scripts bool
	// Hosts are what the browser finds at which address and port, such as
	// otp.example.com at 127.0.0.1:8443.
	Hosts map[string]string
}

// Browser is one with one window.
type Browser struct {
	ctx context.Context
	mu  sync.Mutex
	// besides are the addresses of what it asked for beside pages, and how often.
	besides map[string]int
	pages   int
}

// Start starts a browser, which ends with t.
func Start(t testing.TB, options Options) *Browser {
	t.Helper()
	home := t.TempDir() // which is removed once the browser has ended
	flags := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, // root has none, and the pages are our own
		chromedp.Flag("ignore-certificate-errors", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("accept-lang", "en"),
		chromedp.Env("HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home, "XDG_DATA_HOME="+home, "XDG_RUNTIME_DIR="+home, "TMPDIR="+home),
		chromedp.ModifyCmdFunc(alone),
		chromedp.WSURLReadTimeout(time.Hour)) // go test's own time is shorter
	if len(options.Hosts) > 0 {
		var rules []string
		for _, host := range slices.Sorted(maps.Keys(options.Hosts)) {
			rules = append(rules, "MAP "+host+" "+options.Hosts[host])
		}
		flags = append(flags, chromedp.Flag("host-resolver-rules", strings.Join(rules, ",")))
	}
	allocator, end := chromedp.NewExecAllocator(context.Background(), flags...)
	t.Cleanup(end)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	t.Cleanup(func() { _ = chromedp.Cancel(ctx) })
	b := &Browser{ctx: ctx, besides: map[string]int{}}
	err := chromedp.Listen(ctx, func(event any) {
		if sent, ok := event.(*network.EventRequestWillBeSent); ok {
			b.note(sent)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Do(t, Command(network.Enable, network.EnableParams{}),
		Command(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !options.Scripts}),
		Command(emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}))
	return b
}

// alone has a browser run in a PID namespace of its own: none of its processes outlives
// it, nor this one.
func alone(cmd *exec.Cmd) {
	cmd.Args = append([]string{"unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--", cmd.Path}, cmd.Args[1:]...)
	cmd.Path, cmd.Err = "/usr/bin/unshare", nil
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

func (b *Browser) note(sent *network.EventRequestWillBeSent) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if sent.Type == network.ResourceTypeDocument {
		b.pages++
		return
	}
	b.besides[sent.Request.URL]++
}

// Asked is how many pages it has asked for since the last call, and for what else how
// often.
func (b *Browser) Asked() (pages int, besides map[string]int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	pages, besides = b.pages, b.besides
	b.pages, b.besides = 0, map[string]int{}
	return pages, besides
}

// Action is something that the browser does.
type Action = chromedp.Action[chromedp.Void]

// Command is a command of the protocol that returns nothing.
func Command[P any](c cdp.Command[P, cdp.Empty], params P) Action {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, c, params)
		return err
	})
}

// Do does one action after the other.
func (b *Browser) Do(t testing.TB, actions ...Action) {
	t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// ask is what the browser answers a command.
func ask[P, R any](b *Browser, command cdp.Command[P, R], params P) (R, error) {
	return chromedp.Run(b.ctx, func(ctx context.Context, target *chromedp.Target) (R, error) {
		return cdp.Call(ctx, target, command, params)
	})
}

// Ask expects an answer to a command.
func Ask[P, R any](t testing.TB, b *Browser, command cdp.Command[P, R], params P) R {
	t.Helper()
	result, err := ask(b, command, params)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// Opens goes to an address, and waits until all of its page is there.
func (b *Browser) Opens(t testing.TB, url string) {
	t.Helper()
	b.Do(t, chromedp.Navigate(url))
}

// Arrives does something that leads to another page, and waits for that.
func (b *Browser) Arrives(t testing.TB, actions ...Action) {
	t.Helper()
	if _, err := chromedp.RunResponse(b.ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// Types puts a text where the keyboard is.
func Types(text string) Action {
	return Command(input.InsertText, input.InsertTextParams{Text: text})
}

// Window has the window be that large, on a phone or not, and light or dark.
func Window(width, height int64, phone, dark bool) []Action {
	scheme := &emulation.MediaFeature{Name: "prefers-color-scheme", Value: "light"}
	if dark {
		scheme.Value = "dark"
	}
	return []Action{
		Command(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1, Mobile: phone}),
		Command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{scheme}}),
	}
}

// HTML is the page as the browser has it.
func (b *Browser) HTML(t testing.TB) (text string) {
	t.Helper()
	// A page that is leaving has no elements any more.
	testwait.Until(t, "the browser has a page", func() bool {
		all := int64(-1)
		document, err := ask(b, dom.GetDocument, dom.GetDocumentParams{Depth: &all})
		if err != nil {
			return b.alive(t)
		}
		outer, err := ask(b, dom.GetOuterHTML, dom.GetOuterHTMLParams{NodeID: document.Root.NodeID})
		text = outer.OuterHTML
		return err == nil || b.alive(t)
	})
	return text
}

// alive is false, or the end of the test if there is no browser any more.
func (b *Browser) alive(t testing.TB) bool {
	t.Helper()
	if err := b.ctx.Err(); err != nil {
		t.Fatal(err)
	}
	return false
}

// QR is what a camera reads from the screen.
func (b *Browser) QR(t testing.TB) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "zbarimg", "--quiet", "-Sdisable", "-Sqrcode.enable", "--raw", "-")
	cmd.Stdin = bytes.NewReader(b.Screen(t))
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("no code is read from the screen: %v", err)
	}
	return strings.TrimSpace(string(text))
}

// Screen is a picture of the whole page, a PNG.
func (b *Browser) Screen(t testing.TB) []byte {
	t.Helper()
	screen, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	return screen
}

// Width is how wide the page is, which may be more than the window.
func (b *Browser) Width(t testing.TB) float64 {
	t.Helper()
	return Ask(t, b, page.GetLayoutMetrics, cdp.Empty{}).CSSContentSize.Width
}

// Paper is the text of the page when it is printed.
func (b *Browser) Paper(t testing.TB) string {
	t.Helper()
	pdf, err := chromedp.Run(b.ctx, chromedp.PrintToPDF())
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

// GoesBack presses the back button. A page from the browser's memory is one too.
func (b *Browser) GoesBack(t testing.TB) {
	t.Helper()
	history := Ask(t, b, page.GetNavigationHistory, cdp.Empty{})
	if history.CurrentIndex < 1 {
		t.Fatalf("there is no page before this one: %+v", history)
	}
	to, from := history.Entries[history.CurrentIndex-1].ID, history.Entries[history.CurrentIndex].Title
	b.Do(t, Command(page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: to}))
	testwait.Until(t, "the browser is back", func() bool {
		// On its way it may be at no page.
		now, err := ask(b, page.GetNavigationHistory, cdp.Empty{})
		if err != nil {
			return b.alive(t)
		}
		at := now.Entries[now.CurrentIndex]
		return at.ID == to && at.Title != from && strings.Contains(b.HTML(t), "</main>")
	})
}

// Runs evaluates a script in the page, waits for its promise, and returns what that is.
// The page's policy does not hold for it.
func Runs[T any](t testing.TB, b *Browser, script string) T {
	t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(fmt.Errorf("the script: %w", err))
	}
	return value
}

// Texts are those of the page and of all pages in its frames.
func (b *Browser) Texts(t testing.TB) string {
	t.Helper()
	all, pierce := int64(-1), true
	var text strings.Builder
	var walk func(node *cdp.Node)
	walk = func(node *cdp.Node) {
		text.WriteString(node.NodeValue + "\n")
		for _, child := range node.Children {
			walk(child)
		}
		if node.ContentDocument != nil {
			walk(node.ContentDocument)
		}
	}
	walk(Ask(t, b, dom.GetDocument, dom.GetDocumentParams{Depth: &all, Pierce: &pierce}).Root)
	return text.String()
}
