package lostline

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// inside looks through a file that libpam opens for what it does not take for a
// line of ours.
func (s *search) inside(file, text string) {
	name := path.Base(file)
	at := func(line int, found Text) {
		found.Position, found.Name = pamstack.Position{File: file, Line: line}, name
		s.found = append(s.found, found)
	}
	for _, statement := range pamstack.Statements(text) {
		fields := statement.Fields
		if len(fields) < 3 || path.Base(fields[2]) == authstack.ModuleName || !slices.ContainsFunc(fields[3:], isModule) {
			continue
		}
		for n := statement.First; n <= statement.Last; n++ {
			if line := lineOf(text, n); strings.Contains(beforeComment(line), authstack.ModuleName) {
				at(n, within(statement, n))
				break
			}
		}
	}
	number := 0
	for line := range strings.Lines(text) {
		number++
		_, comment, commented := strings.Cut(line, "#")
		switch {
		case !commented:
		case isOurs(strings.Fields(strings.TrimLeft(comment, "# \t"))):
			at(number, Text{What: "The line is commented out", Fix: "Take the # out", Meant: true})
		case glued.MatchString(comment):
			at(number, Text{What: "The line stands behind a comment, on one line with it", Fix: "Begin a line of its own with it, behind those of the password"})
		}
	}
}

func isModule(field string) bool { return path.Base(field) == authstack.ModuleName }

// glued is our line right behind something else.
var glued = regexp.MustCompile(`\S-?auth[ \t]+(\[[^]]*\]|\S+)[ \t]+\S*` + regexp.QuoteMeta(authstack.ModuleName))

// within says how a statement has our line as a part.
func within(statement pamstack.Statement, line int) Text {
	if line > statement.First {
		return Text{What: "The line is a part of the one before, which ends with a backslash", Fix: "Take the backslash out"}
	}
	return Text{What: "The line stands behind another one, on one line with it, as if that had no end", Fix: "Begin a line of its own with it, behind those of the password"}
}

func beforeComment(line string) string {
	before, _, _ := strings.Cut(line, "#")
	return before
}

func lineOf(text string, wanted int) string {
	number := 0
	for line := range strings.Lines(text) {
		if number++; number == wanted {
			return line
		}
	}
	return ""
}
