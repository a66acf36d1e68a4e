package portal

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"

	"github.com/otpgate/otpgate/internal/browsertest"
	"github.com/otpgate/otpgate/internal/testwait"
)

// heard is what the browser tells a screen reader of a page, in its order.
type heard struct {
	nodes []*accessibility.Node
	by    map[accessibility.NodeID]*accessibility.Node
}

// hears has the browser tell all of the page that it shows.
func hears(t *testing.T, b *browsertest.Browser) heard {
	t.Helper()
	h := heard{by: map[accessibility.NodeID]*accessibility.Node{}}
	all := browsertest.Ask(t, b, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{}).Nodes
	for _, node := range all {
		h.by[node.NodeID] = node
	}
	if len(all) > 0 {
		h.walk(all[0])
	}
	return h
}

func (h *heard) walk(node *accessibility.Node) {
	if !node.Ignored {
		h.nodes = append(h.nodes, node)
	}
	for _, id := range node.ChildIDs {
		if child := h.by[id]; child != nil {
			h.walk(child)
		}
	}
}

// text is a value that is one, "" if there is none.
func text(value *accessibility.Value) (text string) {
	if value == nil || json.Unmarshal(value.Value, &text) != nil {
		return ""
	}
	return strings.TrimSpace(text)
}

// property is one of a node's as it is written: true, 1, "assertive".
func property(node *accessibility.Node, name accessibility.PropertyName) string {
	for _, one := range node.Properties {
		if one.Name == name && one.Value != nil {
			return strings.Trim(string(one.Value.Value), `"`)
		}
	}
	return ""
}

// said is all text below a node.
func (h heard) said(node *accessibility.Node) string {
	below := heard{by: h.by}
	below.walk(node)
	var said strings.Builder
	for _, one := range below.nodes {
		if text(one.Role) == "StaticText" {
			said.WriteString(text(one.Name) + " ")
		}
	}
	return strings.TrimSpace(said.String())
}

// having are the nodes with one of the roles.
func (h heard) having(roles ...string) (found []*accessibility.Node) {
	for _, node := range h.nodes {
		if slices.Contains(roles, text(node.Role)) {
			found = append(found, node)
		}
	}
	return found
}

// used are the roles of what somebody uses or has read out by its name.
var used = []string{"textbox", "button", "link", "DisclosureTriangle", "image", "checkbox", "radio", "combobox", "listbox"}

// Whoever hears a page instead of seeing it gets along, in English and in German: the page
// says its language and what it is; each field, button and picture has a name that nothing else
// on the page has; headings are in order; and a mistake is announced, with the field that it is in.
func TestScreenReader(t *testing.T) {
	pages := served(t)
	b := browsertest.Start(t, browsertest.Options{Scripts: true})
	b.Opens(t, pages.URL)
	mistakes, inFields := 0, 0
	for i, name := range pages.names {
		tag, _, _ := strings.Cut(name, " ")
		_ = shows(t, b, strings.ReplaceAll(pages.texts[i], "<details>", "<details open>"))
		h := hears(t, b)
		if lang := browsertest.Runs[string](t, b, "document.documentElement.lang"); lang != tag || len(h.nodes) == 0 || text(h.nodes[0].Role) != "RootWebArea" || text(h.nodes[0].Name) == "" {
			t.Fatalf("%s is in %q: %+v", name, lang, h.nodes)
		}
		level := 0
		for _, heading := range h.having("heading") {
			next := 0
			if _, err := fmt.Sscan(property(heading, "level"), &next); err != nil || next > level+1 || next == 1 && level > 0 || text(heading.Name) == "" {
				t.Errorf("%s has the heading %q of level %d after one of %d, %v", name, text(heading.Name), next, level, err)
			}
			level = next
		}
		if level == 0 {
			t.Errorf("%s has no heading", name)
		}
		var names []string
		for _, node := range h.having(used...) {
			is := text(node.Role) + " " + text(node.Name)
			if text(node.Name) == "" || slices.Contains(names, is) {
				t.Errorf("%s has a %s without a name of its own: %q", name, text(node.Role), text(node.Name))
			}
			names = append(names, is)
		}
		if strings.Contains(pages.texts[i], `id="mistake"`) {
			mistakes++
			inFields += h.announces(t, name)
		}
		if t.Failed() {
			t.Fatal(pages.texts[i])
		}
	}
	if mistakes < 30 || inFields < 10 {
		t.Errorf("only %d mistakes, of which %d are in a field", mistakes, inFields)
	}
}

var (
	action = regexp.MustCompile(`\{\{[^}]*\}\}`)
	// words are those that people read, and those that they hear.
	words = regexp.MustCompile(`>[^<>]*\pL[^<>]*<|\s(aria-label|aria-description|alt|title|placeholder)="[^"]*\pL[^"]*"`)
)

// All words of the pages are in the catalogue, so that each page is in one language: the
// templates have none, neither to be read nor to be heard.
func TestTemplatesHaveNoWords(t *testing.T) {
	files, err := fs.Glob(pages, "pages/*.html")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d templates, %v", len(files), err)
	}
	for _, file := range files {
		template, err := fs.ReadFile(pages, file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range words.FindAllString(">"+action.ReplaceAllString(string(template), "")+"<", -1) {
			t.Errorf("%s says by itself: %s", file, found)
		}
	}
}

// announces expects a mistake to be told by itself, and again with the field that it is in,
// if it is in one.
func (h heard) announces(t *testing.T, name string) (inFields int) {
	t.Helper()
	alerts := h.having("alert")
	if len(alerts) != 1 || property(alerts[0], "live") != "assertive" || h.said(alerts[0]) == "" {
		t.Errorf("%s announces no mistake: %+v", name, alerts)
		return 0
	}
	for _, field := range h.having("textbox") {
		if property(field, "invalid") != "true" {
			continue
		}
		inFields++
		if said := h.said(alerts[0]); !strings.HasSuffix(text(field.Description), said) {
			t.Errorf("%s: the field %q is described by %q, expected %q", name, text(field.Name), text(field.Description), said)
		}
	}
	return inFields
}

// Where a mistake can be corrected is where the keyboard is, without a script.
func TestMistakeHasTheKeyboard(t *testing.T) {
	pages := served(t)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{page}", func(w http.ResponseWriter, r *http.Request) {
		at := slices.Index(pages.names, r.PathValue("page"))
		if at < 0 { // as of the picture that browsers ask for
			http.NotFound(w, r)
			return
		}
		setHeaders(w.Header(), false)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(pages.texts[at]))
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	b := browsertest.Start(t, browsertest.Options{})
	for _, name := range []string{"en setup wrong-first", "de setup wrong-current", "de ask no-name", "en enter wrong-current"} {
		b.Opens(t, server.URL+"/"+url.PathEscape(name))
		var at []string                                                         // whether the field is wrong in which the keyboard is
		testwait.Until(t, "a field of "+name+" has the keyboard", func() bool { // it gets there after the page has loaded
			h := hears(t, b)
			for _, field := range h.having("textbox") {
				if property(field, "focused") == "true" {
					at = append(at, property(field, "invalid"))
				}
			}
			return len(at) > 0
		})
		if !slices.Equal(at, []string{"true"}) {
			t.Errorf("%s: the keyboard is at %q", name, at)
		}
	}
}
