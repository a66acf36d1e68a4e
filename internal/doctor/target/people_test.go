package target

import "testing"

// What nsswitch.conf(5) has in brackets is no service.
func TestFilesAlone(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"passwd: files systemd\n":                                        true,
		"passwd: files [NOTFOUND=return] systemd\n":                      true,
		"passwd: files [SUCCESS=merge UNAVAIL=continue] systemd # sss\n": true,
		"passwd\t: files\ngroup: files sss\n":                            true,
		"group: files\n":                                                 true,
		"passwd: files sss\n":                                            false,
		" passwd : files [NOTFOUND=return] ldap\n":                       false,
	} {
		if got := filesAlone([]byte(text)); got != want {
			t.Errorf("%q: found %t, expected %t", text, got, want)
		}
	}
}
