package authstack

import (
	"slices"
	"strings"
)

// An include that is written out in a service's own file stands between these two
// lines. The second line of it is what stood there before, behind WrittenFor.
const (
	WrittenFrom = "# otpgate: written out, so that a wrong password ends the stack before the code is asked. Here stood:"
	WrittenFor  = "# otpgate was: "
	WrittenTo   = "# otpgate: end of what is written out"
)

// TakenBack is a file with the lines that were there before they were written out.
// What does not begin and end as it was written stays as it is.
func TakenBack(text string) string {
	lines := slices.Collect(strings.Lines(text))
	var kept strings.Builder
	for i := 0; i < len(lines); i++ {
		if was, end, found := writtenAt(lines[i:]); found {
			kept.WriteString(was)
			i += end
			continue
		}
		kept.WriteString(lines[i])
	}
	return kept.String()
}

// writtenAt says whether lines begin with something written out, what stood there
// before, and the index of its last line.
func writtenAt(lines []string) (was string, end int, found bool) {
	if len(lines) < 3 || strings.TrimSpace(lines[0]) != WrittenFrom {
		return "", 0, false
	}
	was, found = strings.CutPrefix(lines[1], WrittenFor)
	for end, line := range lines {
		switch strings.TrimSpace(line) {
		case WrittenTo:
			return was, end, found
		case WrittenFrom:
			if end > 0 {
				return "", 0, false
			}
		}
	}
	return "", 0, false
}
