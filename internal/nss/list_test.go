package nss

import (
	"context"
	"reflect"
	"slices"
	"testing"
)

// The machine's own entries are listed, and a key that nobody knows has none.
func TestList(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	all, err := List(ctx, "passwd")
	if err != nil || !slices.ContainsFunc(all, func(entry []string) bool { return entry[0] == "root" && len(entry) == 7 }) {
		t.Errorf("%q, %v", all, err)
	}
	if one, err := List(ctx, "group", "root"); err != nil || len(one) != 1 || one[0][2] != "0" {
		t.Errorf("%q, %v", one, err)
	}
	for _, nobody := range []string{"no-such-group", "-s", ""} {
		if none, err := List(ctx, "group", nobody); err != nil || none != nil {
			t.Errorf("%s: %q, %v", nobody, none, err)
		}
	}
	if found, err := List(ctx, "no-such-database"); err == nil {
		t.Errorf("%q", found)
	}
}

func TestListedMembers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"a:x:1:b,c\r\n": {"b", "c"}, "a:x:1:": {}, "a:x:1:b, c": {"b", "c"}, "a:x": nil, "": nil,
	} {
		var got []string
		for _, entry := range Entries([]byte(text)) {
			got = ListedMembers(entry)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, expected %q", text, got, want)
		}
	}
}
