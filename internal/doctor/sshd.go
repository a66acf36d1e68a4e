package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// sshdView is what holds for some logins.
type sshdView struct {
	exam     *exam
	stack    Stack
	values   map[string]string
	settings []setting
	match    *setting
}

// sshd looks whether the daemon can ask what its stack wants to be asked.
func (e *exam) sshd(ctx context.Context) {
	view := sshdView{exam: e, settings: sshdSettings(e.Machine.Root)}
	if !view.concerned() {
		return
	}
	text, err := e.Machine.SSHD(ctx, "")
	if errors.Is(err, errNoSSHD) {
		return
	}
	if err != nil {
		view.values = view.written()
		view.stack.Service = view.service()
		if !view.on("kbdinteractiveauthentication") && strings.Contains(err.Error(), `Disabled method "keyboard-interactive"`) {
			f := view.kbdOff()
			f.Follows = "AuthenticationMethods wants it, so sshd refuses to start with this configuration."
			e.add(f)
			return
		}
		e.add(Finding{Severity: Error, ID: "sshd-config", Services: []string{sshdService}, File: sshdConfig,
			What: "sshd does not say what is in force: " + err.Error(), Follows: "It may not start again.", Fix: "Run sshd -t as root and correct what it names."})
		return
	}
	view.values = sshdValues(text)
	global := view.examine()
	e.findings = append(e.findings, global...)
	for _, match := range view.matches() {
		spec, good := match.spec()
		if !good {
			continue
		}
		text, err := e.Machine.SSHD(ctx, spec)
		if err != nil {
			continue
		}
		within := view
		within.values, within.match = sshdValues(text), &match
		for _, f := range within.examine() {
			if !slices.ContainsFunc(global, func(g Finding) bool { return g.ID == f.ID && slices.Equal(g.Services, f.Services) }) {
				f.What = "For Match " + match.value + " (" + match.Place.String() + "): " + f.What
				e.add(f)
			}
		}
	}
}

