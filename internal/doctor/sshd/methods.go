package sshd

import (
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/finding"
)

// lists are the ways in: each all of whose methods must succeed. Without
// AuthenticationMethods every method that is on is one.
func (v view) lists() [][]string {
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

func (v view) offers(method string) bool {
	keyword := map[string]string{"publickey": "pubkeyauthentication", "password": "passwordauthentication",
		"keyboard-interactive": "kbdinteractiveauthentication", "gssapi-with-mic": "gssapiauthentication", "hostbased": "hostbasedauthentication"}[method]
	return keyword == "" || v.on(keyword)
}

// way is a method that never comes to the stack.
type way struct{ method, id, keyword, follows string }

// ways are told apart: whoever accepts one has not accepted the others. A list of
// several is the first one's, which it needs too.
var ways = []way{
	{"publickey", "sshd-key-alone", "pubkeyauthentication", ""},
	{"gssapi-with-mic", "sshd-gssapi-alone", "gssapiauthentication", " Whoever has a ticket of the Kerberos realm is in with that."},
	{"hostbased", "sshd-hostbased-alone", "hostbasedauthentication", " Whomever a trusted host vouches for is in with that, by /etc/ssh/shosts.equiv or ~/.shosts."},
}

// withoutCode finds ways in that never come to the stack.
func (v view) withoutCode(lists [][]string) (found []finding.Finding) {
	for _, list := range lists {
		if slices.Contains(list, kbd) || slices.Contains(list, "password") {
			continue
		}
		of := slices.IndexFunc(ways, func(w way) bool { return slices.Contains(list, w.method) })
		w := ways[max(of, 0)]
		if !slices.ContainsFunc(found, func(f finding.Finding) bool { return f.ID == w.id }) {
			found = append(found, v.alone(w, list))
		}
	}
	return found
}

func (v view) alone(w way, list []string) finding.Finding {
	severity, keyword := finding.Warning, w.keyword
	said, written := v.origin("authenticationmethods")
	switch methods := v.values["authenticationmethods"]; {
	case methods != "" && methods != "any":
		severity, keyword = finding.Note, "authenticationmethods"
	case written && said.argument != "":
		keyword = "authenticationmethods" // it says any
	}
	f := finding.Finding{Severity: severity, ID: w.id,
		What:    "The method " + strings.Join(list, ",") + " gets in alone." + v.meantFor(),
		Follows: "sshd does not ask PAM for a code then." + w.follows,
		Fix:     "To ask for key, password and code: AuthenticationMethods publickey,keyboard-interactive:pam keyboard-interactive:pam. If it is meant, leave it."}
	if w.method == "gssapi-with-mic" && !knownToRealm(v.Machine) {
		f.Severity = finding.Note
		f.Follows += " There is no /etc/krb5.keytab, without which nobody is, and neither krb5.conf nor sssd.conf tells of another that is there."
	}
	return v.about(keyword, f)
}

// meantFor says that AuthenticationMethods, which these logins have none of, stands below a
// Match, as when it was added at the end of the file.
func (v view) meantFor() string {
	if v.values["authenticationmethods"] != "" && v.values["authenticationmethods"] != "any" || v.match != nil {
		return ""
	}
	for _, s := range v.settings {
		if s.keyword == "authenticationmethods" && s.match != nil {
			return " AuthenticationMethods at " + s.Position.String() + " holds for Match " + s.match.value + " alone, below which it stands."
		}
	}
	return ""
}

// byKerberos is about passwords that sshd itself has Kerberos check, ahead of PAM.
func (v view) byKerberos(lists [][]string) []finding.Finding {
	alone := func(list []string) bool { return slices.Contains(list, "password") && !slices.Contains(list, kbd) }
	if !v.on("kerberosauthentication") || !slices.ContainsFunc(lists, alone) {
		return nil
	}
	return []finding.Finding{v.about("kerberosauthentication", finding.Finding{Severity: finding.Warning, ID: "sshd-kerberos-alone",
		What:    "The method password is on, and sshd has Kerberos check passwords itself before it asks PAM.",
		Follows: "The password of the Kerberos realm gets in alone: sshd does not ask PAM for a code then.",
		Fix:     "KerberosAuthentication no, or PasswordAuthentication no; pam_krb5 or pam_sss in the stack asks Kerberos as well."})}
}
