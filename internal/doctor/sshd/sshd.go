// Package sshd finds what keeps OpenSSH's daemon from asking for a code that its
// stack wants asked, or lets people in beside that stack. What is in force is
// sshd's to say (sshd -T); the files serve to say where a value comes from.
package sshd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
)

// Exam is what is looked at.
type Exam struct {
	Machine *target.Machine
	// Stacks are the services that are examined, and Load reads another one.
	Stacks []authstack.Stack
	Load   func(service string) (authstack.Stack, error)
	// Named says that only these services are meant.
	Named bool
	// Policy is who is asked, and RootEnrolled says that root has a code.
	Policy       config.Policy
	RootEnrolled bool
}

// view is what holds for some logins.
type view struct {
	Exam
	daemon
	stack    authstack.Stack
	values   map[string]string
	settings []setting
	match    *setting
}

// Examine looks whether the daemons can ask what their stacks want to be asked.
func (e Exam) Examine(ctx context.Context) []finding.Finding {
	var found []finding.Finding
	var first []finding.Finding
	for i, d := range daemons(e.Machine) {
		v := view{Exam: e, daemon: d, settings: settingsOf(e.Machine.Root, d)}
		if i > 0 && e.Named && !v.named() || !v.concerned() {
			continue
		}
		more := v.all(ctx)
		if i == 0 {
			first = more
		}
		for _, f := range more {
			if i > 0 && slices.ContainsFunc(first, func(g finding.Finding) bool { return same(f, g) && f.Where() == g.Where() && f.What == g.What }) {
				continue
			}
			if i > 0 || d.query.Config != "" || len(d.options) > 0 {
				f.What = "For the sshd of " + d.said(v.values, f.Where()) + ": " + f.What
			}
			found = append(found, f)
		}
	}
	return found
}

// all looks at the logins that no Match is about, and at those that each is about.
func (v *view) all(ctx context.Context) []finding.Finding {
	if v.unclear != "" {
		return []finding.Finding{v.untold()}
	}
	text, err := v.ask(ctx, "")
	switch {
	case errors.Is(err, target.ErrNoSSHD):
		return v.absent()
	case errors.Is(err, target.ErrUntrusted):
		return []finding.Finding{v.untrusted(err)}
	case err != nil:
		return []finding.Finding{v.refused(err)}
	}
	v.values = valuesOf(text)
	return append(v.examine(), v.underMatches(ctx)...)
}

// same says whether two findings are one for whoever passes over one of them.
func same(f, g finding.Finding) bool {
	return f.ID == g.ID && f.Severity >= g.Severity && slices.Equal(f.Services, g.Services)
}

// ask is sshd -T with the daemon's arguments. Without a login in mind it takes one
// that no Match is about; some versions want one to be named then too.
func (v view) ask(ctx context.Context, spec string) (string, error) {
	query := v.query
	query.Spec = spec
	text, err := v.Machine.SSHD(ctx, query)
	if err != nil && spec == "" && strings.Contains(err.Error(), "not in connection test specification") {
		query.Spec = login{}.spec()
		text, err = v.Machine.SSHD(ctx, query)
	}
	return text, err
}

// untold is about a daemon whose arguments files do not tell.
func (v view) untold() finding.Finding {
	return finding.At(v.Position, finding.Finding{Severity: finding.Note, ID: "sshd-untried", Services: []string{defaultService},
		What:    "It has the argument " + v.unclear + ", and what that stands for cannot be read here.",
		Follows: "Whether it asks for a code was not looked at.",
		Fix:     "While it runs, otpctl doctor looks at it; or sshd -T -f FILE as root says what is in force."})
}

