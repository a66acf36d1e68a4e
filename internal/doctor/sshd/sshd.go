// Package sshd finds what keeps OpenSSH's daemon from asking for a code that its
// stack wants asked, or lets people in beside that stack. What is in force is
// sshd's to say (sshd -T); the files serve to say where a value comes from.
package sshd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

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
}

// view is what holds for some logins.
type view struct {
	Exam
	stack    authstack.Stack
	values   map[string]string
	settings []setting
	match    *setting
}

// Examine looks whether the daemon can ask what its stack wants to be asked.
func (e Exam) Examine(ctx context.Context) []finding.Finding {
	v := view{Exam: e, settings: settingsOf(e.Machine.Root)}
	if !v.concerned() {
		return nil
	}
	text, err := e.Machine.SSHD(ctx, "")
	switch {
	case errors.Is(err, target.ErrNoSSHD):
		return nil
	case err != nil:
		return []finding.Finding{v.refused(err)}
	}
	v.values = valuesOf(text)
	found := v.examine()
	global := found
	for _, match := range v.matches() {
		spec, good := match.spec()
		if !good {
			continue
		}
		text, err := e.Machine.SSHD(ctx, spec)
		if err != nil {
			continue
		}
		within := v
		within.values, within.match = valuesOf(text), &match
		for _, f := range within.examine() {
			if !slices.ContainsFunc(global, func(g finding.Finding) bool { return g.ID == f.ID && slices.Equal(g.Services, f.Services) }) {
				f.What = "For Match " + match.value + " (" + match.Place.String() + "): " + f.What
				found = append(found, f)
			}
		}
	}
	return found
}

// refused is about a configuration that sshd does not take.
func (v view) refused(err error) finding.Finding {
	v.values = v.written()
	v.stack.Service = v.service()
	if !v.on("kbdinteractiveauthentication") && strings.Contains(err.Error(), `Disabled method "keyboard-interactive"`) {
		f := v.kbdOff()
		f.Follows = "AuthenticationMethods wants it, so sshd refuses to start with this configuration."
		return f
	}
	return finding.Finding{Severity: finding.Error, ID: "sshd-config", Services: []string{defaultService}, File: target.SSHDConfig,
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
		if s, found := origin(v.settings, nil, keyword); found {
			values[keyword] = strings.ToLower(s.value)
		}
	}
	return values
}

func (v view) on(keyword string) bool { return v.values[keyword] == "yes" }

// about is a finding at the line that a value comes from.
func (v view) about(keyword string, f finding.Finding) finding.Finding {
	s, found := origin(v.settings, v.match, keyword)
	f.Services = []string{v.stack.Service}
	f.File = s.File
	if found {
		f.Line = s.Line
	}
	return f
}

// check looks at one set of values. Methods are as in sshd_config(5).
func (v view) check() []finding.Finding {
	if !v.on("usepam") {
		return []finding.Finding{v.about("usepam", finding.Finding{Severity: finding.Error, ID: "sshd-without-pam", What: "sshd does not use PAM: UsePAM is no.",
			Follows: "/etc/pam.d/sshd, and so the code, counts for nothing.", Fix: v.set("UsePAM yes")})}
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
	return append(found, v.codeAlone(lists)...)
}

const kbd = "keyboard-interactive"

func usesKbd(lists [][]string) bool {
	return slices.ContainsFunc(lists, func(list []string) bool { return slices.Contains(list, kbd) })
}

func (v view) kbdOff() finding.Finding {
	first, _ := origin(v.settings, v.match, "kbdinteractiveauthentication")
	f := v.about("kbdinteractiveauthentication", finding.Finding{Severity: finding.Error, ID: "sshd-kbdint-off",
		What:    "keyboard-interactive is off.",
		Follows: "sshd cannot ask for a code: whoever needs one does not get in.",
		Fix:     v.set("KbdInteractiveAuthentication yes")})
	if path, found := v.unread("kbdinteractiveauthentication", "yes"); found {
		f.What = "keyboard-interactive is off, and sshd does not read " + path + ", which says yes."
	}
	if late, found := later(v.settings, first, "yes"); found {
		f.ID = "sshd-kbdint-overridden"
		f.What = fmt.Sprintf("keyboard-interactive is off: %s says no first, and %s, which says yes, comes too late.", first.Place, late.Place)
		f.Fix = fmt.Sprintf("sshd takes the first value that it reads: have the file of %s sort before %s, or correct the latter.", late.Place, first.File)
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

// withoutCode finds ways in that never come to the stack.
func (v view) withoutCode(lists [][]string) []finding.Finding {
	for _, list := range lists {
		if slices.Contains(list, kbd) || slices.Contains(list, "password") {
			continue
		}
		named := strings.Join(list, ",")
		severity, keyword := finding.Warning, "pubkeyauthentication"
		if methods := v.values["authenticationmethods"]; methods != "" && methods != "any" {
			severity, keyword = finding.Note, "authenticationmethods"
		}
		return []finding.Finding{v.about(keyword, finding.Finding{Severity: severity, ID: "sshd-key-alone",
			What:    "The method " + named + " gets in alone.",
			Follows: "sshd does not ask PAM for a code then.",
			Fix:     "To ask for key, password and code: AuthenticationMethods publickey,keyboard-interactive:pam keyboard-interactive:pam. If it is meant, leave it."})}
	}
	return nil
}

// codeAlone is about stacks without a password, which are for keys and codes.
func (v view) codeAlone(lists [][]string) []finding.Finding {
	if v.stack.AsksPassword() || len(v.stack.Checks) == 0 {
		return nil
	}
	for _, list := range lists {
		if slices.Contains(list, kbd) && !slices.Contains(list, "publickey") {
			check := v.stack.Lines[v.stack.Checks[0]]
			f := finding.At(check.Place, finding.Finding{Severity: finding.Error, ID: "sshd-code-alone", Services: []string{v.stack.Service},
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
