package root

import (
	"bytes"
	"path"
	"regexp"
	"strings"
)

// makesRoot are polkit's actions that make root: pkexec's, those of run0 and
// systemd-run, and machinectl's shell of the machine itself.
var makesRoot = []string{
	"org.freedesktop.policykit.exec", "org.freedesktop.systemd1.manage-units", "org.freedesktop.systemd1.manage-unit-files",
	"org.freedesktop.machine1.host-shell", "org.freedesktop.machine1.host-login", "org.freedesktop.machine1.shell",
}

// How a rule's program says that nobody is asked, which action it is about, and which
// program or unit.
var (
	yes       = regexp.MustCompile(`Result\.YES|Result\[["']YES["']\]|return\s+\(?["']yes["']`)
	anyAction = regexp.MustCompile(`action\.id|action\.lookup|\baction\b\s*\[`)
	narrowed  = regexp.MustCompile(`action\.lookup\(`)
	literal   = regexp.MustCompile(`"([^"\n]*)"|'([^'\n]*)'|/\^?((?:[a-zA-Z0-9_.-]|\\.)+)`)
)

// namesRoot says whether a program names such an action, or what those begin with.
func namesRoot(code string) bool {
	for _, found := range literal.FindAllStringSubmatch(code, -1) {
		text := strings.ReplaceAll(found[1]+found[2]+found[3], `\`, "")
		for _, action := range makesRoot {
			if strings.Contains(text, ".") && strings.HasPrefix(action, strings.TrimRight(text, "*$")) {
				return true
			}
		}
	}
	return false
}

// actsAsRoot says whether a list of patterns has such an action in it.
func actsAsRoot(patterns string) bool {
	for pattern := range strings.SplitSeq(patterns, ";") {
		for _, action := range makesRoot {
			if match, err := path.Match(strings.TrimSpace(pattern), action); err == nil && match {
				return true
			}
		}
	}
	return false
}

// withoutComments is a program with blanks for its comments, so that each line stays
// where it was.
func withoutComments(code string) string {
	out := []byte(code)
	quote := byte(0)
	for i := 0; i < len(out); i++ {
		switch letter := out[i]; {
		case quote != 0 && letter == '\\':
			i++
		case quote != 0:
			if letter == quote || letter == '\n' {
				quote = 0
			}
		case letter == '"' || letter == '\'' || letter == '`':
			quote = letter
		case letter == '/' && bytes.HasPrefix(out[i:], []byte("//")):
			for ; i < len(out) && out[i] != '\n'; i++ {
				out[i] = ' '
			}
		case letter == '/' && bytes.HasPrefix(out[i:], []byte("/*")):
			end := bytes.Index(out[i:], []byte("*/"))
			if end < 0 {
				end = len(out) - i - 2
			}
			for stop := i + end + 2; i < stop; i++ {
				if out[i] != '\n' {
					out[i] = ' '
				}
			}
			i--
		}
	}
	return string(out)
}