// absent is about a unit that starts an sshd which is not there to be asked: it is
// not installed any more, or not yet.
func (v view) absent() []finding.Finding {
	if v.query.Program == "" {
		return nil
	}
	f := finding.NotLookedAt(finding.Warning, "what sshd has in force", "there is no "+v.query.Program+", and this unit starts it")
	f.Services = []string{defaultService}
	f.Follows = "Whether it asks for a code, or lets somebody in beside the stack, nothing here says."
	f.Fix = "Install it, or take the unit away: systemctl disable " + v.by
	return []finding.Finding{finding.At(v.Position, f)}
}

// untrusted is about a daemon whose program or configuration others can write.
func (v view) untrusted(err error) finding.Finding {
	f := finding.At(v.Position, finding.NotLookedAt(finding.Warning, "what "+cmp.Or(v.by, "sshd")+" has in force", err.Error()))
	f.Services = []string{defaultService}
	f.Follows = "Whoever can write it decides who gets in there, and runs what he likes as root."
	f.Fix = "Have the file, and the directories above it, belong to root and be writable for nobody else: chown root, chmod go-w."
	return f
}

// refused is about a configuration that sshd does not take.
func (v view) refused(err error) finding.Finding {
	v.values = v.written()
	v.stack.Service = v.service()
	if v.query.Config != "" && !v.Machine.Has(v.query.Config) {
		return finding.At(v.Position, finding.Finding{Severity: finding.Error, ID: "sshd-config", Services: []string{v.service()},
			What:    "Its configuration " + v.query.Config + " is not there.",
			Follows: "It does not start, and nobody gets in by it.",
			Fix:     "Correct the path behind -f, or put the file there; sshd -t -f " + v.query.Config + " tries it."})
	}
	if !v.on("kbdinteractiveauthentication") && strings.Contains(err.Error(), `Disabled method "keyboard-interactive"`) {
		f := v.kbdOff()
		f.Follows = "AuthenticationMethods wants it, so sshd refuses to start with this configuration."
		return f
	}
	return finding.Finding{Severity: finding.Error, ID: "sshd-config", Services: []string{v.service()}, File: v.config(),
		What: "sshd does not say what is in force: " + err.Error(), Follows: "It may not start again.", Fix: "Run sshd -t as root and correct what it names."}
}

func valuesOf(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		keyword, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if old, twice := values[keyword]; twice {
			value = old + " " + value
		}
		values[keyword] = value
	}
	return values
}

// written is what the files say, for want of what sshd says.
func (v view) written() map[string]string {
	values := map[string]string{"kbdinteractiveauthentication": "yes"}
	for _, keyword := range decisive {
		if s, found := v.origin(keyword); found {
			values[keyword] = strings.ToLower(s.value)
		}
	}
	return values
}

func (v view) on(keyword string) bool { return v.values[keyword] == "yes" }

// about is a finding at the line that a value comes from.
func (v view) about(keyword string, f finding.Finding) finding.Finding {
	s, found := v.origin(keyword)
	f.Services = []string{v.stack.Service}
	f.File = s.File
	if found {
		f.Line = s.Line
	}
	if s.argument != "" {
		f.Fix = "Take -o " + s.argument + " out of what starts it: arguments count before every file."
	}
	return f
}

// check looks at one set of values. Methods are as in sshd_config(5).
func (v view) check() []finding.Finding {
	if !v.on("usepam") {
		return []finding.Finding{v.about("usepam", finding.Finding{Severity: finding.Error, ID: "sshd-without-pam", What: "sshd does not use PAM: UsePAM is no.",
			Follows: "/etc/pam.d/sshd, and so the code, counts for nothing.", Fix: "Set UsePAM yes " + v.where("usepam") + "."})}
	}
	var found []finding.Finding
	lists := v.lists()
	if asks := usesKbd(lists); !v.on("kbdinteractiveauthentication") {
		found = append(found, v.kbdOff())
	} else if !asks && len(v.stack.Splits) == 0 {
		found = append(found, v.about("authenticationmethods", finding.Finding{Severity: finding.Error, ID: "sshd-never-asks",
			What:    "AuthenticationMethods " + v.values["authenticationmethods"] + " names no keyboard-interactive.",
			Follows: "sshd never asks for a code: whoever needs one does not get in, and other methods get in without.",
			Fix:     "AuthenticationMethods keyboard-interactive:pam"}))
	}
	found = append(found, v.passwordMethod(lists)...)
	found = append(found, v.withoutCode(lists)...)
	found = append(found, v.byKerberos(lists)...)
	found = append(found, v.codeAlone(lists)...)
	found = append(found, v.root(lists)...)
	return append(found, v.names()...)
}

