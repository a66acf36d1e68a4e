package authstack

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/otpgate/otpgate/internal/pamstack"
)

// answer is what files say of a module that is no password's: whom it says yes to. Whoever
// a yes to most people leads past another line is not the exception.
type answer struct {
	// toAll says that it refuses nobody, toNone that it says yes to nobody.
	toAll, toNone bool
	// said is whom it says yes to, and fix what changes that, if anything but taking it out does.
	said, fix string
}

// Names says what the name services know. The zero value knows nothing.
type Names struct {
	GroupKnown func(name string) (bool, error)
}

// Reading is the stack with what the files say that modules read.
func (s Stack) Reading(tree pamstack.Tree, names Names) Stack {
	s.answers = map[int]answer{}
	for i, line := range s.Lines {
		if line.Kind != pamstack.Module || !leads(line) {
			continue
		}
		switch short(line) {
		case "access":
			s.readAccess(i, tree)
		case "listfile":
			s.answers[i] = listed(line, tree)
		case "succeed_if":
			s.answers[i] = s.succeedIf(line, names)
		case "duo":
			s.answers[i] = duo(line, tree)
		case "shells":
			s.answers[i] = answer{said: "It says yes to all whose shell is in /etc/shells."}
		case "usertype":
			if line.Has("isregular") {
				s.answers[i] = answer{said: "It says yes to all but the accounts of the system."}
			}
		}
	}
	return s
}

// listed is about pam_listfile. What it says where its file is not there, onerr does; but
// with apply it ignores all others before it looks.
func listed(line pamstack.Line, tree pamstack.Tree) answer {
	if line.Arg("apply") != "" {
		return answer{}
	}
	file := line.Arg("file")
	_, err := tree.Read(file)
	switch missing := errors.Is(err, fs.ErrNotExist); {
	case missing && line.Arg("onerr") == "succeed":
		return answer{toAll: true, said: "It says yes to everybody: there is no " + file + ", and it has onerr=succeed.",
			fix: "put that file there, or take the line " + line.Position.String() + " out."}
	case missing:
		return answer{}
	case line.Arg("sense") == "deny":
		return answer{said: "It says yes to all who are not in " + file + "."}
	}
	return answer{}
}

// duoFiles are what pam_duo reads if a line names no file: as it is built by itself, and as
// distributions build it.
var duoFiles = []string{"/etc/duo/pam_duo.conf", "/etc/security/pam_duo.conf"}

// duo is about pam_duo, which says yes to whomever it does not ask.
func duo(line pamstack.Line, tree pamstack.Tree) answer {
	files := duoFiles
	if named := line.Arg("conf"); named != "" {
		files = []string{named}
	}
	for _, file := range files {
		text, err := tree.Read(file)
		if err != nil {
			continue
		}
		groups, safe := "", true
		for line := range strings.Lines(text) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			switch value = strings.TrimSpace(value); strings.TrimSpace(key) {
			case "group", "groups":
				groups = value
			case "failmode":
				safe = value != "secure"
			}
		}
		return duoSaid(file, groups, safe)
	}
	return answer{}
}

func duoSaid(file, groups string, safe bool) (a answer) {
	if groups != "" && groups != "*" {
		a.said = "It says yes, without asking, to all whom groups = " + groups + " in " + file + " leaves out."
	}
	if a.said != "" && safe {
		a.said += " Without failmode = secure it says so to everybody while Duo's servers are not reached."
	}
	return a
}
