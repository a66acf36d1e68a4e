package tomlfile

import (
	"encoding"
	"reflect"
	"strconv"
)

// checkTexts gives every text that was decoded into a string kind to that
// kind's UnmarshalText. The TOML library stores into string kinds directly and
// would let any text pass. So a field that may be left out needs a default that
// its type accepts. It returns the first refusal and its key.
func checkTexts(v reflect.Value, key []string) ([]string, error) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return checkTexts(v.Elem(), key)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if name := tagName(v.Type().Field(i)); name != "" {
				if at, err := checkTexts(v.Field(i), append(key, name)); err != nil {
					return at, err
				}
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			at := key
			if v.Type().Elem().Kind() == reflect.Struct {
				at = append(key, strconv.Itoa(i))
			}
			if at, err := checkTexts(v.Index(i), at); err != nil {
				return at, err
			}
		}
	case reflect.Map:
		for _, name := range v.MapKeys() {
			if at, err := checkTexts(v.MapIndex(name), append(key, name.String())); err != nil {
				return at, err
			}
		}
	case reflect.String:
		return key, checkText(v)
	}
	return nil, nil
}

func checkText(v reflect.Value) error {
	if !reflect.PointerTo(v.Type()).Implements(textUnmarshaler) {
		return nil
	}
	scratch := reflect.New(v.Type()).Interface().(encoding.TextUnmarshaler)
	return scratch.UnmarshalText([]byte(v.String()))
}
