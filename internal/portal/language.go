package portal

import (
	"fmt"
	"io/fs"
	"net/http"

	"golang.org/x/text/language"

	"github.com/otpgate/otpgate/internal/catalogue"
)

// languages are all that there are, the usual one first.
type languages struct {
	all     []catalogue.Language
	matcher language.Matcher
}

// readLanguages reads the files of the catalogue.
func readLanguages(files fs.FS) (languages, error) {
	all, err := catalogue.Read(files)
	if err != nil {
		return languages{}, err
	}
	var tags []language.Tag
	for _, one := range all {
		tag, err := language.Parse(one.Tag)
		if err != nil {
			return languages{}, fmt.Errorf("messages/%s.toml: expected a language's tag as its name: %w", one.Tag, err)
		}
		tags = append(tags, tag)
	}
	return languages{all, language.NewMatcher(tags)}, nil
}

// maxAccept is more than a browser's list of languages has.
const maxAccept = 1 << 10

// of is the language for whoever sends a request.
func (l languages) of(r *http.Request) catalogue.Language {
	accept := r.Header.Get("Accept-Language")
	if len(accept) > maxAccept {
		return l.all[0]
	}
	// What cannot be read is no wish.
	tags, _, _ := language.ParseAcceptLanguage(accept)
	_, at, _ := l.matcher.Match(tags...)
	return l.all[at]
}
