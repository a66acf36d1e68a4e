package daemon

import (
	"errors"
	"strings"
	"testing"
)

func TestStatus(t *testing.T) {
	for _, test := range []struct {
		args string
		fail bool
		ran  bool
		want int
		told string
	}{
		{"", false, true, 0, ""},
		{"", true, true, 1, "thing: no luck\n"},
		{"--file /a/b", false, true, 0, ""},
		{"--file a/b", false, false, 2, "expected an absolute path"},
		{"--file /a/b more", false, false, 2, `thing: unexpected argument "more"`},
		{"--other", false, false, 2, "other"},
		{"--help", false, false, 0, "Usage: thing"},
		{"--version", false, false, 0, ""},
	} {
		var told strings.Builder
		var file string
		ran := false
		p := New("thing", "1.0", "Usage: thing\n")
		p.PathVar(&file, "file", "/usual", "a `FILE`")
		p.SetOutput(&told)
		status := p.status(strings.Fields(test.args), func() error {
			ran = true
			if test.fail {
				return errors.New("no luck")
			}
			return nil
		})
		if status != test.want || ran != test.ran || !strings.Contains(told.String(), test.told) || (test.told == "") != (told.Len() == 0) {
			t.Errorf("%q: status %d, ran %v, told %q", test.args, status, ran, told.String())
		}
		if want := map[bool]string{true: "/a/b", false: "/usual"}[strings.Contains(test.args, "/a/b")]; file != want {
			t.Errorf("%q: file %q, expected %q", test.args, file, want)
		}
	}
}
