package root

import (
	"fmt"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/doctor/unit"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// doasFiles are what doas reads: the second one beside it in some distributions.
var doasFiles = []string{"/etc/doas.conf", "/etc/doas.d/*.conf"}

// doas looks at what becomes root by doas, where that, sudo or su is to ask for a
// code.
func (e *exam) doas() {
	guards := e.guarded("doas", "sudo", "sudo-i", "su", "su-l")
	if len(guards) == 0 {
		return
	}
	asks, there := e.asks("doas")
	rules := e.permits()
	for i, r := range rules {
		same := func(later permit) bool {
			return later.who == r.who && (later.command == "" || later.command == r.command)
		}
		if r.nopass && !slices.ContainsFunc(rules[i+1:], same) { // the last one counts
			e.add(finding.At(r.Position, r.unasked()))
		}
	}
	asked := func(r permit) bool { return !r.nopass && !r.denies }
	if asks || !slices.ContainsFunc(rules, asked) {
		return
	}
	f := finding.Finding{Severity: finding.Warning, ID: "sibling-without-line", Services: []string{"doas"}, File: "/etc/pam.d/doas",
		What:    have(guards) + " the line, and doas has none.",
		Follows: "doas, which makes root as they do, asks for the password alone.",
		Fix:     "otpctl pam enable doas"}
	if !there {
		f.Follows = "doas, which makes root as they do, asks for the password alone: by the service other, or by itself where it was built without PAM."
		f.File = "/etc/doas.conf"
		f.Fix = "Write an /etc/pam.d/doas with the line, if doas is built with PAM; or take the rules out of /etc/doas.conf."
	}
	e.add(f)
}

// permits are the rules about becoming root, in order.
func (e *exam) permits() (rules []permit) {
	for _, pattern := range doasFiles {
		for _, file := range e.Machine.Glob(pattern) {
			for place, text := range target.Lines(e.Machine.Root, file, 0) {
				if r, ok := doasRule(text); ok && r.asRoot {
					r.Position = place
					rules = append(rules, r)
				}
			}
		}
	}
	return rules
}

// permit is a rule of doas.conf(5).
type permit struct {
	pamstack.Position
	who, command           string
	nopass, denies, asRoot bool
}

// doasRule reads a line.
func doasRule(text string) (r permit, ok bool) {
	words := unit.Split(text)
	if at := slices.IndexFunc(words, func(word string) bool { return strings.HasPrefix(word, "#") }); at >= 0 {
		words = words[:at]
	}
	if len(words) == 0 || words[0] != "permit" && words[0] != "deny" {
		return permit{}, false
	}
	r.asRoot, r.denies = true, words[0] == "deny"
	for i := 1; i < len(words); i++ {
		next := ""
		if i+1 < len(words) {
			next = words[i+1]
		}
		switch words[i] {
		case "nopass":
			r.nopass = true
		case "persist", "keepenv", "nolog":
		case "setenv", "{":
			for i < len(words) && !strings.HasSuffix(words[i], "}") {
				i++
			}
		case "as":
			r.asRoot = next == "root"
			i++
		case "cmd":
			r.command = next
			i = len(words)
		default:
			r.who = words[i]
		}
	}
	return r, r.who != "" && r.who != "root"
}

// unasked is about a rule that asks for nothing.
func (r permit) unasked() finding.Finding {
	who := strings.Replace(r.who, ":", "the group ", 1)
	f := finding.Finding{Severity: finding.Warning, ID: "doas-nopass", Services: []string{"doas"},
		What:    fmt.Sprintf("By nopass doas makes root of %s without asking.", who),
		Follows: "Who is in as such a user, however that was, becomes root without a password and without a code. doas has PAM ask for nothing.",
		Fix:     "Take nopass out."}
	if r.command != "" {
		f.Severity = finding.Note
		f.What = fmt.Sprintf("By nopass doas runs %s as root for %s without asking.", r.command, who)
		f.Follows = "How much of root's power that command gives is not looked at."
	}
	return f
}
