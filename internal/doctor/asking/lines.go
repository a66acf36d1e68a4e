package asking

import "strings"

// lineOf is the first line that sets a key, 0 if none does.
func lineOf(text []byte, key string) int {
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		name, _, set := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if set && (name == key || strings.HasSuffix(name, "."+key)) {
			return number
		}
	}
	return 0
}
