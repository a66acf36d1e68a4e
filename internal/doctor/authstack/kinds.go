package authstack

import (
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/pamstack"
)

// kind says what a module may return when somebody logs in.
type kind uint8

const (
	conditional kind = iota // nobody knows: everything is tried
	password
	ours
	oursSplit
	denies
	permits
	passive // does something beside, and stands in nobody's way
	forRoot // lets root through, who needs no login
	gone    // its file is not there, or cannot be loaded
)

// passwords are the modules that check a password.
var passwords = words("unix unix_auth unix2 pwdb sss ldap ldapd krb5 krb5afs winbind tcb userdb pwdfile mysql pgsql radius tacplus radius_auth " +
	"systemd_home ecryptfs_auth himmelblau aad authd authd_exec sqlite shield kanidm")

// passives never decide whether somebody gets in.
var passives = words("env faildelay motd mail lastlog limits keyinit loginuid selinux cap group gnome_keyring kwallet kwallet5 umask echo " +
	"systemd mount ecryptfs mkhomedir warn issue setquota ck_connector fscrypt xauth namespace faillock tally tally2 nologin securetty " +
	"shells access time ccreds usertype_ console afs_session reauthorize lsass_")

// deciders are those of them that say who may come, from where and when. With a
// control that jumps, or ends the stack, they decide more than that.
var deciders = words("access time nologin securetty shells console")

var others = map[string]kind{"deny": denies, "permit": permits, "rootok": forRoot}

func words(text string) map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq(text) {
		set[word] = true
	}
	return set
}

func short(line pamstack.Line) string {
	return strings.TrimSuffix(strings.TrimPrefix(line.Name(), "pam_"), ".so")
}

func kindOf(line pamstack.Line) kind {
	name := short(line)
	switch {
	case Ours(line) && line.Has("split"):
		return oursSplit
	case Ours(line):
		return ours
	case passwords[name], name == "ccreds" && line.Arg("action") == "validate":
		return password
	case deciders[name] && leads(line):
		return conditional
	case passives[name]:
		return passive
	}
	return others[name]
}

// daemonServices are of programs that wait as root for somebody to log in, so that
// pam_rootok, which goes by who runs the program, lets everybody through. su, sudo and
// the like keep the uid of whoever runs them.
var daemonServices = words("sshd ssh dropbear vsftpd proftpd pure-ftpd ftp ftpd cockpit xrdp-sesman vnc login remote rlogin rsh rexec telnet " +
	"gdm gdm3 gdm-password gdm-smartcard gdm-fingerprint lightdm sddm kde lxdm xdm slim greetd ly plasmalogin " +
	"smtp imap pop3 pop sieve submission openvpn ocserv webmin usermin otpgate-sftpd")

func (s Stack) isDaemon() bool { return daemonServices[s.Service] }

// leads says whether any return of a line leads past the next one.
func leads(line pamstack.Line) bool {
	return slices.ContainsFunc(line.Actions[:], func(action pamstack.Action) bool { return action > 0 || action == pamstack.Done })
}

// kinds is kindOf for all lines. In a stack that has no module known to check
// a password, one that nobody knows is taken for such a module: there are many.
func (s Stack) kinds() []kind {
	lines := s.Lines
	kinds := make([]kind, len(lines))
	known := false
	for i, line := range lines {
		kinds[i] = kindOf(line)
		if kinds[i] == forRoot && s.isDaemon() {
			kinds[i] = permits
		}
		known = known || kinds[i] == password
		switch {
		case s.answers[i].toAll:
			kinds[i] = permits
		case s.answers[i].toNone:
			kinds[i] = denies
		}
		if s.gone[i] {
			kinds[i] = gone
		}
	}
	for i, line := range lines {
		if !known && kinds[i] == conditional && line.Kind == pamstack.Module && !conditions[short(line)] {
			kinds[i] = password
		}
	}
	return kinds
}

// conditions are modules that are known to check no password.
var conditions = words("succeed_if localuser usertype listfile rhosts wheel ftp fprintd u2f yubico google_authenticator oath duo timestamp " +
	"ssh_agent_auth pkcs11 exec script sepermit")

// Outcome is what somebody has who logs in.
type Outcome struct {
	Password bool
	Code     Code
}

// Code is what became of the question for a code.
type Code uint8

// The codes.
const (
	RightCode Code = iota
	WrongCode
	NotAsked
)

// flows says whether the next line comes next.
func flows(action pamstack.Action) bool { return action == pamstack.OK || action == pamstack.IgnoreIt }

// returnsOf are what a line may return. The first is the usual one.
func returnsOf(k kind, line pamstack.Line, outcome Outcome) []pamstack.Return {
	const (
		success, failure, ignore = pamstack.Success, pamstack.AuthErr, pamstack.Ignore
	)
	switch k {
	case password:
		if outcome.Password {
			return varied(line, success, failure, pamstack.UserUnknown)
		}
		return varied(line, failure, pamstack.UserUnknown)
	case ours:
		return []pamstack.Return{[]pamstack.Return{RightCode: success, WrongCode: failure, NotAsked: ignore}[outcome.Code]}
	case oursSplit:
		return []pamstack.Return{ignore}
	case gone:
		return []pamstack.Return{pamstack.ModuleUnknown}
	case denies, forRoot:
		return []pamstack.Return{failure}
	case permits:
		return []pamstack.Return{success}
	case passive:
		if line.Has("authfail") { // pam_faillock's count of failures
			return []pamstack.Return{failure}
		}
		if flows(line.Actions[success]) && flows(line.Actions[ignore]) {
			return []pamstack.Return{success}
		}
		return []pamstack.Return{success, ignore}
	}
	return varied(line, success, failure, ignore)
}

// varied adds to what a module usually returns one return of each other kind
// that the control does something else about.
func varied(line pamstack.Line, usual ...pamstack.Return) []pamstack.Return {
	for action := range line.Actions {
		got := pamstack.Return(action)
		switch got {
		case pamstack.Success, pamstack.NewAuthtokReqd, pamstack.Ignore, pamstack.ModuleUnknown:
			continue // those are other cases
		}
		if !slices.ContainsFunc(usual, func(r pamstack.Return) bool { return line.Actions[r] == line.Actions[got] }) {
			usual = append(usual, got)
		}
	}
	return usual
}

// PasswordModules are the names of those that check a password, each once.
func (s Stack) PasswordModules() (names []string) {
	for i, kind := range s.kinds() {
		if name := s.Lines[i].Name(); kind == password && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// AsksPassword says whether any line checks a password.
func (s Stack) AsksPassword() bool { return slices.Contains(s.kinds(), password) }

// AsksNothingElse says whether no line but ours wants anything of who comes.
func (s Stack) AsksNothingElse() bool {
	return !slices.ContainsFunc(s.kinds(), func(k kind) bool { return k == password || k == conditional })
}
