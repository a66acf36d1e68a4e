package pamstack

import "strings"

// statement is a line as libpam puts it together, before its fields are read.
type statement struct {
	first, last int
	text        string
}

const blanks = " \n\t"

// statements puts the lines of a file together. whole is false if the file ends
// where a line should go on: libpam then gives up on all of it.
func statements(data string) (found []statement, whole bool) {
	var open *statement
	number := 0
	for line := range strings.Lines(data) {
		number++
		trimmed := strings.TrimLeft(line, blanks)
		if trimmed == "" || trimmed[0] == '#' {
			continue // also between the parts of a line, but from libpam 1.7 on
		}
		if open == nil {
			open = &statement{first: number}
		}
		open.last = number
		text, _, commented := strings.Cut(trimmed, "#")
		end := strings.TrimRight(text, blanks)
		if before, continued := strings.CutSuffix(end, `\`); continued && !commented {
			open.text += before + " "
			continue
		}
		open.text += text
		found = append(found, *open)
		open = nil
	}
	return found, open == nil
}

// token cuts the first field off. A field in brackets may hold blanks, and "\]".
func token(text string) (field, rest string, found bool) {
	text = strings.TrimLeft(text, blanks)
	if text == "" {
		return "", "", false
	}
	if text[0] != '[' {
		at := strings.IndexAny(text, blanks)
		if at < 0 {
			return text, "", true
		}
		return text[:at], text[at+1:], true
	}
	var inner strings.Builder
	at := 1
	for ; at < len(text) && text[at] != ']'; at++ {
		if text[at] == '\\' && at+1 < len(text) && text[at+1] == ']' {
			at++
		}
		inner.WriteByte(text[at])
	}
	return inner.String(), text[min(at+1, len(text)):], true
}

func tokens(text string) []string {
	var all []string
	for {
		field, rest, found := token(text)
		if !found {
			return all
		}
		all = append(all, field)
		text = rest
	}
}

// Statement is a line of a file as written, continued lines put together.
type Statement struct {
	First, Last int // lines in the file, counted from 1
	Fields      []string
}

// Statements are those of a service's file, in order. They are for programs
// that edit it; what libpam makes of them is in Load.
func Statements(data string) []Statement {
	all, _ := statements(data)
	found := make([]Statement, len(all))
	for i, s := range all {
		found[i] = Statement{s.first, s.last, tokens(s.text)}
	}
	return found
}
