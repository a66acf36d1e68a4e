package portal

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/otpgate/otpgate/internal/catalogue"
	"github.com/otpgate/otpgate/internal/otpauth"
	"github.com/otpgate/otpgate/internal/portalwire"
)

// requestFrom is a request of an address, or by a Unix socket.
func requestFrom(t *testing.T, peer string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
	r.RemoteAddr = peer
	if peer == "unix" {
		r.RemoteAddr = "@"
		r = r.WithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, &net.UnixAddr{Name: "/run/http.sock", Net: "unix"}))
	}
	return r
}

// longest has what makes pages long: a long name in another script, and an SHA-512 key.
var longest = portalwire.Setup{
	BrowserSession: "v", URI: "otpauth://totp/" + strings.Repeat("%C3%A4", 20) + ":a?secret=" + strings.Repeat("A", 103) + "&issuer=" + strings.Repeat("%C3%A4", 20),
	Key: otpauth.Grouped(strings.Repeat("A", 103)), ID: "phone", Digits: 8, Period: 60, Algorithm: "SHA512", Needs: true,
	Ends: time.Date(2026, 5, 3, 12, 2, 0, 0, time.UTC),
}

// everyPage draws each page in each language.
func everyPage(t *testing.T, look func(name string, page *http.Response, text string)) {
	t.Helper()
	languages, err := readLanguages(catalogue.Files)
	if err != nil {
		t.Fatal(err)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	settings := Settings{Now: func() time.Time { return longest.Ends }, Zone: berlin, Report: func(_, reason string) { t.Error(reason) }}
	s := newSite(t)
	settings.URL = s.settings.URL
	p := newPortal(settings, languages)
	codes := slices.Repeat([]string{"abcd-efgh-ijkl-mnop"}, 10)
	for _, l := range languages.all {
		r := requestFrom(t, "192.0.2.1:1")
		r.Header.Set("Accept-Language", l.Tag)
		see := func(name string, draw func(http.ResponseWriter)) {
			w := httptest.NewRecorder()
			draw(w)
			response := w.Result()
			text, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			if got := response.Header.Get("Content-Language"); got != l.Tag {
				t.Errorf("%s is in %q, expected %q", name, got, l.Tag)
			}
			look(l.Tag+" "+name, response, string(text))
		}
		for table := range l.Texts {
			switch table {
			case "mistake", "manage-mistake", "manage-done", "mail-link", "mail-change", "mail-what":
			case "ask", "enter", "unseen", "manage", "codes":
				everyManagePage(p, r, table, codes, see)
			case "ready":
				see(table, func(w http.ResponseWriter) {
					p.draw(w, r, 200, table, func(s *pageData) { s.Page = &portalwire.Page{State: "ready", At: longest.Ends, Name: "a…<e"} })
				})
			case "setup":
				for _, mistake := range append(mistakes, "") {
					see(table+" "+mistake, func(w http.ResponseWriter) { p.setup(w, r, 200, &longest, mistake) })
				}
			case "done":
				see(table, func(w http.ResponseWriter) {
					p.draw(w, r, 200, table, func(s *pageData) {
						s.Enrolled = &portalwire.Enrolled{ID: "phone", Replaced: true, RecoveryCodes: codes, Unseen: 3}
					})
				})
				see("done without codes", func(w http.ResponseWriter) {
					p.draw(w, r, 200, table, func(s *pageData) { s.Enrolled = &portalwire.Enrolled{ID: "phone"} })
				})
			default:
				see(table, func(w http.ResponseWriter) { p.message(w, r, 410, table, longest.Ends) })
			}
		}
	}
}

// Pages are small, well-formed, and ask for nothing but their style.
func TestPages(t *testing.T) {
	if len(styleSheet) > 5<<10 {
		t.Errorf("the style has %d bytes", len(styleSheet))
	}
	seen := 0
	everyPage(t, func(name string, page *http.Response, text string) {
		seen++
		if len(text) > 30<<10 {
			t.Errorf("%s has %d bytes", name, len(text))
		}
		for _, never := range []string{"<script", "javascript:", "style=", " onclick", "<no value>", "ZgotmplZ", "{", "http:", "src=", "a…<e", `type="password"`} {
			if strings.Contains(text, never) {
				t.Errorf("%s has %q:\n%s", name, never, text)
			}
		}
		if strings.Count(text, "<link ") != 1 || !strings.Contains(text, `<link rel="stylesheet" href="`+stylePath+`">`) || strings.Count(text, "<h1>") != 1 {
			t.Errorf("%s:\n%s", name, text)
		}
		if !strings.Contains(text, `<meta name="viewport" content="width=device-width`) {
			t.Errorf("%s is not as wide as a telephone:\n%s", name, text)
		}
		// Keys are in groups of four, to be typed.
		if key := `<code class="key">`; strings.Contains(text, key) && !strings.Contains(text, key+"AAAA AAAA ") {
			t.Errorf("%s has no key in groups:\n%s", name, text)
		}
		ids, tags := structure(t, name, text)
		for _, tag := range tags {
			for _, attr := range tag.Attr {
				switch attr.Name.Local {
				case "for", "aria-describedby", "aria-labelledby":
					for id := range strings.FieldsSeq(attr.Value) {
						if !slices.Contains(ids, id) {
							t.Errorf("%s: %s points to %q, which is not there", name, attr.Name.Local, id)
						}
					}
				}
			}
		}
	})
	if seen < 40 {
		t.Errorf("only %d pages", seen)
	}
}

// structure parses a page, and returns its ids, each of which is there once.
func structure(t *testing.T, name, text string) (ids []string, tags []xml.StartElement) {
	t.Helper()
	decoder := xml.NewDecoder(strings.NewReader(text))
	decoder.Strict, decoder.AutoClose, decoder.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return ids, tags
		}
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, text)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		tags = append(tags, start)
		for _, attr := range start.Attr {
			if attr.Name.Local != "id" {
				continue
			}
			if slices.Contains(ids, attr.Value) {
				t.Errorf("%s: %q is the id of two", name, attr.Value)
			}
			ids = append(ids, attr.Value)
		}
	}
}

