// Package catalogue has what people are told by the page and by mails about it, in each
// language that there is a file for.
//
// The entry points are [All] and [Find]. It promises that every language has every text,
// with the same words to fill in.
package catalogue

import (
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/placeholder"
	"github.com/otpgate/otpgate/internal/tomlfile"
)

// Files has a file for each language.
//
//go:embed messages
var Files embed.FS

// Usual is the language of those who ask for none that there is.
const Usual = "en"

// words are those of the texts, and dateWords those of a date.
var (
	words = []string{
		"name", "date", "digits", "period", "count", "more", "host", "title",
		// of mails
		"user", "what", "new", "login", "link", "expires", "remote", "time",
	}
	dateWords = []string{"day", "month", "year", "time", "zone"}
)

// file is a file of texts.
type file struct {
	Date   string                       `toml:"date"`
	Months []string                     `toml:"months"`
	Text   map[string]map[string]string `toml:"text"`
}

// Texts are those of a language, by their tables and keys.
type Texts map[string]map[string]placeholder.Template

// Language is one language. Tag is its name (BCP 47).
type Language struct {
	Tag    string
	Texts  Texts
	months []string
	dates  placeholder.Template
}

// All are the languages that there are, the usual one first.
var All = sync.OnceValues(func() ([]Language, error) { return Read(Files) })

// Find is the language of a tag, or else the usual one.
func Find(tag string) (Language, error) {
	all, err := All()
	if err != nil {
		return Language{}, err
	}
	for _, one := range all {
		if one.Tag == tag {
			return one, nil
		}
	}
	return all[0], nil
}

// Read reads the files. Each must have what the usual one has.
func Read(files fs.FS) ([]Language, error) {
	names, err := fs.Glob(files, "messages/*.toml")
	if err != nil {
		return nil, err
	}
	own := "messages/" + Usual + ".toml"
	names = append([]string{own}, slices.DeleteFunc(names, func(name string) bool { return name == own })...)
	var all []Language
	for _, name := range names {
		one, err := read(files, name)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
		if missing := differs(all[0].Texts, one.Texts); missing != "" {
			return nil, fmt.Errorf("%s: %s is not as in %s", name, missing, own)
		}
	}
	return all, nil
}

func read(files fs.FS, name string) (Language, error) {
	data, err := fs.ReadFile(files, name)
	if err != nil {
		return Language{}, err
	}
	var f file
	if err := tomlfile.Decode(name, data, &f); err != nil {
		return Language{}, err
	}
	one := Language{Tag: strings.TrimSuffix(path.Base(name), ".toml"), months: f.Months, Texts: Texts{}}
	if len(f.Months) != 12 {
		return one, tomlfile.At(name, data, "expected twelve", "months")
	}
	if one.dates, err = placeholder.Parse(f.Date, dateWords...); err != nil {
		return one, tomlfile.At(name, data, err.Error(), "date")
	}
	for table, keys := range f.Text {
		one.Texts[table] = map[string]placeholder.Template{}
		for key, text := range keys {
			if one.Texts[table][key], err = placeholder.Parse(text, words...); err != nil {
				return one, tomlfile.At(name, data, err.Error(), "text", table, key)
			}
		}
	}
	return one, nil
}

// differs names a text that only one has, or that has other words in braces.
func differs(all, some Texts) string {
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

// Say is a text with its words filled in, each by fill.
func (l Language) Say(table, key string, fill func(word string) string) (string, error) {
	text, found := l.Texts[table][key]
	if !found {
		return "", fmt.Errorf("no text %s.%s", table, key)
	}
	return text.Fill(fill), nil
}

// Day writes a time as it is in a zone.
func (l Language) Day(at time.Time, zone *time.Location) string {
	at = at.In(zone)
	return l.dates.Fill(func(word string) string {
		switch word {
		case "day":
			return strconv.Itoa(at.Day())
		case "month":
			return l.months[at.Month()-1]
		case "year":
			return strconv.Itoa(at.Year())
		case "time":
			return at.Format("15:04")
		}
		return at.Format("MST")
	})
}
