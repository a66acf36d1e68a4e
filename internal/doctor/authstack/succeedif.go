package authstack

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/otpgate/otpgate/internal/pamstack"
)

// succeedIfFlags are arguments of pam_succeed_if that are no part of a condition.
var succeedIfFlags = words("debug use_uid quiet quiet_fail quiet_success audit")

// said is what is known of one condition.
type said uint8

const (
	perhaps said = iota
	always
	never
	mostly // of all people but root, or the accounts of the system
)

// succeedIf is about pam_succeed_if, whose conditions must all hold: "user notingroup x"
// of a group that is not there is true of everybody.
func (s Stack) succeedIf(line pamstack.Line, names Names) answer {
	arguments := slices.DeleteFunc(slices.Clone(line.Args), func(word string) bool { return succeedIfFlags[word] })
	a := answer{toAll: true}
	var reasons []string
	for ; len(arguments) >= 3; arguments = arguments[3:] {
		verdict, why := s.condition(arguments[0], arguments[1], arguments[2], line.Has("use_uid"), names)
		if why != "" {
			reasons = append(reasons, why)
		}
		switch verdict {
		case never:
			return answer{toNone: true}
		case perhaps:
			return answer{}
		case mostly:
			a.toAll = false
		}
	}
	if len(reasons) == 0 || len(arguments) > 0 {
		return answer{} // no condition, or half of one: it does not say yes
	}
	a.said = "It says yes to everybody: " + strings.Join(reasons, ", and ") + "."
	a.fix = "correct the condition at " + line.Position.String() + ", or take the line out."
	if !a.toAll {
		a.fix, a.said = "", "It says yes to all but a few: "+strings.Join(reasons, ", and ")+"."
	}
	return a
}

// condition is what is known of one, and why. It may be about who runs the program.
func (s Stack) condition(left, operator, right string, ofCaller bool, names Names) (verdict said, why string) {
	switch {
	case left == "service":
		return s.ofService(operator, right)
	case left == "user" && operator == "notingroup":
		return outside(right, names)
	case ofCaller:
		return perhaps, ""
	case left == "uid":
		return ofUID(operator, right)
	case left == "user" && (operator == "!=" || operator == "notin" && !strings.Contains(right, ":")):
		return mostly, "nobody but " + right + " is left out" // a list may be of all people
	}
	return perhaps, ""
}

// ofService is about the name of the service, which is known here.
func (s Stack) ofService(operator, right string) (verdict said, why string) {
	glob, err := filepath.Match(right, s.Service)
	holds, known := map[string]bool{
		"=": s.Service == right, "!=": s.Service != right,
		"=~": glob && err == nil, "!~": !glob,
		"in": slices.Contains(strings.Split(right, ":"), s.Service), "notin": !slices.Contains(strings.Split(right, ":"), s.Service),
	}[operator]
	switch {
	case !known || err != nil:
		return perhaps, ""
	case holds:
		return always, "service " + operator + " " + right + " is true of " + s.Service
	}
	return never, ""
}

// firstPerson and lastPerson are uids that distributions give to people.
const firstPerson, lastPerson = 1000, 60000

// ofUID is about uids: whether people's are all among those that are meant.
func ofUID(operator, right string) (verdict said, why string) {
	n, err := strconv.Atoi(right)
	if err != nil {
		return perhaps, ""
	}
	people := map[string]bool{">=": n <= firstPerson, ">": n < firstPerson, "<=": n >= lastPerson, "<": n > lastPerson,
		"ne": n < firstPerson || n > lastPerson}[operator]
	if !people {
		return perhaps, ""
	}
	whom := "all people"
	if operator != ">=" && operator != ">" && n >= firstPerson { // those of directories may have higher ones
		whom += fmt.Sprintf(" with uids from %d to %d", firstPerson, lastPerson)
	}
	return mostly, "uid " + operator + " " + right + " is true of " + whom
}

// outside is about groups that nobody is in, as they are not there.
func outside(groups string, names Names) (verdict said, why string) {
	if names.GroupKnown == nil {
		return perhaps, ""
	}
	for group := range strings.SplitSeq(groups, ":") {
		if known, err := names.GroupKnown(group); err != nil || known {
			return perhaps, ""
		}
	}
	return always, "this machine knows no group " + strings.ReplaceAll(groups, ":", " or ") + ", so that all are outside it"
}
