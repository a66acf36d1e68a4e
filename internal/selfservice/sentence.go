package selfservice

import (
	"strconv"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/catalogue"
	"github.com/otpgate/otpgate/internal/ledger"
)

// sentence is one about a change, in whatever language. day writes a time.
type sentence func(in catalogue.Language, day func(time.Time) string) string

// say is a text of the catalogue, with its words and what stands for each.
func say(key string, words ...string) sentence {
	return func(in catalogue.Language, _ func(time.Time) string) string { return fill(in, key, words...) }
}

func fill(in catalogue.Language, key string, words ...string) string {
	text, err := in.Say("mail-what", key, func(word string) string {
		for i := 0; i+1 < len(words); i += 2 {
			if words[i] == word {
				return words[i+1]
			}
		}
		return ""
	})
	if err != nil {
		panic(err) // the texts are a part of this program
	}
	return text
}

// counted is one text for one, and another for any other number.
func counted(key string, n int) sentence {
	if n == 1 {
		return say(key + "-one")
	}
	return say(key, "count", strconv.Itoa(n))
}

// reportedAs says which login of somebody's was reported.
func reportedAs(user string, l ledger.Login) sentence {
	return func(in catalogue.Language, day func(time.Time) string) string {
		return fill(in, "reported", "user", user, "login", loginWords(in, day, l))
	}
}

// loginWords says which login it was, in one line.
func loginWords(in catalogue.Language, day func(time.Time) string, l ledger.Login) string {
	verdict := fill(in, "right", "name", l.Rule)
	if l.Denied {
		verdict = fill(in, "wrong")
	}
	words := day(l.At) + ", " + verdict
	for _, part := range []struct{ key, text string }{{"service", l.Service}, {"from", l.Address}, {"on", l.Host}, {"peer", l.Peer}} {
		if part.text != "" {
			words += ", " + fill(in, part.key, "name", part.text)
		}
	}
	return words
}

// english is what the log says, and whoever looks after the machine is mailed.
func english(all ...sentence) string {
	return together(languageOf(catalogue.Usual), stamp, all)
}

// inLanguage is what the person is mailed.
func inLanguage(tag string, all ...sentence) string {
	in := languageOf(tag)
	if in.Tag == catalogue.Usual {
		return english(all...)
	}
	return together(in, func(at time.Time) string { return in.Day(at, time.Local) }, all)
}

func together(in catalogue.Language, day func(time.Time) string, all []sentence) string {
	var sentences []string
	for _, one := range all {
		sentences = append(sentences, one(in, day))
	}
	return strings.Join(sentences, " ")
}

func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }

func languageOf(tag string) catalogue.Language {
	in, err := catalogue.Find(tag)
	if err != nil {
		panic(err) // the texts are a part of this program
	}
	return in
}