const kbd = "keyboard-interactive"

func usesKbd(lists [][]string) bool {
	return slices.ContainsFunc(lists, func(list []string) bool { return slices.Contains(list, kbd) })
}

func (v view) kbdOff() finding.Finding {
	first, _ := v.origin("kbdinteractiveauthentication")
	f := v.about("kbdinteractiveauthentication", finding.Finding{Severity: finding.Error, ID: "sshd-kbdint-off",
		What:    "keyboard-interactive is off.",
		Follows: "sshd cannot ask for a code: whoever needs one does not get in.",
		Fix:     "Set KbdInteractiveAuthentication yes " + v.where("kbdinteractiveauthentication") + "."})
	if path, found := v.unread("kbdinteractiveauthentication", "yes"); found {
		f.What = "keyboard-interactive is off, and sshd does not read " + path + ", which says yes."
	}
	if late, found := v.later(first, "yes"); found && first.argument == "" && first.match == nil {
		f.ID = "sshd-kbdint-overridden"
		f.What = fmt.Sprintf("keyboard-interactive is off: %s says no first, and %s, which says yes, comes too late.", first.Position, late.Position)
		f.Fix = fmt.Sprintf("sshd takes the first value that it reads: have the file of %s sort before %s, or correct the latter.", late.Position, first.File)
	}
	return f
}

// passwordMethod finds the method that gives the password to every prompt.
func (v view) passwordMethod(lists [][]string) []finding.Finding {
	uses := slices.ContainsFunc(lists, func(list []string) bool { return slices.Contains(list, "password") })
	if !uses || len(v.stack.Splits) > 0 {
		return nil
	}
	keyword := "passwordauthentication"
	if methods := v.values["authenticationmethods"]; methods != "" && methods != "any" {
		keyword = "authenticationmethods"
	}
	return []finding.Finding{v.about(keyword, finding.Finding{Severity: finding.Warning, ID: "sshd-password-method",
		What:    "sshd takes the method password, which answers every prompt with the password, that for the code too.",
		Follows: "Who needs a code is denied by that method, and clients that try it first seem broken.",
		Fix:     "Set PasswordAuthentication no; keyboard-interactive asks for the password as well."})}
}

// codeAlone is about stacks without a password, which are for keys and codes.
func (v view) codeAlone(lists [][]string) []finding.Finding {
	if v.stack.AsksPassword() || len(v.stack.Checks) == 0 || !v.stack.LetsIn(authstack.Outcome{}) {
		return nil // or nobody gets in, which is said of the stack
	}
	for _, list := range lists {
		if slices.Contains(list, kbd) && !slices.Contains(list, "publickey") {
			check := v.stack.Lines[v.stack.Checks[0]]
			f := finding.At(check.Position, finding.Finding{Severity: finding.Error, ID: "sshd-code-alone", Services: []string{v.stack.Service},
				What:    "The stack asks for no password, and sshd does not ask for a key before it (" + strings.Join(list, ",") + ").",
				Follows: "Who is enrolled gets in with the code alone, and who is not asked gets in with nothing at all.",
				Fix:     "AuthenticationMethods publickey,keyboard-interactive:pam, and no other; or put the password modules back."})
			if !v.stack.LetsIn(authstack.Outcome{Code: authstack.NotAsked}) {
				f.Follows = "Who is enrolled gets in with the code alone."
			}
			return []finding.Finding{f}
		}
	}
	return nil
}
