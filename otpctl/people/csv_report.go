package people

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/otpgate/otpgate/otpctl/invocation"
)

// report says what became of each line, and takes what is to be handed over to
// where it belongs, line by line: what was enrolled before a crash is there.
type report struct {
	a             *invocation.App
	command       string
	json          bool
	total, failed int
	handed        int // how many lines of out are somebody's
	toConfirm     int // how many people have given no first code yet
	hints         []string
	out           *os.File
	rows          *csv.Writer
}

// newReport makes the file of --out. Secrets that would reach nobody are
// refused.
func newReport(a *invocation.App, b Bulk, asJSON bool, lines []csvLine) (*report, error) {
	r := &report{a: a, command: b.Command, json: asJSON}
	if b.DryRun {
		return r, r.open()
	}
	for _, line := range lines {
		if line.made && b.Out == "" && !asJSON {
			return nil, invocation.Usage("line %d: a secret is made for %s, and nothing says where to: expected --out FILE or --json", line.number, line.prepared.User)
		}
	}
	if b.Out != "" {
		out, err := invocation.NewSecretFile("--out", b.Out)
		if err != nil {
			return nil, err
		}
		r.out, r.rows = out, csv.NewWriter(out)
		if err := r.row("user", "id", "kind", "uri", "recovery_codes"); err != nil {
			return nil, errors.Join(err, out.Close())
		}
	}
	return r, r.open()
}

func (r *report) open() error {
	if r.json {
		_, err := io.WriteString(r.a.Out, "[")
		return err
	}
	return nil
}

func (r *report) row(fields ...string) error {
	if err := r.rows.Write(fields); err != nil {
		return err
	}
	r.rows.Flush()
	if err := r.rows.Error(); err != nil {
		return fmt.Errorf("write %s: %w", r.out.Name(), err)
	}
	return nil
}

// add reports one line. If that fails the rest is not to be done.
func (r *report) add(line enrolledLine, hint string) error {
	r.total++
	if line.Result == toConfirm {
		r.toConfirm++
	}
	if line.Error != "" {
		r.failed++
		// The hints of many lines are the same few.
		if hint != "" && len(r.hints) < maxHints && !strings.Contains(strings.Join(r.hints, "\n"), hint) {
			r.hints = append(r.hints, hint)
		}
	}
	if r.out != nil && (line.URI != "" || line.RecoveryCodes != nil) {
		if err := r.row(line.User, line.ID, string(line.Kind), line.URI, strings.Join(line.RecoveryCodes, " ")); err != nil {
			return lostLine{line, err}
		}
		r.handed++
	}
	if r.json {
		if line.Result == "enrolled" {
			r.a.Again = "otpctl " + r.command + " again, with --replace for the lines that were done"
		}
		return r.addJSON(line)
	}
	r.a.Say("line %d: %s: %s", line.Line, line.User, line.words())
	return nil
}

const maxHints = 5

func (r *report) addJSON(line enrolledLine) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetIndent("  ", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(line); err != nil {
		return err
	}
	between := ",\n  "
	if r.total == 1 {
		between = "\n  "
	}
	r.a.Clear()
	if _, err := io.WriteString(r.a.Out, between+strings.TrimSuffix(text.String(), "\n")); err != nil {
		return lostLine{line, err}
	}
	return nil
}

func (l enrolledLine) words() string {
	what := fmt.Sprintf("%s (%s)", l.ID, l.Kind)
	if len(l.Beside) > 0 {
		what += ", beside " + strings.Join(l.Beside, ", ")
	}
	switch {
	case l.Error != "":
		return "failed: " + l.Error
	case l.Result == invocation.Unchanged:
		return "as before: " + what
	case l.Result == toConfirm:
		return "still to confirm: " + what
	case l.Result != "enrolled":
		return "would be enrolled: " + what
	case l.disabled:
		what += ", but is disabled, so that no code counts"
	case !l.Confirmed:
		what += ", not confirmed yet"
	}
	return "enrolled: " + what
}

// lostLine says that somebody was enrolled and that what to hand over is lost.
type lostLine struct {
	line enrolledLine
	error
}

func (l lostLine) Error() string {
	return fmt.Sprintf("line %d: %s is enrolled, but what to hand over could not be written; the lines behind it are not done: %v", l.line.Line, l.line.User, l.error)
}

func (l lostLine) Unwrap() error { return l.error }

func (r *report) sum() error {
	for _, hint := range r.hints {
		fmt.Fprintln(r.a.Stderr, "hint: "+invocation.Printable(hint))
	}
	if r.total == 0 {
		r.a.Sum("there is no line below the header")
	}
	if r.handed > 0 {
		r.a.Note("%s holds what logs people in: hand it out, then remove it", r.out.Name())
	}
	if r.toConfirm > 0 {
		r.a.Sum("%s still to confirm, with the secret of before; --replace makes a new one", invocation.Counted(r.toConfirm, "person has", "people have"))
	}
	if r.failed > 0 {
		return fmt.Errorf("%d of %d lines failed", r.failed, r.total)
	}
	return nil
}

func (r *report) close() error {
	var err error
	if r.json {
		_, err = io.WriteString(r.a.Out, "\n]\n")
	}
	if r.out == nil {
		return err
	}
	if r.handed == 0 {
		return errors.Join(err, os.Remove(r.out.Name()), r.out.Close())
	}
	return errors.Join(err, r.out.Sync(), r.out.Close())
}
