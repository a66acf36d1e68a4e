// Package tomlfile decodes a TOML file strictly and says of every mistake in
// it which file, line and key it is in and what was expected there.
//
// The entry points are [Decode] and, for mistakes that only the caller can
// see, [At]. No error quotes a value: a file may hold secrets.
package tomlfile

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// Decode reads data, the contents of the file at path, into the struct that v
// points to. A key that the struct does not have is an error.
func Decode(path string, data []byte, v any) error {
	decoder := toml.NewDecoder(strings.NewReader(string(data)))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(v)
	var unknown *toml.StrictMissingError
	var wrong *toml.DecodeError
	switch {
	case err == nil:
		if key, found := otherCase(data, reflect.TypeOf(v)); found {
			return At(path, data, "unknown key"+among(v, key), key...)
		}
		if key, err := checkTexts(reflect.ValueOf(v), nil); err != nil {
			return At(path, data, err.Error(), key...)
		}
		return nil
	case errors.As(err, &unknown) && len(unknown.Errors) > 0:
		first := unknown.Errors[0]
		line, _ := first.Position()
		key := inline(data, line, first.Key())
		return fail(path, line, key, "unknown key"+among(v, key))
	case errors.As(err, &wrong):
		line, _ := wrong.Position()
		key := keyOnLine(data, line)
		return fail(path, line, key, explain(wrong, data, v, key))
	}
	// The library says nothing of where a number stood for which a text type
	// of this project was asked.
	return At(path, data, err.Error(), notText(data, reflect.TypeOf(v))...)
}

// notText finds the first value that is no text where one is read.
func notText(data []byte, t reflect.Type) []string {
	for _, p := range keyLines(data) {
		field, found := fieldAt(t, p.key)
		if found && p.value != unstable.String && p.value != unstable.Array && p.value != unstable.Invalid && readsText(field) {
			return p.key
		}
	}
	return nil
}

// At gives a mistake at key in the file at path its place. Elements of an
// array of tables are named by their number, from 0.
func At(path string, data []byte, problem string, key ...string) error {
	return fail(path, lineOf(data, key), key, problem)
}

func fail(path string, line int, key []string, problem string) error {
	where := path
	if line > 0 {
		where += ":" + strconv.Itoa(line)
	}
	if name := keyName(key); name != "" {
		where += ": " + name
	}
	return fmt.Errorf("%s: %s", where, problem)
}

// keyName joins the parts of a key; numbers count from 1 for people.
func keyName(key []string) string {
	var name strings.Builder
	for _, part := range key {
		if n, err := strconv.Atoi(part); err == nil {
			fmt.Fprintf(&name, "[%d]", n+1)
			continue
		}
		if name.Len() > 0 {
			name.WriteByte('.')
		}
		// Somebody may have pasted a secret to the left of the equals sign.
		if len(part) > maxShown {
			part = fmt.Sprintf("a name of %d characters", len(part))
		}
		name.WriteString(part)
	}
	return name.String()
}

// maxShown is longer than any key of this project and shorter than a secret
// that would do harm.
const maxShown = 24

// otherCase finds a key that the struct has in another case only. The TOML
// library takes those too, and two of them would be one setting, twice.
func otherCase(data []byte, t reflect.Type) (key []string, found bool) {
	if !mayHaveCapitalKey(data) {
		return nil, false
	}
	return findOtherCase(data, t)
}

// mayHaveCapitalKey is a quick look for what a file rarely has: looking up all
// keys is half of the work of reading a secret file. It says yes in doubt,
// which is any line that is not simply a key, = and a value.
func mayHaveCapitalKey(data []byte) bool {
	// What may hold keys behind a =, or lines that are within a value.
	if bytes.IndexByte(data, '{') >= 0 || bytes.Contains(data, []byte(`"""`)) || bytes.Contains(data, []byte("'''")) {
		return true
	}
	for line := range bytes.Lines(data) {
		line = bytes.TrimLeft(line, " \t")
		if len(line) > 0 && line[0] == '#' {
			continue
		}
		key, _, _ := bytes.Cut(line, []byte("="))
		// A key in quotes may hold a = and escapes.
		if bytes.ContainsAny(key, "\"'") || bytes.ContainsFunc(key, isCapital) {
			return true
		}
	}
	return false
}

