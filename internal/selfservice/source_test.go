package selfservice

import "testing"

func TestSourceOf(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string][2]string{
		"192.0.2.1": {"192.0.2.1", ""}, "::ffff:192.0.2.1": {"192.0.2.1", ""},
		"2001:db8:1:2:3::4": {"2001:db8:1:2::/64", "2001:db8:1::/48"},
		"2001:db8:1:5::4":   {"2001:db8:1:5::/64", "2001:db8:1::/48"},
		"2001:db8:2:5::4":   {"2001:db8:2:5::/64", "2001:db8:2::/48"},
		"":                  {"", ""}, "nobody": {"nobody", ""},
	} {
		if of, network := sourceOf(remote); of != want[0] || network != want[1] {
			t.Errorf("%q: %q in %q, expected %q", remote, of, network, want)
		}
	}
}
