package transfer

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/migrate"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// The results of an import, beside failedResult.
const (
	importedResult = "imported"
	wouldImport    = "would-import"
	leftOut        = "left-out"
)

// importRecord is what became of one person. There is nothing secret in it.
type importRecord struct {
	User         string           `json:"user"`
	Result       string           `json:"result"` // imported, would-import, unchanged, left-out or failed
	Error        string           `json:"error,omitempty"`
	From         string           `json:"from"`
	Factors      []importedFactor `json:"factors"`
	RecoveryLeft int              `json:"recovery_left"`
	Remarks      []string         `json:"remarks,omitempty"`
}

type importedFactor struct {
	ID      string       `json:"id"`
	Kind    account.Kind `json:"kind"`
	Digits  int          `json:"digits,omitempty"`
	Period  int          `json:"period,omitempty"`
	Counter *int64       `json:"next_counter,omitempty"`
}

// importReport collects them.
type importReport struct {
	a        *invocation.App
	settings config.Config
	dry      bool
	records  []importRecord
	errs     []error
	windows  migrate.Window // the widest
}

func (r *importReport) add(p found, left int, err error) {
	record := importRecord{User: p.User, Result: importedResult, From: placeOf(p), Factors: []importedFactor{}, Remarks: p.Remarks}
	if r.dry {
		record.Result = wouldImport
	}
	switch {
	case errors.Is(err, admin.ErrEnrolledSame):
		record.Result = invocation.Unchanged
	case errors.Is(err, errNotInMap):
		record.Result = leftOut
	case err != nil:
		record.Result, record.Error = invocation.FailedResult, err.Error()
		r.errs = append(r.errs, fmt.Errorf("%s: %w", r.who(p), err))
	}
	if record.Result != invocation.FailedResult {
		record.RecoveryLeft = left
		for _, f := range p.Factors {
			made := importedFactor{ID: f.Factor.ID, Kind: f.Factor.Kind, Digits: f.Factor.Digits, Period: f.Factor.Period}
			if made.Kind == account.HOTP {
				made.Counter = &f.Factor.Counter
			}
			record.Factors = append(record.Factors, made)
		}
		if record.Result != invocation.Unchanged {
			r.windows.Steps = max(r.windows.Steps, p.Window.Steps)
			r.windows.Codes = max(r.windows.Codes, p.Window.Codes)
		}
	}
	r.records = append(r.records, record)
}

// who names somebody, also of a line without a name.
func (r *importReport) who(p found) string {
	if p.User == "" {
		return placeOf(p)
	}
	return p.User
}

func (r *importReport) end(asJSON bool) error {
	var err error
	if asJSON {
		err = r.a.JSON(r.records)
	} else {
		err = r.table()
	}
	for _, err := range r.errs {
		r.a.Complain(err)
	}
	r.remarkOnWindows()
	if failed := len(r.errs); err == nil && failed > 0 {
		return fmt.Errorf("%d of %d failed", failed, len(r.records))
	}
	return err
}

func (r *importReport) table() error {
	if len(r.records) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(r.a.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "USER\tRESULT\tDEVICES\tRECOVERY LEFT\tFROM")
	for _, record := range r.records {
		var devices []string
		for _, f := range record.Factors {
			devices = append(devices, f.words())
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\n", invocation.Printable(invocation.OrDash(record.User)), record.Result,
			invocation.OrDash(strings.Join(devices, ", ")), record.RecoveryLeft, invocation.Printable(record.From))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, record := range r.records {
		if record.Result == invocation.Unchanged {
			continue // that was said when they came
		}
		for _, remark := range record.Remarks {
			r.a.Note("%s: %s", record.User, remark)
		}
	}
	return nil
}

func (f importedFactor) words() string {
	if f.Counter != nil {
		return fmt.Sprintf("%s (%s from %d)", f.ID, f.Kind, *f.Counter)
	}
	return fmt.Sprintf("%s (%s)", f.ID, f.Kind)
}

// remarkOnWindows says what is narrower here than where people come from.
func (r *importReport) remarkOnWindows() {
	if here := r.settings.TOTP.Window; r.windows.Steps > here {
		r.a.Note("up to %d steps either way were right before; here totp.window is %d, and a clock that wanders is followed", r.windows.Steps, here)
	}
	if here := r.settings.HOTP.Window; r.windows.Codes > here {
		r.a.Note("up to %d codes could be left out before; here hotp.window is %d", r.windows.Codes, here)
	}
}

// auditOf is the line in the log about somebody who was brought along.
func auditOf(p found) audit.Record {
	var ids []string
	for _, f := range p.Factors {
		ids = append(ids, f.Factor.ID)
	}
	reason := "factor " + strings.Join(ids, ", ") + " from " + placeOf(p)
	if n := len(p.Scratch); n > 0 {
		reason += ", " + invocation.Counted(n, "scratch code", "scratch codes")
	}
	return audit.Record{User: p.User, Reason: reason}
}
