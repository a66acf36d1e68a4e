package tomlfile

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"
)

type number int

func (n *number) UnmarshalText(text []byte) error { return errNumber }

type numberError struct{}

func (numberError) Error() string { return "expected a number word" }

var errNumber = numberError{}

// colour is a string kind: the library would store any text in it.
type colour string

func (c *colour) UnmarshalText(text []byte) error {
	if string(text) != "red" {
		return errNumber
	}
	*c = colour(text)
	return nil
}

type document struct {
	Colour  colour            `toml:"colour"`
	Colours []colour          `toml:"colours"`
	ByName  map[string]colour `toml:"by_name"`
	Name    string            `toml:"name"`
	On      bool              `toml:"on"`
	When    time.Time         `toml:"when"`
	Word    number            `toml:"word"`
	Names   []string          `toml:"names"`
	Map     map[string]string `toml:"map"`
	Table   struct {
		Size int `toml:"size"`
	} `toml:"table"`
	Item []struct {
		Count int `toml:"count"`
	} `toml:"item"`
}

func TestDecodeNamesPlaceAndExpectation(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"unknown key", "name = 'a'\nnmae = 'b'\n", "f.toml:2: nmae: unknown key, expected one of by_name, colour, colours, item, map, name, names, on, table, when, word"},
		{"unknown key in table", "[table]\nsizes = 1\n", "f.toml:2: table.sizes: unknown key, expected one of size"},
		{"unknown table", "[tabel]\nsize = 1\n", "f.toml:1: tabel: unknown key, expected one of by_name, colour, colours, item, map, name, names, on, table, when, word"},
		{"text for number", "[table]\n\nsize = 'SECRET'\n", "f.toml:3: table.size: expected a whole number"},
		{"number for text", "name = 4711\n", "f.toml:1: name: expected a text in quotes"},
		{"text for list", "names = 'SECRET'\n", `f.toml:1: names: expected a list of texts, such as ["a", "b"]`},
		{"number in list", "names = ['a', 4711]\n", `f.toml:1: names: expected a list of texts, such as ["a", "b"]`},
		{"text for bool", "on = 'SECRET'\n", "f.toml:1: on: expected true or false"},
		{"text for date", "when = 'SECRET'\n", "f.toml:1: when: expected a date and time, such as 2026-11-22T10:00:00Z"},
		{"own text type", "word = 'SECRET'\n", "f.toml:1: word: expected a number word"},
		{"in an array of tables", "[[item]]\ncount = 1\n[[item]]\ncount = 'SECRET'\n", "f.toml:4: item[2].count: expected a whole number"},
		{"string kind", "colour = 'SECRET'\n", "f.toml:1: colour: expected a number word"},
		{"string kinds", "colours = ['red', 'SECRET']\n", "f.toml:1: colours: expected a number word"},
		{"string kinds by name", "name = 'a'\n[by_name]\na = 'red'\nb = 'SECRET'\n", "f.toml:4: by_name.b: expected a number word"},
		{"in an inline table", "name = 'a'\ntable = { sise = 1 }\n", "f.toml:2: table.sise: unknown key, expected one of size"},
		{"other case", "name = 'a'\nName = 'b'\n", "f.toml:2: Name: unknown key, expected one of by_name"},
		{"other case in table", "[Table]\nsize = 1\n", "f.toml:1: Table: unknown key"},
		{"names as keys", "[by_name]\nANY = 'red'\nother = 'SECRET'\n", "f.toml:3: by_name.other: expected a number word"},
		{"secret as key", "SECRETSECRETSECRETSECRETSECRET = 1\n", "f.toml:1: a name of 30 characters: unknown key"},
		{"unquoted", "name = 'a'\non = SECRET\n", `f.toml:2: on: not valid TOML: expected a value: a "text" in quotes`},
		{"unquoted text of a kind", "word = @SECRET\n", "f.toml:1: word: not valid TOML: expected a value"},
		{"no value", "[table]\nsize = \n\nname = 1\n", "f.toml:2: table.size: not valid TOML: expected a value"},
		{"path without quotes", "name = /SECRET\n", "f.toml:1: name: not valid TOML: expected a value"},
		{"almost true", "on = trueSECRET\n", "f.toml:1: on: not valid TOML: expected the end of the line behind the value"},
		{"yes", "on = yes\n", "f.toml:1: on: not valid TOML: expected a value"},
		{"comma", "[table]\nsize = 3,\n", "f.toml:2: table.size: not valid TOML: expected the end of the line"},
		{"open quote", "[table]\nsize = 1\n\n[map]\na = \"SECRET\nb = \"c\"\n", "f.toml:5: map.a: not valid TOML: expected the quote that ends the text, on the same line"},
		{"open quote at the end", "name = 'SECRET", "f.toml:1: name: not valid TOML: expected the quote that ends the text"},
		{"escape", `name = "C:\qSECRET"`, `f.toml:1: name: not valid TOML: expected a known escape behind \`},
		{"open table", "[table\nsize = 1\n", "f.toml:1: not valid TOML: expected a ] behind the table's name"},
		{"open array of tables", "[[item]\ncount = 1\n", "f.toml:1: not valid TOML: expected ]] behind the table's name"},
		{"no equals sign", "name 'SECRET'\n", "f.toml:1: not valid TOML: expected key = value"},
		{"no key", "= 'SECRET'\n", "f.toml:1: not valid TOML: expected a key or a [table] at the beginning"},
		{"open list", "names = ['SECRET'\nname = 'a'\n", "f.toml:2: name: not valid TOML: expected a comma or a ] behind each value of the list, here or on a line before"},
		{"unclosed", "names = ['SECRET'\n", "f.toml:1: names: not valid TOML: expected a comma or a ]"},
		{"zeros", "[table]\nsize = 007\n", "f.toml:2: table.size: not valid TOML: expected a number without zeros"},
		{"twice", "name = 'a'\nname = 'SECRET'\n", "f.toml:2: name: not valid TOML: it stands here for the second time"},
		{"table twice", "[table]\n[table]\n", "f.toml:2: table: not valid TOML: it stands here for the second time"},
	} {
		t.Run(test.name, func(t *testing.T) {
			doc := document{Colour: "red"}
			err := Decode("f.toml", []byte(test.text), &doc)
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got  %s\nwant %s", err, test.want)
			}
			if strings.Contains(err.Error(), "SECRET") || strings.Contains(err.Error(), "4711") {
				t.Errorf("the error quotes the value: %s", err)
			}
			t.Log(err)
		})
	}
}

func TestAtFindsLine(t *testing.T) {
	text := "name = 'a'\n[[item]]\ncount = 1\n\n[[item]]\ncount = 2\n[table]\nsize = 3\n"
	for _, test := range []struct {
		key  []string
		want string
	}{
		{[]string{"item", "1", "count"}, "f.toml:6: item[2].count: bad"},
		{[]string{"item", "1", "missing"}, "f.toml:5: item[2].missing: bad"},
		{[]string{"table", "size"}, "f.toml:8: table.size: bad"},
		{[]string{"absent"}, "f.toml: absent: bad"},
	} {
		if got := At("f.toml", []byte(text), "bad", test.key...).Error(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

// The quick look lets no key pass that the full one would find.
func FuzzCapitalKeys(f *testing.F) {
	for _, text := range []string{
		"name = 'A'\n", "Name = 'a'\n", " \tName = 'a'\n", "# Name = 'a'\nname = 'a' # B\n", "[Table]\nsize = 1\n", "[[Item]]\ncount = 1\n",
		"table = { Size = 1 }\n", "table.Size = 1\n", "\"a=B\" = 1\n", "'Name' = 'a'\n", "\"\\u004eame\" = 'a'\n", "names = [\n'A',\n'B = c',\n]\nName = 'a'\n",
		"name = \"\"\"\n# \"\"\"\nName = 'a'\n", "name = 'a'\r\nName = 'b'\r\n", "on = true", "when = 2026-11-22T10:00:00Z\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var doc document
		key, found := findOtherCase(data, reflect.TypeOf(doc))
		hasCapital := bytes.ContainsFunc([]byte(strings.Join(key, "")), isCapital)
		if found && hasCapital && toml.Unmarshal(data, &doc) == nil && !mayHaveCapitalKey(data) {
			t.Errorf("%q: key %q is not seen", data, key)
		}
	})
}
