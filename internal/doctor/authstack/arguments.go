package authstack

import (
	"fmt"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// arguments finds what the module would not take, which denies everybody.
func (s Stack) arguments() []finding.Finding {
	var found []finding.Finding
	for _, i := range s.Ours() {
		line := s.Lines[i]
		for n, argument := range line.Args {
			if expected := wrongArgument(argument, line.Args[:n], s.declaredFor(line)); expected != "" {
				found = append(found, s.wrong(i, argument, expected))
			}
		}
		if !pamstack.Stops(line.Actions) {
			found = append(found, s.line(i, finding.Finding{Severity: finding.Note, ID: "control",
				What:    "The control of the line is " + bracketed(line.Control) + ".",
				Follows: "What it does hangs on every return of the module; the stack was walked with those it has today.",
				Fix:     "Write required."}))
		}
	}
	return found
}

func (s Stack) wrong(i int, argument, expected string) finding.Finding {
	return s.line(i, finding.Finding{Severity: finding.Error, ID: "argument",
		What:    fmt.Sprintf("The module does not take the argument %q, expected %s.", argument, expected),
		Follows: "It denies every login.", Fix: "Correct or remove the argument, see docs/pam-stacks.md."})
}

// WrongProtocol looks at the protocol that a line names, by what the
// configuration declares that the line names too.
func (s Stack) WrongProtocol(i int, declared []config.Protocol) (f finding.Finding, wrong bool) {
	name := s.Lines[i].Arg("protocol")
	if name == "" {
		return f, false
	}
	expected := wrongValue("protocol", name, declared)
	return s.wrong(i, "protocol="+name, expected), expected != ""
}

// declaredFor are the policy's own protocols that a line may name. Where it names
// another configuration, that is looked at with the same.
func (s Stack) declaredFor(line pamstack.Line) []config.Protocol {
	if line.Arg("config") != "" {
		return []config.Protocol{config.Protocol(line.Arg("protocol"))}
	}
	return s.declared
}

// Ours are the indices of all our lines.
func (s Stack) Ours() []int {
	own := append(slices.Clone(s.Splits), s.Checks...)
	slices.Sort(own)
	return own
}

// wrongArgument says what was expected instead of an argument, as the front
// does (pam_module/front/args.c).
func wrongArgument(argument string, before []string, own []config.Protocol) string {
	name, value, valued := strings.Cut(argument, "=")
	for _, b := range before {
		if other, _, _ := strings.Cut(b, "="); other == name {
			return name + " only once"
		}
	}
	switch {
	case !valued && (name == "debug" || name == "split"):
		return ""
	case !valued:
		return everyArgument
	}
	return wrongValue(name, value, own)
}

// everyArgument is what a name that the module does not know should have been.
const everyArgument = "split, config=/path, protocol=NAME, timeout=1 to 600, verifier=off or a path, or debug"

// wrongValue says what value an argument wants, "" if it has that.
func wrongValue(name, value string, own []config.Protocol) string {
	switch name {
	case "config":
		if !strings.HasPrefix(value, "/") {
			return "an absolute path after config="
		}
	case "protocol":
		if err := config.CheckProtocol(config.Protocol(value), own); err != nil {
			return strings.TrimPrefix(err.Error(), "expected ")
		}
	case "verifier":
		if value != "off" && !(strings.HasPrefix(value, "/") && len(value) <= 107) {
			return "off or an absolute path of at most 107 bytes after verifier="
		}
	case "timeout":
		if !validTimeout(value) {
			return "whole seconds from 1 to 600 after timeout="
		}
	default:
		return everyArgument
	}
	return ""
}

func validTimeout(value string) bool {
	n := 0
	_, err := fmt.Sscanf(value+" ", "%d ", &n)
	return err == nil && len(value) <= 3 && strings.Trim(value, "0123456789") == "" && n >= 1 && n <= 600
}

func bracketed(control string) string {
	if strings.ContainsAny(control, "= ") {
		return "[" + control + "]"
	}
	return control
}
