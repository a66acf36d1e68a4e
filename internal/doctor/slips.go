package doctor

import (
	"strings"

	"github.com/otpgate/otpgate/internal/pamstack"
)

// slips finds lines that were meant to call our module in a stack where none
// does: libpam fails them, and everybody with them.
func (e *exam) slips(s Stack) (found int) {
	for _, line := range s.Lines {
		switch {
		case line.Kind == pamstack.Broken && line.Name() == ModuleName:
			e.add(broken(line, s.Service))
		case line.Kind == pamstack.Module && misspelt(line.Name()) && !e.there(line):
			follows := "The line fails: everybody is denied."
			if line.Silent {
				follows = "Nobody is asked for a code: libpam passes over such a line in silence."
			}
			e.add(at(line.Place, Finding{Severity: Error, ID: "module-missing", Services: []string{s.Service},
				What:    "The module " + line.Module + " is not in libpam's directories. Is " + ModuleName + " meant?",
				Follows: follows, Fix: "Write: auth required " + ModuleName}))
		default:
			continue
		}
		found = 1
	}
	return found
}

func (e *exam) there(line pamstack.Line) bool {
	_, found := e.Machine.Module(line.Module)
	return found
}

func broken(line pamstack.Line, service string) Finding {
	return at(line.Place, Finding{Severity: Error, ID: "line-broken", Services: []string{service}, What: line.Problem + ".",
		Follows: "The line fails at every login.", Fix: "Correct the line, see pam.conf(5)."})
}

// misspelt says whether a name is our module's with a slip or two.
func misspelt(name string) bool {
	return name != ModuleName && (name == strings.TrimSuffix(ModuleName, ".so") || distance(name, ModuleName) <= 2)
}

// distance is how many letters must be put in, left out or changed (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
