package tokenfile

import (
	"strings"
	"testing"
)

func TestMap(t *testing.T) {
	tokens := []Token{{Number: 1, Serial: "S1", ID: "k1"}, {Number: 2, Issuer: "Example", Account: "bob"}, {Number: 3, Issuer: "Other", Account: "bob", User: "bob"}, {Number: 4}}
	for text, want := range map[string]string{
		"serial,user\nS1,alice\n":       "1=alice left=3",
		"label,user\n\nExample:bob,bob": "2=bob left=3",
		"# who\nk1, alice":              "1=alice left=3",
		"Other:bob,bob\nS1,carol":       "1=carol 3=bob left=2",
		"bob,bob":                       "2=bob left=3 line 1: it names entry 3 and one before; write the serial, or ISSUER:ACCOUNT",
		"S1,alice\nk1,bob":              "1=alice left=3 line 2: entry 1 is that of line 1 of the map too line 2: there is no device of that serial or label",
		"Other:bob,carol":               "3=carol left=3 line 1: entry 3 names another user itself",
		"S2,alice":                      "left=4 line 1: there is no device of that serial or label",
		"S1,alice\nS1,bob":              "line 2: it names the same device as line 1",
		"S1":                            "line 1: expected two columns",
		"S1,alice,x":                    "line 1: expected two columns",
		"S1,../x":                       "line 1: expected a login name",
		",alice":                        "line 1: expected a serial or a label",
		"\"S1,alice":                    "its quotes do not fit",
		"\xff,alice":                    "no text in UTF-8",
	} {
		m, err := ParseMap([]byte(text))
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			named, left, wrong := m.Assign(tokens)
			for _, tok := range named {
				got += strings.TrimPrefix(tok.Place(), "entry ") + "=" + tok.User + " "
			}
			got += "left=" + string(rune('0'+len(left)))
			for _, err := range wrong {
				got += " " + err.Error()
			}
		}
		if !strings.Contains(got, want) {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func FuzzMap(f *testing.F) {
	f.Add([]byte("serial,user\nOATH0001,alice\n\"Example Co:bob\",bob\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseMap(data)
		if err != nil {
			checkTokens(t, data, nil, err)
			return
		}
		tokens, _ := URIs(sample(t, "uris.txt"))
		named, left, wrong := m.Assign(tokens)
		if len(named)+len(left) != len(tokens) {
			t.Errorf("%d named and %d left of %d", len(named), len(left), len(tokens))
		}
		for _, err := range wrong {
			checkTokens(t, data, nil, err)
		}
	})
}
