// Package peoplefile reads files that name people, one in a line: CSV (RFC 4180) below a
// header with the names of the columns, of which one is "user".
//
// The entry point is [Reader]. It promises that nothing is to be done before all lines
// were looked at, that nobody is named twice, and that no message shows what may be a
// key in the wrong column.
package peoplefile

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/tokenfile"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

const (
	// maxSize is far above any such file, in bytes.
	maxSize = 32 << 20
	// maxShown is how many mistakes are shown.
	maxShown = 50
)

// Reader reads a file and collects all that is wrong with it.
type Reader struct {
	// Name is the file's, for messages.
	Name string
	// Columns are those that there may be.
	Columns []string
	// Known says whether the machine knows somebody; nil knows nobody.
	Known func(user string) bool
	// Line takes the cells of a line, by column and without spaces around them. The
	// user is a login name. An error is about column.
	Line func(number int, cells map[string]string) (column string, err error)

	// Problems are the mistakes, each with its line.
	Problems []string

	header []string
	users  map[string]int // where somebody was named first
}

// ReadFile reads the file at path, "-" for the standard input, and says what is wrong
// with it. command is what the admin runs; nobody begins the error of a file with
// mistakes, as in "nobody is enrolled".
func (r *Reader) ReadFile(a *invocation.App, command, path, nobody string) error {
	from := a.Stdin
	r.Name = "standard input"
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
		defer file.Close()
		from, r.Name = file, path
	}
	if err := r.Read(from); err != nil {
		return err
	}
	n := len(r.Problems)
	if n == 0 {
		return nil
	}
	for _, problem := range r.Problems[:min(n, maxShown)] {
		a.Note("%s", problem)
	}
	if n > maxShown {
		a.Note("and %d more", n-maxShown)
	}
	return fmt.Errorf("%s: %s in %s", nobody, invocation.Counted(n, "mistake", "mistakes"), r.Name)
}

// Read reads everything. The error is that of a file which cannot be read at all.
func (r *Reader) Read(from io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(from, maxSize+1))
	switch {
	case err != nil:
		return fmt.Errorf("read %s: %w", r.Name, err)
	case len(data) > maxSize:
		return fmt.Errorf("%s: over %d bytes, expected fewer; split it", r.Name, maxSize)
	}
	if err := tokenfile.ExpectNone(data, tokenfile.PeopleCSV); err != nil {
		r.problem(1, "%v", err)
		return nil
	}
	r.users = map[string]int{}
	// Spreadsheets put a byte order mark in front.
	lines := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(data), "\ufeff")))
	lines.FieldsPerRecord = -1
	for {
		fields, err := lines.Read()
		wrong, ok := errors.AsType[*csv.ParseError](err)
		switch {
		case errors.Is(err, io.EOF):
			if r.header == nil {
				r.problem(1, "expected a header with the names of the columns, found nothing")
			}
			return nil
		case ok:
			// What follows cannot be told apart any more.
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

func (r *Reader) problem(line int, format string, values ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf("%s:%d: ", r.Name, line)+fmt.Sprintf(format, values...))
}

// takeHeader says whether the lines below make sense with this header.
func (r *Reader) takeHeader(line int, fields []string) bool {
	r.header = []string{}
	for i, field := range fields {
		name := strings.ToLower(strings.TrimSpace(field))
		switch {
		case !slices.Contains(r.Columns, name):
			// It is not shown: in a file without a header it may be a key.
			r.problem(line, "column %d is unknown, expected columns separated by commas: %s", i+1, strings.Join(r.Columns, ", "))
		case slices.Contains(r.header, name):
			r.problem(line, "the column %s is there twice", name)
		}
		r.header = append(r.header, name)
	}
	if !slices.Contains(r.header, "user") {
		r.problem(line, "the column user is missing")
	}
	return len(r.Problems) == 0
}

func (r *Reader) line(number int, fields []string) {
	if len(fields) != len(r.header) {
		r.problem(number, "%d fields, expected %d as in the header", len(fields), len(r.header))
		return
	}
	cells := map[string]string{}
	for i, name := range r.header {
		cells[name] = strings.TrimSpace(fields[i])
	}
	user := cells["user"]
	if err := r.checkUser(user); err != nil {
		r.problem(number, "user: %v", err)
		return
	}
	if first, found := r.users[user]; found {
		r.problem(number, "user: %q is in line %d already", user, first)
		return
	}
	r.users[user] = number
	if column, err := r.Line(number, cells); err != nil {
		r.problem(number, "%s: %v", column, err)
	}
}

// checkUser refuses what is no login name. What may be a key is not shown, unless the
// machine knows it.
func (r *Reader) checkUser(name string) error {
	err := account.CheckName(name)
	if !tokenfile.IsKeyLike(name) || err == nil && r.Known != nil && r.Known(name) {
		return err
	}
	return errors.New("it looks like a key, which is not shown; expected a login name")
}