func isCapital(r rune) bool { return r >= 'A' && r <= 'Z' }

func findOtherCase(data []byte, t reflect.Type) (key []string, found bool) {
	for _, p := range keyLines(data) {
		if _, known := fieldAt(t, p.key); !known {
			return p.key, true
		}
	}
	return nil, false
}

// keyLine is one key of a document with the line it stands on.
type keyLine struct {
	key   []string
	line  int
	value unstable.Kind // Invalid for a table
}

// keyLines lists the keys of a document in order. It ends at a syntax error.
func keyLines(data []byte) []keyLine {
	var found []keyLine
	var parser unstable.Parser
	parser.Reset(data)
	var table []string
	arrays := map[string]int{}
	for parser.NextExpression() {
		node := parser.Expression()
		parts, raw := keyParts(node)
		if len(parts) == 0 {
			continue
		}
		line := lineAt(data, raw)
		switch node.Kind {
		case unstable.Table:
			table = parts
		case unstable.ArrayTable:
			name := strings.Join(parts, "\x00")
			table = append(parts, strconv.Itoa(arrays[name]))
			arrays[name]++
		case unstable.KeyValue:
			found = addKeyValue(found, data, node, table)
			continue
		}
		found = append(found, keyLine{key: append([]string{}, table...), line: line})
	}
	return found
}

// addKeyValue adds the key of node, and those of an inline table behind it.
func addKeyValue(found []keyLine, data []byte, node *unstable.Node, table []string) []keyLine {
	parts, raw := keyParts(node)
	key := append(append([]string{}, table...), parts...)
	found = append(found, keyLine{key, lineAt(data, raw), node.Value().Kind})
	if value := node.Value(); value.Kind == unstable.InlineTable {
		for it := value.Children(); it.Next(); {
			found = addKeyValue(found, data, it.Node(), key)
		}
	}
	return found
}

func lineAt(data []byte, raw unstable.Range) int {
	return 1 + bytes.Count(data[:raw.Offset], []byte("\n"))
}

func keyParts(node *unstable.Node) ([]string, unstable.Range) {
	if node.Kind != unstable.Table && node.Kind != unstable.ArrayTable && node.Kind != unstable.KeyValue {
		return nil, unstable.Range{}
	}
	var parts []string
	var raw unstable.Range
	for it := node.Key(); it.Next(); {
		if len(parts) == 0 {
			raw = it.Node().Raw
		}
		parts = append(parts, string(it.Node().Data))
	}
	return parts, raw
}

// lineOf finds the line of key, or of the nearest table above it.
func lineOf(data []byte, key []string) int {
	all := keyLines(data)
	for n := len(key); n > 0; n-- {
		want := strings.Join(key[:n], "\x00")
		for _, p := range all {
			if strings.Join(p.key, "\x00") == want {
				return p.line
			}
		}
	}
	return 0
}

// inline gives a key in an inline table its whole name: the decoder leaves the
// inline table's own name out.
func inline(data []byte, line int, key []string) []string {
	for _, p := range keyLines(data) {
		if p.line == line && len(p.key) > len(key) && p.key[len(p.key)-1] == key[len(key)-1] {
			return p.key
		}
	}
	return key
}

// keyOnLine names the last key at or before line: a value may go on over
// several lines.
func keyOnLine(data []byte, line int) []string {
	var last keyLine
	var table []string
	for _, p := range keyLines(data) {
		if p.line > line {
			break
		}
		last = p
		if p.value == unstable.Invalid {
			table = p.key
		}
	}
	if name, found := begunOn(data, line); found && last.line < line {
		return append(slices.Clone(table), name)
	}
	return last.key
}
