package command

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/enrollment"
	"github.com/otpgate/otpgate/internal/otpauth"
)

// bulk is the enrollment of the people in a file.
type bulk struct {
	command   string // as it was called
	file, out string
	dryRun    bool
}

const bulkHelp = `

With --csv it enrolls everybody in a file of comma-separated values.` + columnsHelp

const columnsHelp = ` Its first
line names the columns: user, and as needed kind (totp, hotp, email, sms), id,
email, phone, protocols (divided by spaces or semicolons), secret (in base32,
or in hexadecimal behind 0x; without one it is made), counter, digits, period,
algorithm, and confirmed: yes lets the factor count without a first code, which
is the default for email and sms alone. The form of every line is checked before
anything is written. Whether the person exists and has an address or such a
factor already is seen line by line, which --dry-run does without writing; a line
that fails does not keep the others from it. Who has exactly what the line says,
confirmed, is as before. Any other factor of that name is left alone without
--replace, and the line failed.
Secrets that are made go to the file of --out, or with --json to standard output.`

func (b *bulk) register(f *pflag.FlagSet) {
	f.StringVar(&b.file, "csv", "", "enroll everybody in this `file`; - is standard input")
	f.StringVar(&b.out, "out", "", "new `file` for the URIs and recovery codes of the people in --csv")
	f.BoolVar(&b.dryRun, "dry-run", false, "with --csv: check everything and write nothing")
}

// check refuses flags that do not go together.
func (b *bulk) check(given func(flag string) bool) error {
	if !given("csv") {
		if given("out") || given("dry-run") {
			return usage("--out and --dry-run go with --csv")
		}
		return nil
	}
	for _, flag := range []string{"id", "kind", "digits", "period", "algorithm", "email", "phone", "secret", "counter", "trust-address", "qr"} {
		if given(flag) {
			return usage("--%s does not go with --csv, where each line says it", flag)
		}
	}
	if b.file == "" {
		return usage("--csv: expected the name of a file, or - for standard input")
	}
	return nil
}

// enrolledLine is what became of one line.
type enrolledLine struct {
	Line          int          `json:"line"`
	User          string       `json:"user"`
	Result        string       `json:"result"` // enrolled, would-enroll, unchanged or failed
	Error         string       `json:"error,omitempty"`
	ID            string       `json:"id"`
	Kind          account.Kind `json:"kind"`
	Confirmed     bool         `json:"confirmed"`
	Secret        string       `json:"secret,omitempty"`
	URI           string       `json:"uri,omitempty"`
	Beside        []string     `json:"beside,omitempty"` // other devices that count
	RecoveryCodes []string     `json:"recovery_codes,omitempty"`

	disabled bool
}

func (a *app) enrollCSV(ctx context.Context, b bulk, flags enrollFlags) (err error) {
	a.csv = true
	g, err := a.gate()
	if err != nil {
		return err
	}
	lines, err := a.readCSV(g, b)
	if err != nil {
		return err
	}
	issuer, err := flags.issuerOver(g.Config.TOTP)
	if err != nil {
		return err
	}
	report, err := a.newReport(b, flags.json, lines)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, report.close()) }()
	e := enroller{a, g, b, issuer, flags.replace, flags.noSystemCheck, map[string]int{}}
	a.remarkOnChannels(g.Config, kindsOf(lines)...)
	bar := a.begin("lines done", len(lines))
	for _, line := range lines {
		done, err := e.line(ctx, line, flags.json || b.out != "")
		if err := report.add(done, a.hint(err)); err != nil {
			return err
		}
		bar.step()
	}
	a.clear()
	return report.sum()
}

func kindsOf(lines []csvLine) []account.Kind {
	var kinds []account.Kind
	for _, line := range lines {
		kinds = append(kinds, line.prepared.Factor.Kind)
	}
	return kinds
}

// readCSV reads and checks the whole file.
func (a *app) readCSV(g admin.People, b bulk) ([]csvLine, error) {
	from, shown := a.Stdin, "standard input"
	if name := b.file; name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.command, err)
		}
		defer file.Close()
		from, shown = file, name
		if info, err := file.Stat(); err == nil && info.Mode().Perm()&0o077 != 0 {
			defer a.note("others may read %s: if there are secrets in it, run chmod 600 and take it away in the end", name)
		}
	}
	reader := csvReader{name: shown, config: g.Config}
	if err := reader.read(from); err != nil {
		return nil, err
	}
	if n := len(reader.problems); n > 0 {
		for _, problem := range reader.problems[:min(n, maxProblems)] {
			a.note("%s", problem)
		}
		if n > maxProblems {
			a.note("and %d more", n-maxProblems)
		}
		return nil, fmt.Errorf("nobody is enrolled: %s in %s", counted(n, "mistake", "mistakes"), shown)
	}
	for _, line := range reader.lines {
		if list := line.prepared.Changes.Protocols; list != nil && a.remarkOnSFTP(*list) {
			break
		}
	}
	return reader.lines, nil
}

// maxProblems is how many mistakes in a file are shown.
const maxProblems = 50

// enroller enrolls one line after the other.
type enroller struct {
	a                      *app
	g                      admin.People
	bulk                   bulk
	issuer                 string
	replace, noSystemCheck bool
	seen                   map[string]int // the system's spelling of a name, and its line
}

// line enrolls the person of one line. The error is also part of what it
// returns.
func (e *enroller) line(ctx context.Context, line csvLine, showable bool) (enrolledLine, error) {
	p := line.prepared
	p.Replace, p.Recovery, p.Made = e.replace, showable, line.made
	done := enrolledLine{Line: line.number, User: p.User, Result: failedResult, ID: p.Factor.ID, Kind: p.Factor.Kind, Confirmed: p.Confirmed}
	made, err := e.write(ctx, line.number, &p)
	done.User = p.User
	switch {
	case errors.Is(err, admin.ErrAsBefore):
		done.Result, done.Confirmed = unchanged, true
		return done, nil
	case err != nil:
		done.Error, done.Confirmed = err.Error(), false
		return done, err
	case e.bulk.dryRun:
		done.Result = "would-enroll"
		return done, nil
	}
	done.Result, done.disabled, done.RecoveryCodes, done.Beside = "enrolled", made.Disabled, made.RecoveryCodes, made.Beside
	if line.made {
		done.Secret, done.URI = p.Factor.Secret.Base32(), otpauth.URI(e.issuer, p.User, p.Factor)
	}
	reason := fmt.Sprintf("factor %s, line %d", p.Factor.ID, line.number)
	if p.Confirmed {
		reason += ", confirmed"
	}
	if made.RecoveryCodes != nil {
		reason += ", new recovery codes"
	}
	changed(e.g, e.bulk.command, audit.Record{User: p.User, Reason: reason})
	return done, nil
}

func (e *enroller) write(ctx context.Context, number int, p *admin.Prepared) (enrollment.Confirmation, error) {
	if !e.noSystemCheck {
		name, err := e.a.systemName(p.User)
		if err != nil {
			return enrollment.Confirmation{}, err
		}
		p.User = name
	}
	if first, found := e.seen[p.User]; found {
		return enrollment.Confirmation{}, fmt.Errorf("this machine knows the people of this line and of line %d both as %s", first, p.User)
	}
	e.seen[p.User] = number
	if e.bulk.dryRun {
		return enrollment.Confirmation{}, e.g.CheckPrepared(*p)
	}
	return e.g.EnrollPrepared(ctx, *p)
}
