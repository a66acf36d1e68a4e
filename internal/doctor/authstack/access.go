package authstack

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/otpgate/otpgate/internal/pamstack"
)

// accessFile is pam_access's own, where a line names no other.
const accessFile = "/etc/security/access.conf"

// accessLastLine is what has pam_access refuse whoever no line before it lets in.
const accessLastLine = "- : ALL : ALL"

// readAccess looks at the file of a line with pam_access. That says yes also where no
// line of its file matches.
func (s Stack) readAccess(i int, tree pamstack.Tree) {
	line := s.Lines[i]
	path := accessFile
	if named := line.Arg("accessfile"); named != "" {
		path = named
	}
	text, read := accessRules(tree, path)
	if !read || line.Arg("fieldsep")+line.Arg("listsep") != "" {
		return // it refuses everybody, or is not read here
	}
	some, rest := refused(text)
	if rest {
		return
	}
	said := "It says yes where no line of " + path + " matches too, and no line there refuses anybody."
	if some {
		said = "It says yes where no line of " + path + " matches too, and only some are refused there."
	}
	s.answers[i] = answer{toAll: !some, said: said, fix: "write as the last line of " + path + ": " + accessLastLine}
}

// accessRules are the lines of a file and, where it is pam_access's own, of those beside
// it. That one need not be there; another one has to.
func accessRules(tree pamstack.Tree, path string) (text string, read bool) {
	text, err := tree.Read(path)
	if path != accessFile {
		return text, err == nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		text, err = tree.Read("/usr" + accessFile) // openSUSE's
	}
	beside, _ := filepath.Glob(tree.Root + "/etc/security/access.d/*.conf") // the pattern is right
	for _, file := range beside {
		also, err := tree.Read(strings.TrimPrefix(file, tree.Root))
		if err != nil {
			return "", false
		}
		text += "\n" + also
	}
	return text, err == nil || errors.Is(err, fs.ErrNotExist)
}

// refused says whether a file refuses anybody, and whether it refuses the rest: whoever
// none of its lines lets in, but for those whom it names as exceptions.
func refused(text string) (some, rest bool) {
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimRight(line, "\n \t"), ":", 3)
		if len(fields) < 3 || fields[0] == "" {
			continue
		}
		people, origins := accessList(fields[1]), accessList(fields[2])
		all := len(people) > 0 && people[0] == "ALL" && len(origins) > 0 && origins[0] == "ALL"
		switch {
		case fields[0][0] == '+' && all && len(people)+len(origins) == 2:
			return some, false // no line behind it counts
		case fields[0][0] == '-' && all:
			return true, true
		case fields[0][0] == '-':
			some = true
		}
	}
	return some, false
}

func accessList(field string) []string {
	return strings.FieldsFunc(field, func(r rune) bool { return strings.ContainsRune(", \t", r) })
}
