package servers

import "strings"

// saslOptions are those of its command line that matter here.
type saslOptions struct {
	mechanism string // "" if there is no -a
	cache     bool
	cacheAt   int // the word that says so
}

// saslauthdValues are its options that take a value.
const saslauthdValues = "aHmnOst"

// readSASL reads options as getopt(3) does.
func readSASL(words []string) (o saslOptions) {
	for i := 0; i < len(words); i++ {
		letters, ok := strings.CutPrefix(strings.Trim(words[i], `"'`), "-")
		if !ok {
			continue
		}
		for at, letter := range letters {
			if letter == 'c' {
				o.cache, o.cacheAt = true, i
			}
			if !strings.ContainsRune(saslauthdValues, letter) {
				continue
			}
			value := letters[at+1:]
			if i++; value != "" {
				i-- // it stands behind the letter
			} else if i < len(words) {
				value = words[i]
			}
			if letter == 'a' {
				o.mechanism = value
			}
			break
		}
	}
	return o
}

// unquoted is the value of a variable: what is in its quotes, or else all of it,
// without a comment behind it.
func unquoted(value string) string {
	value = strings.TrimSpace(value)
	if value != "" && strings.ContainsRune(`"'`, rune(value[0])) {
		value, _, _ = strings.Cut(value[1:], value[:1])
		return value
	}
	value, _, _ = strings.Cut(" "+value, " #")
	return strings.TrimSpace(value)
}
