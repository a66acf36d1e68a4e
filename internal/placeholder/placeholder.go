// Package placeholder fills the {words} in a text that an admin wrote.
//
// The entry point is [Parse]. It promises that a word which is mistyped is an
// error, while the braces of JSON, CSS and the like stand for themselves.
package placeholder

import (
	"fmt"
	"slices"
	"strings"
)

// Template is a text with places to fill.
type Template struct{ parts []part }

// part is a word to be filled in, or text that stands as it is.
type part struct {
	text string
	word bool
}

// Parse reads text. A brace, a letter, letters or digits or _ or -, and a brace
// are a placeholder; one that is not among known is an error. So are the likely
// slips: {{known}}, { known } and {known without its end.
func Parse(text string, known ...string) (Template, error) {
	var t Template
	for text != "" {
		brace := strings.IndexByte(text, '{')
		if brace < 0 {
			t.add(text, false)
			break
		}
		t.add(text[:brace], false)
		text = text[brace:]
		name := word(text[1:])
		rest := text[1+len(name):]
		switch {
		case name == "" || !strings.HasPrefix(rest, "}"):
			if slip := slipOf(text, known); slip != "" {
				return Template{}, fmt.Errorf("expected {%s}, with one brace on either side and nothing between", slip)
			}
			t.add("{", false)
			text = text[1:]
		case slices.Contains(known, name):
			t.add(name, true)
			text = rest[1:]
		default:
			return Template{}, fmt.Errorf("%s is not known here, expected one of {%s}", shown(name), strings.Join(known, "}, {"))
		}
	}
	return t, nil
}

func (t *Template) add(text string, word bool) {
	if text != "" {
		t.parts = append(t.parts, part{text, word})
	}
}

// word is what text begins with that could be a placeholder's name.
func word(text string) string {
	if text == "" || !isLetter(text[0]) {
		return ""
	}
	end := strings.IndexFunc(text, func(r rune) bool {
		return r >= 0x80 || !isLetter(byte(r)) && (r < '0' || r > '9') && r != '_' && r != '-'
	})
	if end < 0 {
		return text
	}
	return text[:end]
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// slipOf finds a known name where text, which begins with a brace, has it with
// something else around it.
func slipOf(text string, known []string) string {
	name := word(strings.TrimLeft(text, "{ \t"))
	for _, k := range known {
		if strings.EqualFold(name, k) {
			return k
		}
	}
	return ""
}

// shown is short enough to be no secret that somebody pasted.
func shown(name string) string {
	const most = 24
	if len(name) > most {
		return fmt.Sprintf("a placeholder of %d characters", len(name))
	}
	return "{" + name + "}"
}

// Has says whether name is to be filled in somewhere.
func (t Template) Has(name string) bool { return slices.Contains(t.parts, part{name, true}) }

// Fill returns the text with each placeholder replaced by what value says.
func (t Template) Fill(value func(name string) string) string {
	var filled strings.Builder
	for _, p := range t.parts {
		if p.word {
			filled.WriteString(value(p.text))
		} else {
			filled.WriteString(p.text)
		}
	}
	return filled.String()
}
