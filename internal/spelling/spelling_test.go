package spelling

import "testing"

func TestNear(t *testing.T) {
	names := []string{"sudo-i", "sshd", "su", "sudo", "login", "su-l"}
	for name, want := range map[string]string{
		"ssh": "sshd", "sshdd": "sshd", "ssdh": "sshd", "sudoi": "sudo", "sudo_i": "sudo-i", "logn": "login",
		"sshd": "", "vsftpd": "", "s": "", "": "", "cups": "",
	} {
		if got, found := Near(name, names); got != want || found != (want != "") {
			t.Errorf("Near(%q) is %q, %v; expected %q", name, got, found, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "abc", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abd", 1}, {"abc", "ab", 1}, {"abcd", "acbd", 2}} {
		if got := Distance(c.a, c.b); got != c.want {
			t.Errorf("Distance(%q, %q) is %d, expected %d", c.a, c.b, got, c.want)
		}
	}
}
