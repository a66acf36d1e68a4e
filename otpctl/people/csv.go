package people

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/enrollment"
	"github.com/otpgate/otpgate/internal/tokenfile"
)

// columns are what a line of a file of people may say.
var columns = []string{"user", "kind", "email", "phone", "protocols", "secret", "counter", "digits", "period",
	"algorithm", "confirmed", "id", "prefix", "uri", "recovery_codes"}

// maxCSV is far above any such file.
const maxCSV = 32 << 20

// csvLine is one person's line, checked.
type csvLine struct {
	number   int
	prepared admin.Prepared
	made     bool // the secret was, and is known to nobody yet
	keyless  bool // nothing says what the secret is
}

// csvReader reads a file of people and collects all that is wrong with it.
type csvReader struct {
	name     string // of the file, for messages
	config   config.Config
	known    func(user string) bool // whether the machine knows somebody
	recovery bool                   // there are recovery codes in it
	header   []string
	users    map[string]int // where somebody was named first
	secrets  map[string]int
	lines    []csvLine
	problems []string
}

func (r *csvReader) problem(line int, format string, values ...any) {
	r.problems = append(r.problems, fmt.Sprintf("%s:%d: ", r.name, line)+fmt.Sprintf(format, values...))
}

// read reads everything. What it can say without looking at this machine's
// people it says.
func (r *csvReader) read(from io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(from, maxCSV+1))
	switch {
	case err != nil:
		return fmt.Errorf("read %s: %w", r.name, err)
	case len(data) > maxCSV:
		return fmt.Errorf("%s: over %d bytes, expected fewer; split it", r.name, maxCSV)
	}
	if err := tokenfile.ExpectNone(data, tokenfile.PeopleCSV); err != nil {
		r.problem(1, "%v", err)
		return nil
	}
	r.users, r.secrets = map[string]int{}, map[string]int{}
	// Spreadsheets put a byte order mark in front.
	reader := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(data), "\ufeff")))
	reader.FieldsPerRecord = -1
	for {
		fields, err := reader.Read()
		var wrong *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			if r.header == nil {
				r.problem(1, "expected a header with the names of the columns, found nothing")
			}
			return nil
		case errors.As(err, &wrong):
			// What follows cannot be told apart any more.
			r.problem(wrong.Line, "character %d: %v", wrong.Column, wrong.Err)
			return nil
		case err != nil:
			return err
		}
		line, _ := reader.FieldPos(0)
		if r.header != nil {
			r.line(line, fields)
		} else if !r.takeHeader(line, fields) {
			return nil
		}
	}
}

