package portal

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
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

// withAxe starts a browser that has the library in each page that it opens. It is given
// once, because half a megabyte of it costs more than most of what is then asked.
func withAxe(t *testing.T) *browsertest.Browser {
	t.Helper()
	library, err := os.ReadFile(axe)
	if err != nil {
		t.Fatalf("%v; packaging/deps test fetches it", err)
	}
	b := browsertest.Start(t, browsertest.Options{Scripts: true})
	browsertest.Ask(t, b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: string(library)})
	return b
}

// Everybody can use every page, in each language, wide and light, and narrow and dark:
// axe-core finds nothing. And each page takes one request, beside that for the style.
func TestAccessible(t *testing.T) {
	pages := served(t)
	b := withAxe(t)
	for i, name := range pages.names {
		_, _ = b.Asked()
		b.Opens(t, pages.URL+"/"+strconv.Itoa(i))
		count, besides := b.Asked()
		delete(besides, pages.URL+"/favicon.ico")
		delete(besides, pages.URL+stylePath)
		if count != 1 || len(besides) > 0 {
			t.Errorf("%s takes %d requests, and %v", name, count, besides)
		}
		for _, narrow := range []bool{false, true} {
			size := map[bool]int64{false: 1280, true: 320}[narrow]
			b.Do(t, browsertest.Window(size, 800, narrow, narrow)...)
			browsertest.Runs[*struct{}](t, b, fmt.Sprintf(settled, size, narrow))
			if width := b.Width(t); width > float64(size) {
				t.Errorf("%s is %.0f wide in a window of %d", name, width, size)
			}
			for _, one := range browsertest.Runs[[]string](t, b, complaints) {
				t.Errorf("%s, %d wide: %s", name, size, one)
			}
		}
	}
}

// The test finds what is wrong.
func TestAccessibleFindsMistakes(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<html><body><h1>A</h1><p style="color:#999">faint</p><input><img src="x">`))
	}))
	defer server.Close()
	b := withAxe(t)
	b.Opens(t, server.URL)
	all := strings.Join(browsertest.Runs[[]string](t, b, complaints), "\n")
	for _, rule := range []string{"color-contrast", "html-has-lang", "image-alt", "label", "document-title"} {
		if !strings.Contains("\n"+all, "\n"+rule+" ") {
			t.Errorf("it does not find %s:\n%s", rule, all)
		}
	}
}

// servedPages are all pages at addresses of their own: /0, /1 and so on.
type servedPages struct {
	*httptest.Server
	names []string
}

func served(t *testing.T) servedPages {
	t.Helper()
	var served servedPages
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+stylePath, style)
	everyPage(t, func(name string, drawn *http.Response, text string) {
		mux.HandleFunc("GET /"+strconv.Itoa(len(served.names)), func(w http.ResponseWriter, _ *http.Request) {
			setHeaders(w.Header(), false)
			for _, header := range []string{"Content-Type", "Content-Language"} {
				w.Header().Set(header, drawn.Header.Get(header))
			}
			_, _ = w.Write([]byte(text))
		})
		served.names = append(served.names, name)
	})
	served.Server = httptest.NewServer(mux)
	t.Cleanup(served.Close)
	return served
}
