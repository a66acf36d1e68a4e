package ledger

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func loginAt(minute int, denied bool) Login {
	return Login{At: noon.Add(time.Duration(minute) * time.Minute), Service: "sshd", Address: "192.0.2.7", Rule: "totp:phone", Denied: denied}
}

// The newest logins are kept, and wrong codes push none out that was right.
func TestRecentLogins(t *testing.T) {
	var entry Entry
	for minute := range 25 {
		entry.AddLogin(loginAt(minute, false), 0)
	}
	if len(entry.Recent) != KeptLogins || entry.Recent[0] != loginAt(5, false) || entry.Recent[19] != loginAt(24, false) {
		t.Errorf("%+v", entry.Recent)
	}
	for minute := range 100 {
		entry.AddLogin(loginAt(30+minute, true), 0)
	}
	right := slices.DeleteFunc(slices.Clone(entry.Recent), func(l Login) bool { return l.Denied })
	if len(right) != KeptLogins-keptDenied || len(entry.Recent) != KeptLogins || entry.Recent[19] != loginAt(129, true) {
		t.Errorf("%+v", entry.Recent)
	}
	payload := encodeEntry(entry)
	again, err := decodeEntry(payload)
	if err != nil || !slices.Equal(again.Recent, entry.Recent) {
		t.Errorf("%+v, %v", again.Recent, err)
	}
}

// Wrong codes of one login are one.
func TestWrongCodesOfOneLogin(t *testing.T) {
	var entry Entry
	add := func(minute int, denied bool, want int) {
		t.Helper()
		entry.AddLogin(loginAt(minute, denied), 10*time.Minute)
		if last := entry.Recent[len(entry.Recent)-1]; len(entry.Recent) != want || last != loginAt(minute, denied) {
			t.Errorf("%+v", entry.Recent)
		}
	}
	add(0, true, 1)
	add(1, true, 1)
	add(11, true, 2)
	add(12, false, 3)
	add(13, false, 4)
	add(14, true, 5)
	add(13, true, 6) // a clock was set back
	other := loginAt(14, true)
	other.Address = "192.0.2.8"
	entry.AddLogin(other, 10*time.Minute)
	if len(entry.Recent) != 7 {
		t.Errorf("%+v", entry.Recent)
	}
}

// Whatever strangers choose of it, an entry stays small.
func TestRecentLoginsAreBounded(t *testing.T) {
	var entry Entry
	for n := range 30 {
		long := strings.Repeat("é", 200) + fmt.Sprint(n)
		entry.AddLogin(Login{At: noon.Add(time.Duration(n) * time.Hour), Service: long, Host: long, Address: long, Peer: long, Rule: long}, 0)
	}
	if payload := encodeEntry(entry); len(payload) > keptLoginBytes || len(entry.Recent) == 0 {
		t.Errorf("%d bytes, %d logins", len(payload), len(entry.Recent))
	}
	if text := entry.Recent[0].Service; text != strings.Repeat("é", 32) {
		t.Errorf("%q", text)
	}
	entry = Entry{}
	for n := range 30 {
		entry.AddLogin(Login{At: noon.Add(time.Duration(n) * time.Hour), Service: "sshd", Host: "server1", Address: "192.0.2.100", Rule: "totp:phone"}, 0)
	}
	if len(entry.Recent) != KeptLogins {
		t.Errorf("%d usual logins", len(entry.Recent))
	}
}

// Wrong codes push none out that was right, however long what is said of them is.
func TestLongWrongCodes(t *testing.T) {
	var entry Entry
	for minute := range KeptLogins {
		entry.AddLogin(loginAt(minute, false), 0)
	}
	long := strings.Repeat("x", 200)
	for minute := range 20 {
		entry.AddLogin(Login{At: noon.Add(time.Duration(30+minute) * time.Minute), Service: long, Host: long, Address: long, Peer: long, Rule: long, Denied: true}, 0)
	}
	denied := slices.DeleteFunc(slices.Clone(entry.Recent), func(l Login) bool { return !l.Denied })
	if right := len(entry.Recent) - len(denied); len(denied) == 0 || right < KeptLogins/2 {
		t.Errorf("%d right ones and %d wrong ones are left", right, len(denied))
	}
}
