package transport

import (
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// nasty are values that would leave their place if they were not escaped.
var nasty = []string{
	"471147", "+491511234567", "a b", `"},{"a":"`, `\`, "&to=1", "a=b&c", "%41", "../..", "?#", "</text><to>", "]]>", "<!--", "&amp;",
	"'", "äöü€", "a;b", "\r\nBcc: x", "\x00", "\u2028", "\x7f", "{otp_to}", "",
}

// Each escaped value, in its place between others, reads as itself.
var places = []struct {
	name   string
	escape escape
	read   func(escaped string) (string, error)
}{
	{"path", percent, func(escaped string) (string, error) {
		at, err := url.Parse("https://h/before/" + escaped + "/after?q")
		if err != nil {
			return "", err
		}
		parts := strings.Split(at.EscapedPath(), "/")
		if len(parts) != 4 || parts[3] != "after" || at.Host != "h" || at.RawQuery != "q" {
			return "left the path", nil
		}
		return url.PathUnescape(parts[2])
	}},
	{"query", percent, func(escaped string) (string, error) {
		at, err := url.Parse("https://h/?a=" + escaped + "&b=1")
		if err != nil {
			return "", err
		}
		return only(at.RawQuery)
	}},
	{"form", percent, func(escaped string) (string, error) { return only("a=" + escaped + "&b=1") }},
	{"JSON", jsonText, func(escaped string) (string, error) {
		var read map[string]string
		if err := json.Unmarshal([]byte(`{"a":"`+escaped+`","b":"1"}`), &read); err != nil {
			return "", err
		}
		if len(read) != 2 || read["b"] != "1" {
			return "left the text", nil
		}
		return read["a"], nil
	}},
	{"XML text", xmlText, func(escaped string) (string, error) {
		var read struct {
			A string `xml:"a"`
			B string `xml:"b"`
		}
		err := xml.Unmarshal([]byte("<m><a>"+escaped+"</a><b>1</b></m>"), &read)
		if err == nil && read.B != "1" {
			return "left the text", nil
		}
		return read.A, err
	}},
	{"XML attribute", xmlText, func(escaped string) (string, error) {
		var read struct {
			A string `xml:"a,attr"`
			B string `xml:"b,attr"`
		}
		err := xml.Unmarshal([]byte(`<m a="`+escaped+`" b='`+escaped+`'/>`), &read)
		if err == nil && read.B != read.A {
			return "left the attribute", nil
		}
		return read.A, err
	}},
	{"header", headerLine, func(escaped string) (string, error) {
		request, err := http.NewRequest("GET", "http://127.0.0.1/", nil)
		if err != nil {
			return "", err
		}
		request.Header.Set("A", "x"+escaped+"x")
		var sent strings.Builder
		if err := request.Header.Write(&sent); err != nil {
			return "", err
		}
		// The library itself puts spaces where a line would end.
		return strings.TrimSuffix(strings.TrimPrefix(sent.String(), "A: x"), "x\r\n"), nil
	}},
}

func only(query string) (string, error) {
	read, err := url.ParseQuery(query)
	if err != nil {
		return "", err
	}
	if len(read) != 2 || len(read["a"]) != 1 || read.Get("b") != "1" {
		return "left the query", nil
	}
	return read.Get("a"), nil
}

func roundTrip(t *testing.T, value string) {
	t.Helper()
	for _, place := range places {
		escaped, err := place.escape(value)
		if err != nil {
			if !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%s: %q is refused: %v", place.name, value, err)
			}
			continue
		}
		if got, err := place.read(escaped); err != nil || got != value {
			t.Errorf("%s: %q became %q and was read as %q, %v", place.name, value, escaped, got, err)
		}
	}
}

func TestEscape(t *testing.T) {
	for _, value := range nasty {
		roundTrip(t, value)
	}
	for _, value := range []string{"a\r\nb", "a\nb", "\x00", "\x7f", "\u0085"} {
		for name, escaped := range map[string]escape{"line": line, "header": headerLine, "XML": xmlText} {
			if got, err := escaped(value); err == nil {
				t.Errorf("%s: took %q as %q", name, value, got)
			}
		}
	}
}

func FuzzEscape(f *testing.F) {
	for _, value := range nasty {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if utf8.ValidString(value) {
			roundTrip(t, value)
		}
	})
}
