package people

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
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// Bulk is the enrollment of the people in a file.
type Bulk struct {
	Command   string // as it was called
	File, Out string
	DryRun    bool
}

const bulkHelp = `

With --csv it enrolls everybody in a file of comma-separated values.` + ColumnsHelp

// ColumnsHelp ends the help of commands that read columns.
const ColumnsHelp = ` Its first
line names the columns: user, and as needed kind (totp, hotp, email, sms), id,
email, phone, protocols (separated by spaces or semicolons), secret (in base32,
or in hexadecimal after 0x; without one it is made), counter, digits, period,
algorithm, or all these in a uri (otpauth), prefix, and confirmed: yes lets the
factor count without a first code, which is the default only for email and sms.

The form of every line is checked before anything is written. Whether the person
exists and has an address or such a factor already is checked line by line, and a
failure does not stop the rest. --dry-run checks everything and writes nothing.
Somebody who has exactly what the line says, confirmed, stays as before; somebody
who has yet to give its first code still has to. Any other factor of that name is
left alone without --replace, and the line fails. New secrets go to the file that
--out names, or with --json to standard output.`

func (b *Bulk) register(f *pflag.FlagSet) {
	f.StringVar(&b.File, "csv", "", "enroll everybody in this `file`; - is standard input")
	f.StringVar(&b.Out, "out", "", "new `file` for the URIs and recovery codes of the people in --csv")
	f.BoolVar(&b.DryRun, "dry-run", false, "with --csv: check everything and write nothing")
}

// check refuses flags that do not go together.
func (b *Bulk) check(given func(flag string) bool) error {
	if !given("csv") {
		if given("out") || given("dry-run") {
			return invocation.Usage("--out and --dry-run go with --csv")
		}
		return nil
	}
	for _, flag := range []string{"id", "kind", "digits", "period", "algorithm", "email", "phone", "secret", "counter", "trust-address", "qr"} {
		if given(flag) {
			return invocation.Usage("--%s does not go with --csv, where each line says it", flag)
		}
	}
	if b.File == "" {
		return invocation.Usage("--csv: expected the name of a file, or - for standard input")
	}
	return nil
}

// toConfirm is the result for somebody who was enrolled so before and has given no
// first code yet.
const toConfirm = "to-confirm"

// enrolledLine is what became of one line.
type enrolledLine struct {
	Line          int          `json:"line"`
	User          string       `json:"user"`
	Result        string       `json:"result"` // enrolled, would-enroll, unchanged, to-confirm or failed
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

// EnrollCSV enrolls those whom a file lists.
func EnrollCSV(ctx context.Context, a *invocation.App, b Bulk, flags EnrollFlags) (err error) {
	a.Csv = true
	g, err := a.Gate()
	if err != nil {
		return err
	}
	lines, err := readCSV(a, g, b)
	if err != nil {
		return err
	}
	issuer, err := flags.labelIssuer(g.Config.TOTP)
	if err != nil {
		return err
	}
	report, err := newReport(a, b, flags.Json, lines)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, report.close()) }()
	e := enroller{a, g, b, issuer, flags.Replace, flags.NoSystemCheck, map[string]int{}}
	a.RemarkOnChannels(g.Config, kindsOf(lines)...)
	bar := a.Begin("lines done", len(lines))
	for _, line := range lines {
		done, err := e.line(ctx, line, flags.Json || b.Out != "")
		if err := report.add(done, a.Hint(err)); err != nil {
			return err
		}
		bar.Step()
	}
	a.Clear()
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
func readCSV(a *invocation.App, g admin.People, b Bulk) ([]csvLine, error) {
	if info, err := os.Stat(b.File); b.File != "-" && err == nil && info.Mode().Perm()&0o077 != 0 {
		defer a.Note("others may read %s: if there are secrets in it, run chmod 600 now, and remove it in the end", b.File)
	}
	reader := newCSVReader(g.Config, func(user string) bool {
		_, known, err := a.Lookup(user)
		return known && err == nil
	})
	if err := reader.ReadFile(a, b.Command, b.File, "nobody is enrolled"); err != nil {
		return nil, err
	}
	if reader.recovery {
		a.Note("the recovery codes in %s are not taken back, as some may have been used; %s recovery USER makes new ones", reader.Name, a.Self())
	}
	for _, line := range reader.lines {
		if list := line.prepared.Changes.Protocols; list != nil && remarkOnSFTP(a, *list) {
			break
		}
	}
	return reader.lines, nil
}

// enroller enrolls one line after the other.
type enroller struct {
	a                      *invocation.App
	g                      admin.People
	bulk                   Bulk
	issuer                 string
	replace, noSystemCheck bool
	seen                   map[string]int // the system's spelling of a name, and its line
}

// line enrolls the person of one line. The error is also part of what it
// returns.
func (e *enroller) line(ctx context.Context, line csvLine, showable bool) (enrolledLine, error) {
	p := line.prepared
	p.Replace, p.Recovery, p.Made = e.replace, showable, line.made
	done := enrolledLine{Line: line.number, User: p.User, Result: invocation.FailedResult, ID: p.Factor.ID, Kind: p.Factor.Kind, Confirmed: p.Confirmed}
	made, err := e.write(ctx, line, &p)
	done.User = p.User
	switch {
	case errors.Is(err, admin.ErrEnrolledSame):
		done.Result, done.Confirmed = invocation.Unchanged, true
		return done, nil
	case errors.Is(err, admin.ErrToConfirm):
		done.Result, done.Confirmed = toConfirm, false
		return done, nil
	case err != nil:
		done.Error, done.Confirmed = err.Error(), false
		return done, err
	case e.bulk.DryRun:
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
	invocation.Changed(e.g, e.bulk.Command, audit.Record{User: p.User, Reason: reason})
	return done, nil
}

func (e *enroller) write(ctx context.Context, line csvLine, p *admin.Prepared) (enrollment.Confirmation, error) {
	if !e.noSystemCheck {
		name, err := e.a.SystemName(p.User)
		if err != nil {
			return enrollment.Confirmation{}, err
		}
		p.User = name
	}
	if first, found := e.seen[p.User]; found {
		return enrollment.Confirmation{}, fmt.Errorf("this machine knows the people of this line and of line %d both as %s", first, p.User)
	}
	e.seen[p.User] = line.number
	if line.keyless {
		return enrollment.Confirmation{}, e.keyless(p)
	}
	if e.bulk.DryRun {
		return enrollment.Confirmation{}, e.g.CheckPrepared(*p)
	}
	return e.g.EnrollPrepared(ctx, *p)
}
