package people

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/enrollment"
	"github.com/otpgate/otpgate/internal/tokenfile"
	"github.com/otpgate/otpgate/otpctl/peoplefile"
)

// columns are what a line of a file of people may say.
var columns = []string{"user", "kind", "email", "phone", "protocols", "secret", "counter", "digits", "period",
	"algorithm", "confirmed", "id", "prefix", "uri", "recovery_codes"}

// csvLine is one person's line, checked.
type csvLine struct {
	number   int
	prepared admin.Prepared
	made     bool // the secret was, and is known to nobody yet
	keyless  bool // nothing says what the secret is
}

// csvReader reads a file of people and collects all that is wrong with it.
type csvReader struct {
	peoplefile.Reader
	config   config.Config
	recovery bool // there are recovery codes in it
	secrets  map[string]int
	lines    []csvLine
}

func newCSVReader(settings config.Config, known func(user string) bool) *csvReader {
	r := &csvReader{config: settings, secrets: map[string]int{}}
	r.Reader = peoplefile.Reader{Columns: columns, Known: known, Line: r.line}
	return r
}

func (r *csvReader) line(number int, cells map[string]string) (column string, err error) {
	line := csvLine{number: number}
	r.recovery = r.recovery || cells["recovery_codes"] != ""
	if column, err := line.fill(cells, r.config); err != nil {
		return column, err
	}
	secret := string(line.prepared.Factor.Secret)
	if first, found := r.secrets[secret]; found && secret != "" {
		return "secret", fmt.Errorf("it is that of line %d too", first)
	}
	r.secrets[secret] = number
	r.lines = append(r.lines, line)
	return "", nil
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
