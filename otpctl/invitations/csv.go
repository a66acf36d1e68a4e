package invitations

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// columns are what a line may say.
var columns = []string{"user", "email", "id"}

// maxCSV is far above any such file, and maxProblems is how many mistakes are shown.
const maxCSV, maxProblems = 32 << 20, 50

// reader reads a file of people and collects all that is wrong with it.
type reader struct {
	name     string
	header   []string
	lines    map[string]int // where somebody was named first
	people   []wanted
	problems []string
}

// readCSV reads and checks the whole file.
func readCSV(a *invocation.App, path string) ([]wanted, error) {
	from, r := a.Stdin, &reader{name: "standard input", lines: map[string]int{}}
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("invite --csv: %w", err)
		}
		defer file.Close()
		from, r.name = file, path
	}
	if err := r.read(from); err != nil {
		return nil, err
	}
	if n := len(r.problems); n > 0 {
		for _, problem := range r.problems[:min(n, maxProblems)] {
			a.Note("%s", problem)
		}
		if n > maxProblems {
			a.Note("and %d more", n-maxProblems)
		}
		return nil, fmt.Errorf("nobody is invited: %s in %s", invocation.Counted(n, "mistake", "mistakes"), r.name)
	}
	if len(r.people) == 0 {
		a.Sum("there is no line below the header")
	}
	return r.people, nil
}

func (r *reader) problem(line int, format string, values ...any) {
	r.problems = append(r.problems, fmt.Sprintf("%s:%d: ", r.name, line)+fmt.Sprintf(format, values...))
}

func (r *reader) read(from io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(from, maxCSV+1))
	switch {
	case err != nil:
		return fmt.Errorf("read %s: %w", r.name, err)
	case len(data) > maxCSV:
		return fmt.Errorf("%s: over %d bytes, expected fewer; split it", r.name, maxCSV)
	}
	// Spreadsheets put a byte order mark in front.
	lines := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(data), "\ufeff")))
	lines.FieldsPerRecord = -1
	for {
		fields, err := lines.Read()
		wrong, is := errors.AsType[*csv.ParseError](err)
		switch {
		case errors.Is(err, io.EOF):
			if r.header == nil {
				r.problem(1, "expected a header with the names of the columns, found nothing")
			}
			return nil
		case is:
			r.problem(wrong.Line, "character %d: %v", wrong.Column, wrong.Err)
			return nil
		case err != nil:
			return err
		}
		number, _ := lines.FieldPos(0)
		if r.header != nil {
			r.line(number, fields)
		} else if !r.takeHeader(number, fields) {
			return nil
		}
	}
}

// takeHeader says whether the lines below make sense with this header.
func (r *reader) takeHeader(line int, fields []string) bool {
	r.header = []string{}
	for i, field := range fields {
		name := strings.ToLower(strings.TrimSpace(field))
		switch {
		case !slices.Contains(columns, name):
			// It is not shown: in a file without a header it may be anything.
			r.problem(line, "column %d is unknown, expected columns separated by commas: %s", i+1, strings.Join(columns, ", "))
		case slices.Contains(r.header, name):
			r.problem(line, "the column %s is there twice", name)
		}
		r.header = append(r.header, name)
	}
	if !slices.Contains(r.header, "user") {
		r.problem(line, "the column user is missing")
	}
	return len(r.problems) == 0
}

func (r *reader) line(number int, fields []string) {
	if len(fields) != len(r.header) {
		r.problem(number, "%d fields, expected %d as in the header", len(fields), len(r.header))
		return
	}
	cells := map[string]string{}
	for i, name := range r.header {
		cells[name] = strings.TrimSpace(fields[i])
	}
	person := wanted{line: number, user: cells["user"], email: cells["email"], id: cells["id"], further: cells["id"] != ""}
	if person.id == "" {
		person.id = "phone"
	}
	first, found := r.lines[person.user]
	switch {
	case account.CheckName(person.user) != nil:
		r.problem(number, "user: %v", account.CheckName(person.user))
	case found:
		r.problem(number, "user: %q is in line %d already", person.user, first)
	case person.email != "" && account.CheckEmail(person.email) != nil:
		r.problem(number, "email: %v", account.CheckEmail(person.email))
	case account.CheckID(person.id) != nil:
		r.problem(number, "id: %v", account.CheckID(person.id))
	default:
		r.people = append(r.people, person)
	}
	if !found {
		r.lines[person.user] = number
	}
}