// The picture on the page is the one of the key: an independent program reads it.
func TestPicture(t *testing.T) {
	qr, err := otpauth.Draw(longest.URI)
	if err != nil {
		t.Fatal(err)
	}
	const scale = 4
	drawn := pictureOf(qr)
	canvas := image.NewGray(image.Rect(0, 0, drawn.Size*scale, drawn.Size*scale))
	for i := range canvas.Pix {
		canvas.Pix[i] = 255
	}
	for run := range strings.SplitSeq(drawn.Path[1:], "M") {
		var x, y, length int
		if _, err := fmt.Sscanf(run, "%d %d.5h%d", &x, &y, &length); err != nil {
			t.Fatalf("%q: %v", run, err)
		}
		for px := x * scale; px < (x+length)*scale; px++ {
			for py := y * scale; py < (y+1)*scale; py++ {
				canvas.SetGray(px, py, color.Gray{})
			}
		}
	}
	var file bytes.Buffer
	if err := png.Encode(&file, canvas); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "zbarimg", "--quiet", "-Sdisable", "-Sqrcode.enable", "--raw", "-")
	cmd.Stdin = &file
	out, err := cmd.Output()
	if err != nil || strings.TrimSpace(string(out)) != longest.URI {
		t.Errorf("read %q, %v", out, err)
	}
}

func TestLanguages(t *testing.T) {
	languages, err := readLanguages(catalogue.Files)
	if err != nil {
		t.Fatal(err)
	}
	for accept, want := range map[string]string{
		"": "en", "de": "de", "de-AT,de;q=0.9,en;q=0.8": "de", "fr, de;q=0.5": "de", "fr": "en", "en-US,en;q=0.9,de;q=0.8": "en",
		"*": "en", ";;;": "en", "de" + strings.Repeat(",de", 2000): "en", "de;q=0": "en",
	} {
		r := requestFrom(t, "192.0.2.1:1")
		r.Header.Set("Accept-Language", accept)
		if got := languages.of(r).Tag; got != want {
			t.Errorf("%.40q: %s, expected %s", accept, got, want)
		}
	}
}

