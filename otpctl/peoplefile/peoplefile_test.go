package peoplefile

import (
	"strings"
	"testing"
)

// read gives the users of a file, and what is wrong with it.
func read(t *testing.T, text string) (users []string, problems string) {
	t.Helper()
	r := Reader{Name: "people.csv", Columns: []string{"user", "email"}, Line: func(_ int, cells map[string]string) (string, error) {
		users = append(users, cells["user"])
		return "", nil
	}}
	if err := r.Read(strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return users, strings.Join(r.Problems, "\n")
}

func TestMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "people.csv:1: expected a header with the names of the columns, found nothing",
		"user,phone\n":             "people.csv:1: column 2 is unknown, expected columns separated by commas: user, email",
		"email,email\n":            "people.csv:1: the column email is there twice\npeople.csv:1: the column user is missing",
		"user,email\na\n":          "people.csv:2: 1 fields, expected 2 as in the header",
		"user\na\nb\na\n":          "people.csv:4: user: \"a\" is in line 2 already",
		"user\n\"a\n":              "people.csv:2: character 4: extraneous or missing \" in quoted-field",
		"user\nJBSWY3DPEHPK3PXP\n": "people.csv:2: user: it looks like a key, which is not shown; expected a login name",
	} {
		if _, problems := read(t, text); problems != want {
			t.Errorf("%q: found %q, expected %q", text, problems, want)
		}
	}
	if users, problems := read(t, "\ufeffUser , email\r\n a ,\r\nb,x\r\n"); strings.Join(users, " ") != "a b" || problems != "" {
		t.Errorf("%q, %s", users, problems)
	}
}

// Whatever is in a file, it has people, a header alone, or a mistake; and nobody twice.
func FuzzRead(f *testing.F) {
	f.Add("user,email\na,\nb,\n")
	f.Add("\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		seen := map[string]bool{}
		r := Reader{Columns: []string{"user", "email"}, Line: func(_ int, cells map[string]string) (string, error) {
			if seen[cells["user"]] {
				t.Errorf("%q twice", cells["user"])
			}
			seen[cells["user"]] = true
			return "", nil
		}}
		if err := r.Read(strings.NewReader(text)); err == nil && r.header == nil && len(r.Problems) == 0 {
			t.Error("neither a header nor a mistake")
		}
	})
}
