package tokenfile

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/otpgate/otpgate/internal/account"
)

// Map says who has which device.
type Map struct{ lines []mapLine }

type mapLine struct {
	number     int
	name, user string
	taken      int // the device that it names, 0 while none was found
}

// MapError is what is wrong with a line of a map.
type MapError struct {
	Line int
	What string
}

func (m MapError) Error() string { return fmt.Sprintf("line %d: %s", m.Line, m.What) }

// ParseMap reads comma-separated values of two columns: a serial or a label, and a
// login name. The first line may name the columns, the second of them as user.
func ParseMap(data []byte) (*Map, error) {
	if !utf8.Valid(data) {
		return nil, errNoText
	}
	reader := csv.NewReader(strings.NewReader(string(text(data))))
	reader.FieldsPerRecord, reader.Comment, reader.TrimLeadingSpace = -1, '#', true
	m := &Map{}
	seen := map[string]int{}
	for {
		cells, err := reader.Read()
		var wrong *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return m, nil
		case errors.As(err, &wrong):
			return nil, MapError{wrong.Line, "its quotes do not fit"}
		case err != nil:
			return nil, err
		}
		number, _ := reader.FieldPos(0)
		if len(cells) != 2 || len(cells[0]) > maxLine {
			return nil, MapError{number, "expected two columns, a serial or a label and a login name"}
		}
		name, user := strings.TrimSpace(cells[0]), strings.TrimSpace(cells[1])
		if len(m.lines) == 0 && len(seen) == 0 && user == "user" && (name == "serial" || name == "label") {
			continue
		}
		switch first := seen[name]; {
		case name == "":
			return nil, MapError{number, "expected a serial or a label in the first column"}
		case account.CheckName(user) != nil:
			return nil, MapError{number, "expected a login name in the second column"}
		case first > 0:
			return nil, MapError{number, fmt.Sprintf("it names the same device as line %d", first)}
		}
		seen[name] = number
		m.lines = append(m.lines, mapLine{number: number, name: name, user: user})
	}
}

// Assign finds the user of each device, and leaves out those that the map does not
// name. One that two lines name, or a line that names two, is an error, as is a line
// that names none: somebody would be without the device.
func (m *Map) Assign(tokens []Token) (named, left []Token, wrong []error) {
	byName := map[string]*mapLine{}
	for i := range m.lines {
		byName[m.lines[i].name] = &m.lines[i]
	}
	for _, t := range tokens {
		var line *mapLine
		for _, name := range t.Names() {
			found := byName[name]
			switch {
			case found == nil || found == line:
			case line != nil:
				wrong = append(wrong, MapError{found.number, fmt.Sprintf("%s is that of line %d of the map too", t.Place(), line.number)})
			case found.taken > 0:
				wrong = append(wrong, MapError{found.number, fmt.Sprintf("it names %s and one before; write the serial, or ISSUER:ACCOUNT", t.Place())})
			default:
				line = found
			}
		}
		switch {
		case line == nil:
			left = append(left, t)
			continue
		case t.User != "" && t.User != line.user:
			wrong = append(wrong, MapError{line.number, fmt.Sprintf("%s names another user itself", t.Place())})
		}
		line.taken = t.Number
		t.User = line.user
		named = append(named, t)
	}
	for _, line := range m.lines {
		if line.taken == 0 {
			wrong = append(wrong, MapError{line.number, "there is no device of that serial or label"})
		}
	}
	return named, left, wrong
}