func sshdValues(text string) map[string]string {
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
func (v sshdView) written() map[string]string {
	values := map[string]string{"kbdinteractiveauthentication": "yes"}
	for _, keyword := range decisive {
		if s, found := origin(v.settings, nil, keyword); found {
			values[keyword] = strings.ToLower(s.value)
		}
	}
	return values
}

// decisive are the keywords that say how people get in.
var decisive = []string{"usepam", "kbdinteractiveauthentication", "passwordauthentication", "pubkeyauthentication",
	"authenticationmethods", "gssapiauthentication", "hostbasedauthentication", "permitemptypasswords",
	pamServiceName}

// matches are the Match lines under which a decisive keyword stands.
func (v sshdView) matches() []setting {
	var found []setting
	for _, s := range v.settings {
		if s.match != nil && slices.Contains(decisive, s.keyword) &&
			!slices.ContainsFunc(found, func(m setting) bool { return m.Place == s.match.Place }) {
			found = append(found, *s.match)
		}
	}
	return found
}

// spec makes up a login that a Match line is about, for sshd -T -C. Of a group
// no member is known here.
func (s setting) spec() (spec string, good bool) {
	with := map[string]string{"user": "nobody", "host": "host.example", "addr": "192.0.2.1"}
	words := strings.Fields(strings.ReplaceAll(s.value, "=", " "))
	for i := 0; i < len(words); i += 2 {
		kind := strings.ToLower(words[i])
		if kind == "all" {
			i--
			continue
		}
		if i+1 == len(words) {
			return "", false
		}
		sample, found := sampleOf(words[i+1])
		if !found {
			return "", false
		}
		switch kind {
		case "user", "host":
			with[kind] = sample
		case "address":
			with["addr"] = sample
		case "localaddress":
			with["laddr"] = sample
		case "localport":
			with["lport"] = sample
		default:
			return "", false
		}
	}
	var parts []string
	for _, key := range []string{"user", "host", "addr", "laddr", "lport"} {
		if with[key] != "" {
			parts = append(parts, key+"="+with[key])
		}
	}
	return strings.Join(parts, ","), true
}

// sampleOf makes up something that a list of patterns matches.
func sampleOf(patterns string) (string, bool) {
	for pattern := range strings.SplitSeq(strings.Trim(patterns, `"`), ",") {
		if strings.HasPrefix(pattern, "!") || pattern == "" {
			continue
		}
		if network, err := netip.ParsePrefix(pattern); err == nil {
			return network.Addr().String(), true
		}
		return strings.NewReplacer("*", "x", "?", "x").Replace(pattern), true
	}
	return "", false
}

func (v sshdView) on(keyword string) bool { return v.values[keyword] == "yes" }

func (v sshdView) finding(keyword string, f Finding) Finding {
	s, found := origin(v.settings, v.match, keyword)
	f.Services = []string{v.stack.Service}
	f.File = s.File
	if found {
		f.Line = s.Line
	}
	return f
}

// check looks at one set of values. Methods are as in sshd_config(5).
func (v sshdView) check() []Finding {
	if !v.on("usepam") {
		return []Finding{v.finding("usepam", Finding{Severity: Error, ID: "sshd-without-pam", What: "sshd does not use PAM: UsePAM is no.",
			Follows: "/etc/pam.d/sshd, and so the code, counts for nothing.", Fix: "Set UsePAM yes in a drop-in that comes first, such as /etc/ssh/sshd_config.d/10-otpgate.conf."})}
	}
	var found []Finding
	lists := v.lists()
	if asks := usesKbd(lists); !v.on("kbdinteractiveauthentication") {
		found = append(found, v.kbdOff())
	} else if !asks && len(v.stack.Splits) == 0 {
		found = append(found, v.finding("authenticationmethods", Finding{Severity: Error, ID: "sshd-never-asks",
			What:    "AuthenticationMethods " + v.values["authenticationmethods"] + " names no keyboard-interactive.",
			Follows: "sshd never asks for a code: whoever needs one does not get in, and other methods get in without.",
			Fix:     "AuthenticationMethods keyboard-interactive:pam"}))
	}
	found = append(found, v.passwordMethod(lists)...)
	found = append(found, v.withoutCode(lists)...)
	return append(found, v.codeAlone(lists)...)
}

// lists are the ways in: each all of whose methods must succeed. Without
// AuthenticationMethods every method that is on is one.
func (v sshdView) lists() [][]string {
	var lists [][]string
	if methods := v.values["authenticationmethods"]; methods != "" && methods != "any" {
		for list := range strings.FieldsSeq(methods) {
			var all []string
			for method := range strings.SplitSeq(list, ",") {
				name, _, _ := strings.Cut(method, ":")
				all = append(all, name)
			}
			lists = append(lists, all)
		}
	} else {
		for _, method := range []string{"publickey", "password", "keyboard-interactive", "gssapi-with-mic", "hostbased"} {
			lists = append(lists, []string{method})
		}
	}
	return slices.DeleteFunc(lists, func(list []string) bool {
		return slices.ContainsFunc(list, func(method string) bool { return !v.offers(method) })
	})
}

func (v sshdView) offers(method string) bool {
	keyword := map[string]string{"publickey": "pubkeyauthentication", "password": "passwordauthentication",
		"keyboard-interactive": "kbdinteractiveauthentication", "gssapi-with-mic": "gssapiauthentication", "hostbased": "hostbasedauthentication"}[method]
	return keyword == "" || v.on(keyword)
}

const kbd = "keyboard-interactive"

func usesKbd(lists [][]string) bool {
	return slices.ContainsFunc(lists, func(list []string) bool { return slices.Contains(list, kbd) })
}

func (v sshdView) kbdOff() Finding {
	first, _ := origin(v.settings, v.match, "kbdinteractiveauthentication")
	f := v.finding("kbdinteractiveauthentication", Finding{Severity: Error, ID: "sshd-kbdint-off",
		What:    "keyboard-interactive is off.",
		Follows: "sshd cannot ask for a code: whoever needs one does not get in.",
		Fix:     "Set KbdInteractiveAuthentication yes in a drop-in whose name sorts first, such as /etc/ssh/sshd_config.d/10-otpgate.conf."})
	if late, found := later(v.settings, first, "yes"); found {
		f.ID = "sshd-kbdint-overridden"
		f.What = fmt.Sprintf("keyboard-interactive is off: %s says no first, and %s, which says yes, comes too late.", first.Place, late.Place)
		f.Fix = fmt.Sprintf("sshd takes the first value that it reads: have the file of %s sort before %s, or correct the latter.", late.Place, first.File)
	}
	return f
}

// passwordMethod finds the method that gives the password to every prompt.
func (v sshdView) passwordMethod(lists [][]string) []Finding {
	uses := slices.ContainsFunc(lists, func(list []string) bool { return slices.Contains(list, "password") })
	if !uses || len(v.stack.Splits) > 0 {
		return nil
	}
	keyword := "passwordauthentication"
	if methods := v.values["authenticationmethods"]; methods != "" && methods != "any" {
		keyword = "authenticationmethods"
	}
	return []Finding{v.finding(keyword, Finding{Severity: Warning, ID: "sshd-password-method",
		What:    "sshd takes the method password, which answers every prompt with the password, that for the code too.",
		Follows: "Who needs a code is denied by that method, and clients that try it first seem broken.",
		Fix:     "Set PasswordAuthentication no; keyboard-interactive asks for the password as well."})}
}

// withoutCode finds ways in that never come to the stack.
func (v sshdView) withoutCode(lists [][]string) []Finding {
	for _, list := range lists {
		if slices.Contains(list, kbd) || slices.Contains(list, "password") {
			continue
		}
		named := strings.Join(list, ",")
		severity, keyword := Warning, "pubkeyauthentication"
		if methods := v.values["authenticationmethods"]; methods != "" && methods != "any" {
			severity, keyword = Note, "authenticationmethods"
		}
		return []Finding{v.finding(keyword, Finding{Severity: severity, ID: "sshd-key-alone",
			What:    "The method " + named + " gets in alone.",
			Follows: "sshd does not ask PAM for a code then.",
			Fix:     "To ask for key, password and code: AuthenticationMethods publickey,keyboard-interactive:pam keyboard-interactive:pam. If it is meant, leave it."})}
	}
	return nil
}

// codeAlone is about stacks without a password, which are for keys and codes.
func (v sshdView) codeAlone(lists [][]string) []Finding {
	if slices.Contains(kindsOf(v.stack.Lines), password) || len(v.stack.Checks) == 0 {
		return nil
	}
	for _, list := range lists {
		if slices.Contains(list, kbd) && !slices.Contains(list, "publickey") {
			check := v.stack.Lines[v.stack.Checks[0]]
			f := at(check.Place, Finding{Severity: Error, ID: "sshd-code-alone", Services: []string{v.stack.Service},
				What:    "The stack asks for no password, and sshd does not ask for a key before it (" + strings.Join(list, ",") + ").",
				Follows: "Who is enrolled gets in with the code alone, and who is not asked gets in with nothing at all.",
				Fix:     "AuthenticationMethods publickey,keyboard-interactive:pam, and no other; or put the password modules back."})
			if _, in := has(v.stack.paths(Outcome{Code: NotAsked}), path.in); !in {
				f.Follows = "Who is enrolled gets in with the code alone."
			}
			return []Finding{f}
		}
	}
	return nil
}