// takeHeader says whether the lines below make sense with this header.
func (r *csvReader) takeHeader(line int, fields []string) bool {
	r.header = []string{}
	for i, field := range fields {
		name := strings.ToLower(strings.TrimSpace(field))
		switch {
		case !slices.Contains(columns, name):
			// It is not shown: in a file without a header it may be a key.
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

func (r *csvReader) line(number int, fields []string) {
	if len(fields) != len(r.header) {
		r.problem(number, "%d fields, expected %d as in the header", len(fields), len(r.header))
		return
	}
	cells := map[string]string{}
	for i, name := range r.header {
		cells[name] = strings.TrimSpace(fields[i])
	}
	line := csvLine{number: number}
	if err := r.checkUser(cells["user"]); err != nil {
		r.problem(number, "user: %v", err)
		return
	}
	r.recovery = r.recovery || cells["recovery_codes"] != ""
	if column, err := line.fill(cells, r.config); err != nil {
		r.problem(number, "%s: %v", column, err)
		return
	}
	user, secret := line.prepared.User, string(line.prepared.Factor.Secret)
	if first, found := r.users[user]; found {
		r.problem(number, "user: %q is in line %d already", user, first)
		return
	}
	r.users[user] = number
	if first, found := r.secrets[secret]; found && secret != "" {
		r.problem(number, "secret: it is that of line %d too", first)
		return
	}
	r.secrets[secret] = number
	r.lines = append(r.lines, line)
}

// fill makes an enrollment of the cells. The error is about column.
func (l *csvLine) fill(cells map[string]string, settings config.Config) (column string, err error) {
	p := &l.prepared
	p.User = cells["user"]
	kind := kindOfURI(cells)
	if cells["kind"] != "" {
		if err := kind.UnmarshalText([]byte(cells["kind"])); err != nil {
			return "kind", err
		}
	}
	p.Factor = account.Factor{ID: usualID(kind), Kind: kind}
	if cells["id"] != "" {
		p.Factor.ID = cells["id"]
	}
	if tokenfile.IsKeyLike(p.Factor.ID) {
		return "id", errors.New("it looks like a key, which is not shown; expected a short name for the device")
	}
	// Whoever gave an address for codes to be sent to has vouched for it. A
	// secret has to arrive first.
	switch cells["confirmed"] {
	case "":
		p.Confirmed = kind.IsSent()
	case "yes":
		p.Confirmed = true
	case "no":
	default:
		return "confirmed", errors.New("expected yes or no")
	}
	if column, err := l.fillPerson(cells, settings.Policy); err != nil {
		return column, err
	}
	if column, err := l.fillFactor(cells, settings); err != nil {
		return column, err
	}
	return l.check()
}

func (l *csvLine) fillPerson(cells map[string]string, policy config.Policy) (column string, err error) {
	if email := cells["email"]; email != "" {
		l.prepared.Changes.Email = &email
	}
	if phone := cells["phone"]; phone != "" {
		if err := account.CheckNewPhone(phone); err != nil {
			return "phone", err
		}
		l.prepared.Changes.Phone = &phone
	}
	if names := strings.FieldsFunc(cells["protocols"], func(r rune) bool { return r == ' ' || r == ';' }); len(names) > 0 {
		list, err := protocolList(names, policy)
		if err != nil {
			return "protocols", err
		}
		l.prepared.Changes.Protocols = &list
	}
	return "", nil
}

// fillFactor fills in what is computed with, by the configuration where the
// file says nothing.
func (l *csvLine) fillFactor(cells map[string]string, settings config.Config) (column string, err error) {
	f := &l.prepared.Factor
	switch f.Kind {
	case account.TOTP:
		f.Digits, f.Period, f.Algorithm = settings.TOTP.Digits, settings.TOTP.Period, settings.TOTP.Algorithm
	case account.HOTP:
		f.Digits, f.Algorithm = settings.HOTP.Digits, settings.HOTP.Algorithm
	}
	for _, number := range []struct {
		column string
		to     *int
	}{{"digits", &f.Digits}, {"period", &f.Period}} {
		if cells[number.column] == "" {
			continue
		}
		if *number.to, err = strconv.Atoi(cells[number.column]); err != nil {
			return number.column, errors.New("expected a whole number")
		}
	}
	if cells["counter"] != "" {
		if f.Counter, err = strconv.ParseInt(cells["counter"], 10, 64); err != nil {
			return "counter", errors.New("expected a whole number")
		}
	}
	f.Prefix = cells["prefix"]
	if cells["algorithm"] != "" {
		f.Algorithm = strings.ToUpper(cells["algorithm"])
	}
	if cells["secret"] != "" {
		if f.Secret, err = parseSecret(cells["secret"]); err != nil {
			return "secret", err
		}
	}
	if column, err := l.fillURI(cells); err != nil || f.Kind.IsSent() {
		return column, err
	}
	if !slices.Contains(config.Algorithms, f.Algorithm) {
		return "algorithm", fmt.Errorf("expected one of %s", strings.Join(config.Algorithms, ", "))
	}
	if len(f.Secret) == 0 {
		l.made = !l.keyless
		f.Secret = enrollment.NewFactor(f.ID, config.TOTP{Digits: f.Digits, Period: f.Period, Algorithm: f.Algorithm}).Secret
	}
	return "", nil
}

// check holds the line against the rules of a secret file. An address that it
// does not name may be in the file already.
func (l *csvLine) check() (column string, err error) {
	person := account.Person{Version: 1, User: l.prepared.User, Enabled: true, Email: "a@example.com", Phone: "+10000000",
		Factors: []account.Factor{l.prepared.Factor}}
	if _, err := l.prepared.Changes.Apply(&person); err != nil {
		return "user", err
	}
	err = account.Check(person)
	var problem account.Problem
	if errors.As(err, &problem) {
		return problem.Key, errors.New(problem.What)
	}
	return "user", err
}
