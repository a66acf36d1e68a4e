package deny_test

import (
	"testing"

	"github.com/otpgate/otpgate/internal/sftp/deny"
)

func TestMatch(t *testing.T) {
	patterns, err := deny.Parse([]string{".ssh", "*.exe", "/srv/*/private", "/etc", "/odd[a-c]"})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		path         string
		match, above bool
	}{
		{"/", false, true},
		{"/home/alice", false, false},
		{"/home/alice/.ssh", true, false},
		{"/home/alice/.ssh/id", true, false},
		{"/home/alice/x.ssh", false, false},
		{"/a/b.exe", true, false},
		{"/a/b.exe/c", true, false},
		{"/a/b.exe.txt", false, false},
		{"/srv", false, true},
		{"/srv/web", false, true},
		{"/srv/web/private", true, false},
		{"/srv/web/private/x/y", true, false},
		{"/srv/web/x/private", false, false},
		{"/x/srv/web/private", false, false},
		{"/etc", true, false},
		{"/etc/passwd", true, false},
		{"/etcetera", false, false},
		{"/oddb", true, false},
		{"/oddd", false, false},
		{"/a/\xff.exe", true, false},
	}
	for _, test := range tests {
		if got := patterns.Match(test.path); got != test.match {
			t.Errorf("Match(%q) = %v", test.path, got)
		}
		if got := patterns.Above(test.path); got != test.above && !test.match {
			t.Errorf("Above(%q) = %v", test.path, got)
		}
	}
	if (deny.Patterns{}).Match("/etc") || !(deny.Patterns{}).Empty() || patterns.Empty() {
		t.Error("no patterns must deny nothing")
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"", "[", "a/b", "/", "/a/../b", "/a/", "./a", "/a[x/y]b", `x\`} {
		if _, err := deny.Parse([]string{text}); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}
