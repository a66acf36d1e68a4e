package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// arguments finds what the module would not take, which denies everybody.
func (s Stack) arguments() []Finding {
	var found []Finding
	for _, i := range s.own() {
		line := s.Lines[i]
		for n, argument := range line.Args {
			if expected := wrongArgument(argument, line.Args[:n], s.declaredFor(line)); expected != "" {
				found = append(found, s.wrong(i, argument, expected))
			}
		}
		if control := strings.ToLower(line.Control); control != "required" && control != "requisite" {
			found = append(found, s.line(i, Finding{Severity: Note, ID: "control",
				What:    "The control of the line is " + bracketed(line.Control) + ".",
				Follows: "What it does hangs on every return of the module; the stack was walked with those it has today.",
				Fix:     "Write required."}))
		}
	}
	return found
}

func (s Stack) wrong(i int, argument, expected string) Finding {
	return s.line(i, Finding{Severity: Error, ID: "argument",
		What:    fmt.Sprintf("The module does not take the argument %q, expected %s.", argument, expected),
		Follows: "It denies every login.", Fix: "Correct or remove the argument, see docs/pam-stacks.md."})
}

// declaredFor are the policy's own protocols that a line may name. Where it names
// another configuration, that is looked at with the same.
func (s Stack) declaredFor(line pamstack.Line) []config.Protocol {
	if line.Arg("config") != "" {
		return []config.Protocol{config.Protocol(line.Arg("protocol"))}
	}
	return s.declared
}

func (s Stack) own() []int {
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

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func bracketed(control string) string {
	if strings.ContainsAny(control, "= ") {
		return "[" + control + "]"
	}
	return control
}

// oneFieldProtocols, and services of other protocols, are those of servers that
// have one field for all that is asked.
var (
	oneFieldProtocols = []config.Protocol{"ftp", "ftps", "http", "https", "webdav"}
	oneFieldServices  = append([]string{dovecotService, "radiusd", "freeradius", "xrdp-sesman", "pure-ftpd", "cups", "squid"}, dovecotProtocols...)
)

// OneField says whether a service's server answers every prompt with the one
// field that its clients have.
func OneField(service string, protocol config.Protocol) bool {
	return slices.Contains(oneFieldProtocols, protocol) || slices.Contains(oneFieldServices, service)
}

// splits is about codes behind the password.
func (s Stack) splits() []Finding {
	var found []Finding
	kinds := kindsOf(s.Lines)
	first := slices.Index(kinds, password)
	switch {
	case len(s.Splits) > 0 && (len(s.Checks) == 0 || s.Checks[len(s.Checks)-1] < s.Splits[0]):
		found = append(found, s.line(s.Splits[0], Finding{Severity: Error, ID: "split-without-check",
			What:    "The line with split takes the code off the password, and no line behind it checks the code.",
			Follows: "Everybody gets in with the password and any code or none.",
			Fix:     "Add behind the password modules: auth required " + ModuleName}))
	case len(s.Splits) > 0 && first >= 0 && first < s.Splits[0]:
		found = append(found, s.line(s.Splits[0], Finding{Severity: Error, ID: "split-too-late",
			What:    fmt.Sprintf("The line with split comes behind %s (%s), which has taken the whole field for the password by then.", s.Lines[first].Name(), s.Lines[first].Place),
			Follows: "Whoever types a code behind the password is denied.",
			Fix:     "Move the line with split before the password modules."}))
	case len(s.Splits) == 0 && OneField(s.Service, s.Protocol) && len(s.Checks) > 0 && first >= 0:
		found = append(found, s.line(s.Checks[0], Finding{Severity: Error, ID: "one-field-without-split",
			What:    s.Service + " is a service whose clients have one field for password and code, and no line with split takes the code off it.",
			Follows: "The server answers the prompt for a code with the password: whoever needs a code is denied.",
			Fix:     "Add before the password modules: auth required " + ModuleName + " split"}))
	}
	return found
}
