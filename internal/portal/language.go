package portal

import (
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/language"

	"github.com/otpgate/otpgate/internal/placeholder"
	"github.com/otpgate/otpgate/internal/tomlfile"
)

// messages has a file for each language.
//
//go:embed messages
var messages embed.FS

// usual is the language of those who ask for none that there is.
const usual = "en"

// words are those of the texts, and dateWords those of a date.
var (
	words     = []string{"name", "date", "digits", "period", "count", "more", "host", "title"}
	dateWords = []string{"day", "month", "year", "time", "zone"}
)

// catalogue is a file of texts.
type catalogue struct {
	Date   string                       `toml:"date"`
	Months []string                     `toml:"months"`
	Text   map[string]map[string]string `toml:"text"`
}

// textsOf are the texts of a language, by their tables and keys.
type textsOf map[string]map[string]placeholder.Template

// languageTexts is one language.
type languageTexts struct {
	tag    string
	months []string
	dates  placeholder.Template
	texts  textsOf
}

// languages are all that there are, the usual one first.
type languages struct {
	all     []languageTexts
	matcher language.Matcher
}

// readLanguages reads the files. Each must have what the usual one has.
func readLanguages(files fs.FS) (languages, error) {
	names, err := fs.Glob(files, "messages/*.toml")
	if err != nil {
		return languages{}, err
	}
	own := "messages/" + usual + ".toml"
	names = append([]string{own}, slices.DeleteFunc(names, func(name string) bool { return name == own })...)
	var read languages
	var tags []language.Tag
	for _, name := range names {
		one, err := readLanguage(files, name)
		if err != nil {
			return languages{}, err
		}
		tag, err := language.Parse(one.tag)
		if err != nil {
			return languages{}, fmt.Errorf("%s: expected a language's tag as its name: %w", name, err)
		}
		read.all, tags = append(read.all, one), append(tags, tag)
		if missing := differs(read.all[0].texts, one.texts); missing != "" {
			return languages{}, fmt.Errorf("%s: %s is not as in %s", name, missing, own)
		}
	}
	read.matcher = language.NewMatcher(tags)
	return read, nil
}

func readLanguage(files fs.FS, name string) (languageTexts, error) {
	data, err := fs.ReadFile(files, name)
	if err != nil {
		return languageTexts{}, err
	}
	var c catalogue
	if err := tomlfile.Decode(name, data, &c); err != nil {
		return languageTexts{}, err
	}
	one := languageTexts{tag: strings.TrimSuffix(path.Base(name), ".toml"), months: c.Months, texts: textsOf{}}
	if len(c.Months) != 12 {
		return one, tomlfile.At(name, data, "expected twelve", "months")
	}
	if one.dates, err = placeholder.Parse(c.Date, dateWords...); err != nil {
		return one, tomlfile.At(name, data, err.Error(), "date")
	}
	for table, keys := range c.Text {
		one.texts[table] = map[string]placeholder.Template{}
		for key, text := range keys {
			if one.texts[table][key], err = placeholder.Parse(text, words...); err != nil {
				return one, tomlfile.At(name, data, err.Error(), "text", table, key)
			}
		}
	}
	return one, nil
}

// differs names a text that only one has, or that has other words in braces.
func differs(all, some textsOf) string {
	for _, table := range slices.Sorted(maps.Keys(union(all, some))) {
		for _, key := range slices.Sorted(maps.Keys(union(all[table], some[table]))) {
			a, inAll := all[table][key]
			b, inSome := some[table][key]
			same := inAll && inSome
			for _, word := range words {
				same = same && a.Has(word) == b.Has(word)
			}
			if !same {
				return table + "." + key
			}
		}
	}
	return ""
}

func union[T any](a, b map[string]T) map[string]T {
	both := maps.Clone(a)
	if both == nil {
		both = map[string]T{}
	}
	maps.Copy(both, b)
	return both
}

// maxAccept is more than a browser's list of languages has.
const maxAccept = 1 << 10

// of is the language for whoever sends a request.
func (l languages) of(r *http.Request) languageTexts {
	accept := r.Header.Get("Accept-Language")
	if len(accept) > maxAccept {
		return l.all[0]
	}
	// What cannot be read is no wish.
	tags, _, _ := language.ParseAcceptLanguage(accept)
	_, at, _ := l.matcher.Match(tags...)
	return l.all[at]
}

// Tag is the language's, for the template.
func (l languageTexts) Tag() string { return l.tag }

// day writes a time.
func (s *pageData) day(at time.Time) string {
	at = at.In(s.zone)
	return s.dates.Fill(func(word string) string {
		switch word {
		case "day":
			return strconv.Itoa(at.Day())
		case "month":
			return s.months[at.Month()-1]
		case "year":
			return strconv.Itoa(at.Year())
		case "time":
			return at.Format("15:04")
		}
		return at.Format("MST")
	})
}
