package main

import (
	"encoding"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// table is a struct of a TOML file: a table, or an array of tables.
type table struct {
	name   string // as in the file, with dots; "" is the file itself
	array  bool
	doc    string
	groups []group
}

// group is what one comment is about.
type group struct {
	doc  string
	keys []key
}

type key struct{ name, kind, value string }

// reader makes tables of structs: their names from the tags, what they are
// from the comments in the source, the defaults from a value.
type reader struct {
	types map[string]*ast.TypeSpec
	docs  map[string]string
	// words are Go names that comments may use, and what to say for them.
	words map[string]string
}

// newReader reads the sources of the package in dir.
func newReader(dir string, words map[string]string) (*reader, error) {
	r := &reader{types: map[string]*ast.TypeSpec{}, docs: map[string]string{}, words: words}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no Go sources in %s: %w", dir, fs.ErrNotExist)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, declared := range file.Decls {
			general, ok := declared.(*ast.GenDecl)
			if !ok || general.Tok != token.TYPE {
				continue
			}
			for _, spec := range general.Specs {
				named := spec.(*ast.TypeSpec)
				r.types[named.Name.Name] = named
				r.docs[named.Name.Name] = general.Doc.Text()
			}
		}
	}
	return r, nil
}

// read makes the tables of v, a struct, and of those within it. A key that no
// comment is about is an error.
func (r *reader) read(v reflect.Value, name string, array bool) ([]table, error) {
	goName := v.Type().Name()
	spec, found := r.types[goName]
	if !found {
		return nil, fmt.Errorf("%s: expected a struct of the package, found %v", name, v.Type())
	}
	names := r.names(v.Type())
	this := table{name: name, array: array, doc: r.plain(strings.Replace(r.docs[goName], goName, display(name), 1), nil)}
	var within []table
	about := ""
	for _, field := range spec.Type.(*ast.StructType).Fields.List {
		for _, ident := range field.Names {
			k, tagged := names[ident.Name]
			if !tagged {
				continue
			}
			value := v.FieldByName(ident.Name)
			if inner, many, isTable := tableWithin(value); isTable {
				more, err := r.read(inner, strings.TrimPrefix(name+"."+k, "."), many)
				if err != nil {
					return nil, err
				}
				within = append(within, more...)
				continue
			}
			comment := strings.TrimSpace(field.Doc.Text() + field.Comment.Text())
			if comment == "" && !mentions(about, ident.Name) {
				return nil, fmt.Errorf("%s.%s: expected a comment that says what the key %s is", goName, ident.Name, k)
			}
			if comment != "" {
				about = comment
				this.groups = append(this.groups, group{doc: r.plain(comment, names)})
			}
			last := &this.groups[len(this.groups)-1]
			last.keys = append(last.keys, key{k, kindOf(value.Type()), show(value)})
		}
	}
	return append([]table{this}, within...), nil
}

// names are the keys of a struct by the fields' names.
func (r *reader) names(t reflect.Type) map[string]string {
	names := map[string]string{}
	for i := range t.NumField() {
		if tag, _, _ := strings.Cut(t.Field(i).Tag.Get("toml"), ","); tag != "" && tag != "-" {
			names[t.Field(i).Name] = tag
		}
	}
	return names
}

// elsewhere points into the source, which readers of a page do not have.
var elsewhere = regexp.MustCompile(`,? see package [a-z]+`)

var word = regexp.MustCompile(`\b[A-Z][A-Za-z]*\b`)

func mentions(text, name string) bool { return slices.Contains(word.FindAllString(text, -1), name) }

// boldOn and boldOff stand in a text for a change of font; escape makes it.
const boldOn, boldOff = "\ue000", "\ue001"

// plain puts the file's words for those of the source.
func (r *reader) plain(comment string, names map[string]string) string {
	comment = elsewhere.ReplaceAllString(strings.TrimSpace(comment), "")
	return word.ReplaceAllStringFunc(comment, func(found string) string {
		if said, special := r.words[found]; special {
			return said
		}
		if name, known := names[found]; known {
			return boldOn + name + boldOff
		}
		return found
	})
}

// display is how the file has the table's name.
func display(name string) string {
	if name == "" {
		return "the file"
	}
	return "[" + name + "]"
}

// tableWithin says whether v is a table, and returns it, or an empty one in
// the place of those of an array.
func tableWithin(v reflect.Value) (inner reflect.Value, array, isTable bool) {
	t := v.Type()
	switch t.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return tableWithin(v.Elem())
		}
		return tableWithin(reflect.Zero(t.Elem()))
	case reflect.Slice:
		inner, _, isTable = tableWithin(reflect.Zero(t.Elem()))
		return inner, true, isTable
	case reflect.Struct:
		return v, false, !isText(t) && t != reflect.TypeFor[time.Time]()
	}
	return reflect.Value{}, false, false
}

func isText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) && t != reflect.TypeFor[time.Time]()
}

// kindOf says what is written for a value of the type.
func kindOf(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "date and time"
	case t.Name() == "Duration":
		return "span"
	case isText(t) || t.Kind() == reflect.String:
		return "text"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Slice:
		return "list of " + kindOf(t.Elem()) + "s"
	case t.Kind() == reflect.Map:
		return "table of " + kindOf(t.Elem()) + "s"
	}
	return "number"
}

// show writes a default as in the file, "" for one that is nothing.
func show(v reflect.Value) string {
	if v.Kind() != reflect.Bool && v.IsZero() {
		return ""
	}
	switch v.Kind() {
	case reflect.Slice:
		var all []string
		for i := range v.Len() {
			all = append(all, show(v.Index(i)))
		}
		return "[" + strings.Join(all, ", ") + "]"
	case reflect.Map:
		var all []string
		for _, k := range v.MapKeys() {
			all = append(all, k.String()+" = "+show(v.MapIndex(k)))
		}
		slices.Sort(all)
		return "{ " + strings.Join(all, ", ") + " }"
	case reflect.String:
		return `"` + v.String() + `"`
	case reflect.Struct:
		if v.Type().Name() == "Duration" {
			return `"` + span(v.Interface().(interface {
				Round(time.Duration) time.Duration
			}).Round(1)) + `"`
		}
	}
	return fmt.Sprint(v.Interface())
}

// span writes a time as the configuration does, in the largest unit that fits.
func span(d time.Duration) string {
	for _, unit := range []struct {
		name string
		time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}} {
		if d%unit.Duration == 0 {
			return fmt.Sprint(int64(d/unit.Duration)) + unit.name
		}
	}
	return fmt.Sprint(int64(d/time.Second)) + "s"
}
