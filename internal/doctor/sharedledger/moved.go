package sharedledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/safefile"
)

// everybody is what becomes of logins on a machine whose ledger does not count, and that
// has no [ledger]: then no break-glass codes are asked for either.
const everybody = "Everybody who is asked for a code is denied here."

// old looks at a ledger in files that the configuration says is the one that counts.
func (e *exam) old() {
	dir := e.Settings.Paths.State
	place, err := safefile.CheckServiceDir(dir)
	if err != nil {
		return // that is found where the directory is looked at
	}
	defer place.Close()
	moved, found, err := ledger.ReadMoved(dir)
	switch {
	case errors.Is(err, fs.ErrPermission):
	case found && moved.Done:
		e.findings = append(e.findings, finding.Finding{Severity: finding.Error, ID: "ledger-moved", File: dir,
			What: fmt.Sprintf("The ledger was moved from there to %s, %s, and the configuration has no [ledger].", moved.To, moved.Prefix), Follows: everybody,
			Fix: "Put [ledger] back, as on the other servers: docs/ledger.md."})
	case found:
		e.unfinished(dir, moved, everybody)
	case err != nil:
		e.unread(dir, err)
	}
}

// left looks for entries in files that do not count, as the ledger is in etcd.
func (e *exam) left() {
	dir := e.Settings.Paths.State
	err := ledger.CheckLeft(dir, e.Settings.Ledger.Prefix)
	moved, half := errors.AsType[ledger.MovedError](err)
	other, elsewhere := errors.AsType[ledger.PrefixError](err)
	left, are := errors.AsType[ledger.LeftError](err)
	switch {
	case elsewhere:
		e.add("prefix", finding.Finding{Severity: finding.Error, ID: "ledger-moved",
			What:    fmt.Sprintf("The ledger was moved from %s to %s, %s, and the configuration has the prefix %s.", dir, other.To, other.MovedError.Prefix, other.Prefix),
			Follows: denied, Fix: "Put back the prefix " + other.MovedError.Prefix + "."})
	case half:
		e.unfinished(dir, moved.Moved, denied)
	case are:
		e.findings = append(e.findings, finding.Finding{Severity: finding.Error, ID: "ledger-not-moved", File: dir,
			What:    "The configuration has [ledger], and there are entries of a ledger in files that were not moved to it.",
			Follows: denied + " In etcd codes would be good again that these entries know to be used.",
			Fix:     "If they have counted here until now: otpctl ledger move --to etcd. If they are a copy from before a move, or are not to count: rm -r " + strings.Join(left.Dirs, " ")})
	case err != nil:
		e.unread(dir, err)
	}
}

// forgotten asks whether the ledger in etcd is the one that has what was moved there. What
// else keeps it from being asked is found where its members are looked at.
func (e *exam) forgotten(ctx context.Context) {
	if e.Former == nil {
		return
	}
	if other, ok := errors.AsType[ledger.ForgottenError](e.Former(ctx, e.Settings)); ok {
		e.add("etcd", finding.Finding{Severity: finding.Error, ID: "ledger-moved",
			What:    fmt.Sprintf("The ledger was moved from %s to %s, %s, with the id %s, and what [ledger] leads to knows nothing of that.", other.Dir, other.To, other.Prefix, other.ID),
			Follows: denied + " Codes would be good again that were used.",
			Fix:     "Let [ledger] lead to that etcd again, and restart otpgate-ledgerd. If it was set up anew, or restored from a copy: docs/ledger.md, When something fails."})
	}
}

func (e *exam) unfinished(dir string, moved ledger.Moved, follows string) {
	e.findings = append(e.findings, finding.Finding{Severity: finding.Error, ID: "ledger-move-unfinished", File: dir,
		What: fmt.Sprintf("The ledger is being moved from there to %s, %s, and that is not done.", moved.To, moved.Prefix), Follows: follows,
		Fix: "otpctl ledger move --to " + moved.To + " goes on with it, --undo takes it back."})
}

func (e *exam) unread(dir string, err error) {
	e.findings = append(e.findings, finding.Finding{Severity: finding.Error, ID: "ledger-moved", File: dir,
		What: "Whether the ledger was moved from there cannot be read: " + err.Error() + ".", Follows: everybody, Fix: "Mend that."})
}
