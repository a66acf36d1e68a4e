package accounttest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/account"
)

var names = []string{
	"alice", "Alice", "ALICE", "alice.", "a-b", "a_b", "a.toml", "a%2Fb", "%", "%25", "DOMAIN\\user", "user@example.com",
	"a b", "*", "$HOME", "`id`", "#a", "'a'", "\"a\"", "é", "e\u0301", "名前", "10.0.0.1", "2001:db8::1", "straße", "STRASSE",
	strings.Repeat("a", 200), strings.Repeat("A", 200), strings.Repeat("名", 66),
}

// oddNames gives every name a phone of its own before it looks at any, so that two that
// share a file are found.
func oddNames(t *testing.T, s suite) {
	store := s.store(t)
	for _, name := range names {
		mustChange(t, store, name, func(p *account.Person) error {
			if len(p.Factors) > 0 {
				t.Errorf("%q shares a file with another name", name)
			}
			p.Factors = []account.Factor{phone(name, "phone")}
			return nil
		})
	}
	again := s.store(t)
	for _, name := range names {
		wantPhone(t, again, name, name)
	}
	got, strays, err := again.List()
	if want := slices.Sorted(slices.Values(names)); err != nil || len(strays) > 0 || !slices.Equal(got, want) {
		t.Errorf("lists %q and %q, %v, want %q", got, strays, err, want)
	}
	for _, name := range names {
		if err := again.Remove(name); err != nil {
			t.Errorf("remove %q: %v", name, err)
		}
	}
	if got, err := store.Names(); err != nil || len(got) > 0 {
		t.Errorf("names %q, %v", got, err)
	}
}

func refusedNames(t *testing.T, s suite) {
	store := s.store(t)
	never := func(*account.Person) error { t.Error("it is changed"); return nil }
	for _, name := range []string{
		"", ".", "..", "../alice", "/etc/passwd", "a/b", "a/", ".alice", "-alice", "~alice", "@alice", " alice", "alice ", "a\x00b", "a\nb", "\x1b[2J", "\xff",
		strings.Repeat("a", 201),
	} {
		_, load := store.Load(name)
		_, text := store.Text(name)
		_, from := store.Rename(name, "alice", ours, may, moved)
		_, to := store.Rename("alice", name, ours, may, moved)
		for what, err := range map[string]error{
			"load": load, "text": text, "rename": from, "rename to": to, "change": store.Change(name, never), "remove": store.Remove(name),
		} {
			if err == nil || errors.Is(err, account.ErrNotFound) {
				t.Errorf("%s %q: %v", what, name, err)
			}
		}
	}
}

func likeNames(t *testing.T, s suite) {
	store := s.store(t)
	for _, name := range []string{"alice", "Alice", "alicea", "alic", "alice.b", "ſara", "Ärger", "kelvin", "straße", "bob"} {
		enroll(t, store, name)
	}
	for name, want := range map[string][]string{
		"ALICE": {"Alice", "alice"}, "alice": {"Alice"}, "Alice": {"alice"}, "aLICEA": {"alicea"}, "ali": nil, "alice/": nil, "": nil,
		"SARA": {"ſara"}, "äRGER": {"Ärger"}, "\u212aELVIN": {"kelvin"}, "STRASSE": nil, "STRAßE": {"straße"}, "bob": nil, "Bob": {"bob"}, "nobody": nil,
	} {
		got, err := store.Like(name)
		if slices.Sort(got); err != nil || !slices.Equal(got, want) {
			t.Errorf("like %q are %q, %v, want %q", name, got, err, want)
		}
	}
}

// manyNames has more than a store may give at once.
func manyNames(t *testing.T, s suite) {
	store := s.store(t)
	var want []string
	for n := range 300 {
		name := fmt.Sprintf("user%03d", n)
		mustChange(t, store, name, func(p *account.Person) error { p.Email = name + "@example.com"; return nil })
		want = append(want, name)
	}
	enroll(t, store, "zoe")
	if got, err := store.Names(); err != nil || !slices.Equal(got, append(want, "zoe")) {
		t.Errorf("%d names, %v", len(got), err)
	}
	if like, err := store.Like("ZOE"); err != nil || !slices.Equal(like, []string{"zoe"}) {
		t.Errorf("like %q, %v", like, err)
	}
}