// Another language is a file: one that lacks something is told, and not drawn.
func TestLanguageFiles(t *testing.T) {
	english, err := catalogue.Files.ReadFile("messages/en.toml")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ file, from, to, want string }{
		"a key is missing":     {"fr", "button = \"Begin\"\n", "", "ready.button"},
		"a key too many":       {"fr", "[text.ready]\n", "[text.ready]\nmore = 'x'\n", "ready.more"},
		"a table is missing":   {"fr", "[text.not-found]", "[text.notfound]", "not-found.text"},
		"a word is missing":    {"fr", "Set up codes for {name}", "Set up codes", "ready.title"},
		"a word is mistyped":   {"fr", "Set up codes for {name}", "Set up codes for {nom}", "fr.toml:"},
		"a month is missing":   {"fr", `"July", `, "", "expected twelve"},
		"another key":          {"fr", "[text.ready]", "[texts.ready]", "unknown key"},
		"no language's tag":    {"franglais-x", "", "", "tag"},
		"it is as it must be":  {"fr", "Begin", "Commencer", ""},
		"a date's word is one": {"fr", "{day} {month}", "{dia} {month}", "date"},
	} {
		files := fstest.MapFS{
			"messages/en.toml":                {Data: english},
			"messages/" + test.file + ".toml": {Data: []byte(strings.Replace(string(english), test.from, test.to, 1))},
		}
		_, err := readLanguages(files)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, expected %q", name, err, test.want)
		}
	}
}

// A third language is a file beside the others, and nothing else: the page is in it for those
// who wish so, and so is what is mailed of a change.
func TestThirdLanguage(t *testing.T) {
	english, err := catalogue.Files.ReadFile("messages/en.toml")
	if err != nil {
		t.Fatal(err)
	}
	german, err := catalogue.Files.ReadFile("messages/de.toml")
	if err != nil {
		t.Fatal(err)
	}
	french := regexp.MustCompile(`(?m)^([a-z-]+ *= ")([^"])`).ReplaceAll(english, []byte("${1}FR $2"))
	languages, err := readLanguages(fstest.MapFS{
		"messages/en.toml": {Data: english}, "messages/de.toml": {Data: german}, "messages/fr.toml": {Data: french},
	})
	if err != nil {
		t.Fatal(err)
	}
	asked := ""
	settings := Settings{URL: newSite(t).settings.URL, Now: time.Now, Zone: time.UTC, Manage: true, Report: func(_, reason string) { t.Error(reason) },
		Ask: func(_ context.Context, request portalwire.Request) (portalwire.Answer, error) {
			asked = request.Language
			return portalwire.Answer{Managed: &portalwire.Managed{Asked: true}}, nil
		}}
	page := newPortal(settings, languages).routes()
	for _, send := range []struct{ method, path, want string }{{"GET", "/", "FR Set up codes"}, {"POST", askPath, "FR Look for the mail"}} {
		r := httptest.NewRequest(send.method, send.path, strings.NewReader("user=alice"))
		r.RemoteAddr = "192.0.2.1:1"
		r.Header.Set("Accept-Language", "fr-CA, en;q=0.5")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		page.ServeHTTP(w, r)
		if w.Header().Get("Content-Language") != "fr" || !strings.Contains(w.Body.String(), send.want) || !strings.Contains(w.Body.String(), `lang="fr"`) {
			t.Errorf("%s %s: in %q\n%s", send.method, send.path, w.Header().Get("Content-Language"), w.Body)
		}
	}
	if asked != "fr" {
		t.Errorf("mails are asked for in %q", asked)
	}
	for _, l := range languages.all {
		text, err := l.Say("mail-what", "removed", func(string) string { return "phone" })
		if want := map[string]string{"en": "The device phone was removed.", "de": "Das Gerät phone wurde entfernt.", "fr": "FR The device phone was removed."}[l.Tag]; err != nil || text != want {
			t.Errorf("%s: %q, %v", l.Tag, text, err)
		}
	}
}

func TestDates(t *testing.T) {
	languages, err := readLanguages(catalogue.Files)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"en": "3 May 2026, 14:02 CEST", "de": "3. Mai 2026, 14:02 Uhr (CEST)"}
	for _, l := range languages.all {
		s := pageData{Language: l, zone: time.FixedZone("CEST", 2*60*60)}
		if got := s.Day(longest.Ends); got != want[l.Tag] {
			t.Errorf("%s: %s, expected %s", l.Tag, got, want[l.Tag])
		}
	}
}
