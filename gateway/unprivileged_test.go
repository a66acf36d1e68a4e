package main

import (
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/clients"
)

// Whoever tries passwords at a client whose servers take codes off them, and a program
// of no rights there, begin as many logins as they like. Those of root's programs, whose
// password was checked, are taken all the same.
func TestUnprivilegedKeepNobodyOut(t *testing.T) {
	now := time.Now()
	u := newCounts(func() time.Time { return now })
	client := clients.Default()
	client.Client, client.PerMinute, client.Dialogues = "web1", 10, 5
	begin := func(unprivileged bool) string {
		rule, _ := u.begin(client, unprivileged)
		return rule
	}
	for n, want := range []string{"", "", "", "client.dialogues"} {
		if rule := begin(true); rule != want {
			t.Errorf("unprivileged %d at once: %q, expected %q", n+1, rule, want)
		}
	}
	for n, want := range []string{"", "", "client.dialogues"} {
		if rule := begin(false); rule != want {
			t.Errorf("login %d beside three unprivileged: %q, expected %q", n+1, rule, want)
		}
	}
	for _, unprivileged := range []bool{true, true, true, false, false} {
		u.end("web1", unprivileged)
	}
	for n := range 10 {
		if rule := begin(true); rule == "" {
			u.end("web1", true)
		} else if n < 7 || rule != "client.per_minute" {
			t.Errorf("unprivileged %d of the same minute: %q", n+4, rule)
		}
	}
	for n := range 8 {
		if rule := begin(false); rule != "" {
			t.Errorf("login %d after as many unprivileged as a minute allows: %q", n+3, rule)
		}
		u.end("web1", false)
	}
	if rule := begin(false); rule != "client.per_minute" {
		t.Errorf("an eleventh login: %q", rule)
	}
}
