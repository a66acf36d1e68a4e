package sshd

import (
	"iter"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/doctor/unit"
)

// keytab is where a machine has its key of a Kerberos realm, if nothing names another file.
const keytab = "/etc/krb5.keytab"

// knownToRealm says whether a Kerberos realm knows this machine, or files say that one does.
func knownToRealm(m *target.Machine) bool {
	if m.Has(keytab) {
		return true
	}
	for _, path := range optionFiles {
		if slices.ContainsFunc(unit.Variables(m.Root, path), func(v unit.Variable) bool { return v.Name == "KRB5_KTNAME" }) {
			return true
		}
	}
	for _, path := range append(m.Glob("/etc/krb5.conf.d/*"), "/etc/krb5.conf") {
		for key, value := range pairs(m, path) {
			if key == "default_keytab_name" && hasKeytab(m, value) {
				return true
			}
		}
	}
	for _, path := range append(m.Glob("/etc/sssd/conf.d/*.conf"), "/etc/sssd/sssd.conf") {
		for key, value := range pairs(m, path) {
			if key == "krb5_keytab" && hasKeytab(m, value) || key == "id_provider" && (value == "ad" || value == "ipa") {
				return true
			}
		}
	}
	return false
}

// hasKeytab says whether the file of a keytab is there, whose name may begin with its type.
func hasKeytab(m *target.Machine, name string) bool {
	if _, file, ok := strings.Cut(name, ":"); ok {
		name = file
	}
	return name != "" && m.Has(name)
}

// pairs are the settings of a file with lines such as "key = value".
func pairs(m *target.Machine, path string) iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		for _, line := range target.Lines(m.Root, path, 0) {
			key, value, ok := strings.Cut(line, "=")
			if ok && !yield(strings.TrimSpace(key), strings.TrimSpace(value)) {
				return
			}
		}
	}
}
