package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/sftpd/session"
)

// Who may not log in is told nothing of it; the log has the reason.
func TestLogSaysWhoMayNotLogIn(t *testing.T) {
	for name, want := range map[string]string{
		"root":            "not a user who may log in: uid 0 needs allow_root = true in [sftp]",
		"nobody-has-this": "not a user who may log in: this machine knows no such user",
	} {
		v := &connection{}
		if !v.identify(name) || v.person != nil {
			t.Fatalf("%s: taken for %+v", name, v.person)
		}
		if err := v.known(nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, expected %s", name, err, want)
		}
		if err := v.known(session.ErrPAM); !errors.Is(err, session.ErrPAM) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s, after PAM's no: %v, expected %s", name, err, want)
		}
	}
	v := &connection{}
	v.settings.AllowRoot = true
	if !v.identify("root") || v.person == nil || v.known(nil) != nil {
		t.Errorf("root with allow_root: %+v, %v", v.person, v.nobody)
	}
}
