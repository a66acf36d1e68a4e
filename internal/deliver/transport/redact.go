package transport

import (
	"errors"
	"html"
	"net/url"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/deliver"
)

// secrets are texts that must not be in an error, and what stands there
// instead.
type secrets struct{ pairs []string }

// maxReason is how much of somebody else's words is shown, in characters.
const maxReason = 200

// keep adds a text and the ways in which it may come back: as it was escaped
// for the way there.
func (s *secrets) keep(text, instead string) {
	if text == "" {
		return
	}
	forms := []string{text, html.EscapeString(text), url.QueryEscape(text), url.PathEscape(text)}
	for _, escaped := range []escape{percent, jsonText} {
		if form, err := escaped(text); err == nil {
			forms = append(forms, form)
		}
	}
	for _, form := range forms {
		s.pairs = append(s.pairs, form, instead)
	}
}

// text is what may be shown of a text that others wrote, one line.
func (s secrets) text(text string) string { return deliver.Clean(s.redact(text), maxReason) }

// redact also hides each number of so many digits, however it is written: a
// gateway may print a phone number or a code in its own way.
func (s secrets) redact(text string) string {
	text = strings.NewReplacer(s.longestFirst()...).Replace(text)
	return hideNumbers(text)
}

// longestFirst keeps a secret that is part of another one from uncovering it.
func (s secrets) longestFirst() []string {
	pairs := slices.Collect(slices.Chunk(s.pairs, 2))
	slices.SortStableFunc(pairs, func(a, b []string) int { return len(b[0]) - len(a[0]) })
	return slices.Concat(pairs...)
}

// in gives an error a text without the secrets.
func (s secrets) in(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(deliver.Clean(strings.NewReplacer(s.longestFirst()...).Replace(err.Error()), 2*maxReason))
}

// longNumber is as long as the shortest code.
const longNumber = 6

// hideNumbers replaces each run of at least longNumber digits. Single
// characters with which people group digits do not end a run.
func hideNumbers(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); {
		end, digits := number(text[i:])
		switch {
		case digits >= longNumber:
			out.WriteString("…")
		case digits > 0:
			out.WriteString(text[i : i+end])
		default:
			out.WriteByte(text[i])
			end = 1
		}
		i += end
	}
	return out.String()
}

// number is how many bytes of text, from its start, are one number, and how
// many of them are digits.
func number(text string) (end, digits int) {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case '0' <= c && c <= '9':
			end, digits = i+1, digits+1
		case digits > 0 && i-end < 2 && strings.IndexByte(" -./()", c) >= 0:
		default:
			return end, digits
		}
	}
	return end, digits
}
