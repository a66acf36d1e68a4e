package tomlfile

import (
	"encoding"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// explain says what is wrong without a Go type's name and without the value.
func explain(wrong *toml.DecodeError, data []byte, v any, key []string) string {
	message := strings.TrimPrefix(wrong.Error(), "toml: ")
	if !parses(data) {
		return explainSyntax(message)
	}
	field, found := fieldAt(reflect.TypeOf(v), key)
	if found && (strings.Contains(message, "cannot decode") || strings.Contains(message, "cannot be stored") ||
		strings.Contains(message, "cannot store")) {
		return "expected " + expected(field)
	}
	// What a TextUnmarshaler of this project says is fit for people as it is.
	if found && readsText(field) {
		return message
	}
	if found && field == reflect.TypeFor[time.Time]() {
		return "expected " + expected(field)
	}
	return explainSyntax(message)
}

// readsText says whether t has an UnmarshalText of this project.
func readsText(t reflect.Type) bool {
	if t.Kind() == reflect.Slice && readsText(t.Elem()) {
		return true
	}
	return reflect.PointerTo(t).Implements(textUnmarshaler) && t != reflect.TypeFor[time.Time]()
}

var textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

func expected(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == reflect.TypeFor[time.Time]() {
		return "a date and time, such as 2026-11-22T10:00:00Z"
	}
	if reflect.PointerTo(t).Implements(textUnmarshaler) {
		return "a text in quotes"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64, reflect.Int32, reflect.Uint, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	case reflect.String:
		return "a text in quotes"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct && !reflect.PointerTo(t.Elem()).Implements(textUnmarshaler) {
			return "an array of tables, [[like this]]"
		}
		if t.Elem().Kind() == reflect.Int {
			return "a list of whole numbers, such as [1, 2]"
		}
		return `a list of texts, such as ["a", "b"]`
	case reflect.Map, reflect.Struct:
		return "a table"
	}
	return "another kind of value"
}

// fieldAt finds the type that the struct t has at key.
func fieldAt(t reflect.Type, key []string) (reflect.Type, bool) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if len(key) == 0 {
		return t, true
	}
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			if tagName(t.Field(i)) == key[0] {
				return fieldAt(t.Field(i).Type, key[1:])
			}
		}
	case reflect.Map:
		return fieldAt(t.Elem(), key[1:])
	case reflect.Slice:
		if _, err := strconv.Atoi(key[0]); err == nil {
			key = key[1:]
		}
		return fieldAt(t.Elem(), key)
	}
	return nil, false
}

// among lists the keys that stand beside an unknown one.
func among(v any, key []string) string {
	parent, found := fieldAt(reflect.TypeOf(v), key[:len(key)-1])
	if !found {
		return ""
	}
	for parent.Kind() == reflect.Pointer || parent.Kind() == reflect.Slice {
		parent = parent.Elem()
	}
	if parent.Kind() != reflect.Struct {
		return ""
	}
	var names []string
	for i := range parent.NumField() {
		if name := tagName(parent.Field(i)); name != "" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return ", expected one of " + strings.Join(names, ", ")
}

func tagName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
	if name == "-" {
		return ""
	}
	return name
}
