package portal

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"

	"github.com/otpgate/otpgate/internal/browsertest"
)

// axe is the library that packaging/deps fetches for this test.
const axe = "/var/cache/otpgate-test/axe-core/axe.min.js"

// complaints is how it is asked: for all rules of WCAG to 2.2 AA and those that are good
// practice, and also for what it cannot decide. It gives a line for each complaint, and
// does not describe what it has nothing against.
const complaints = `axe.run(document, {preload: false, selectors: false, resultTypes: ["violations", "incomplete"],
	runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then(
	found => [...found.violations, ...found.incomplete].flatMap(rule => rule.nodes.map(
		node => rule.id + " (" + rule.help + ") " + node.html + " " + node.failureSummary)))`

// settled waits until a page is that wide, and dark or not.
const settled = `new Promise(done => {
	const look = () => matchMedia("(width: %dpx)").matches && matchMedia("(prefers-color-scheme: dark)").matches === %t ? done(null) : requestAnimationFrame(look)
	look()
})`

// shown has the document that there is show another page, and returns how many rules of
// style it has once all of it is there. The library stays, and so does what the browser has
// compiled of it: with a document of its own for each page that would be most of the work.
const shown = `new Promise(done => {
	document.open()
	document.write(%s)
	onload = () => done([...document.styleSheets].reduce((count, sheet) => count + sheet.cssRules.length, 0))
	document.close()
})`

// shows has the browser show a page in place of the one that it has.
func shows(t *testing.T, b *browsertest.Browser, text string) (rules int) {
	t.Helper()
	quoted, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return browsertest.Runs[int](t, b, fmt.Sprintf(shown, quoted))
}

// withAxe starts a browser that has the library in the page at url.
func withAxe(t *testing.T, url string) *browsertest.Browser {
	t.Helper()
	library, err := os.ReadFile(axe)
	if err != nil {
		t.Fatalf("%v; packaging/deps test fetches it", err)
	}
	b := browsertest.Start(t, browsertest.Options{Scripts: true})
	browsertest.Ask(t, b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: string(library)})
	b.Opens(t, url)
	return b
}

// Everybody can use every page, in each language, wide and light, and narrow and dark:
// axe-core finds nothing. And no page takes a request beside that for the style.
func TestAccessible(t *testing.T) {
	pages := served(t)
	b := withAxe(t, pages.URL)
	for _, narrow := range []bool{false, true} {
		size := map[bool]int64{false: 1280, true: 320}[narrow]
		b.Do(t, browsertest.Window(size, 800, narrow, narrow)...)
		browsertest.Runs[*struct{}](t, b, fmt.Sprintf(settled, size, narrow))
		for i, name := range pages.names {
			_, _ = b.Asked()
			if rules := shows(t, b, pages.texts[i]); rules == 0 {
				t.Errorf("%s has no style", name)
			}
			others, besides := b.Asked()
			delete(besides, pages.URL+"/favicon.ico")
			delete(besides, pages.URL+stylePath)
			if others != 0 || len(besides) > 0 {
				t.Errorf("%s takes %d requests for pages, and %v", name, others, besides)
			}
			if width := b.Width(t); width > float64(size) {
				t.Errorf("%s is %.0f wide in a window of %d", name, width, size)
			}
			for _, one := range browsertest.Runs[[]string](t, b, complaints) {
				t.Errorf("%s, %d wide: %s", name, size, one)
			}
		}
	}
}

// The test finds what is wrong with the page that is shown, and only with that one.
func TestAccessibleFindsMistakes(t *testing.T) {
	pages := served(t)
	b := withAxe(t, pages.URL)
	// The pages' policy is the document's, so that an attribute can have no style.
	shows(t, b, `<html><body><h1>A</h1><p><font color="#999999">faint</font></p><input><img src="x">`)
	all := strings.Join(browsertest.Runs[[]string](t, b, complaints), "\n")
	for _, rule := range []string{"color-contrast", "html-has-lang", "image-alt", "label", "document-title"} {
		if !strings.Contains("\n"+all, "\n"+rule+" ") {
			t.Errorf("it does not find %s:\n%s", rule, all)
		}
	}
	shows(t, b, pages.texts[0])
	if left := browsertest.Runs[[]string](t, b, complaints); len(left) > 0 {
		t.Errorf("it finds what is not there any more: %q", left)
	}
}

// servedPages are all pages, of which the first is at an address, with what it needs.
type servedPages struct {
	*httptest.Server
	names, texts []string
}

func served(t *testing.T) servedPages {
	t.Helper()
	var served servedPages
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+stylePath, style)
	everyPage(t, func(name string, drawn *http.Response, text string) {
		served.names, served.texts = append(served.names, name), append(served.texts, text)
		if len(served.names) > 1 {
			return
		}
		mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
			setHeaders(w.Header(), false)
			for _, header := range []string{"Content-Type", "Content-Language"} {
				w.Header().Set(header, drawn.Header.Get(header))
			}
			_, _ = w.Write([]byte(text))
		})
	})
	served.Server = httptest.NewServer(mux)
	t.Cleanup(served.Close)
	return served
}
