package sharedledger

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/safefile"
)

// everybody is what becomes of logins on a machine none of whose ledgers counts.
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
		e.unfinished(dir, moved)
	case err != nil:
		e.unread(dir, err)
	}
}

// left looks for entries in files that do not count, as the ledger is in etcd.
func (e *exam) left() {
	dir := e.Settings.Paths.State
	err := ledger.CheckLeft(dir)
	moved, half := errors.AsType[ledger.MovedError](err)
	_, left := errors.AsType[ledger.LeftError](err)
	switch {
	case half:
		e.unfinished(dir, moved.Moved)
	case left:
		e.findings = append(e.findings, finding.Finding{Severity: finding.Error, ID: "ledger-not-moved", File: dir,
			What:    "The configuration has [ledger], and there are entries of a ledger in files that were not moved to it.",
			Follows: everybody + " In etcd codes would be good again that these entries know to be used.",
			Fix:     "otpctl ledger move --to etcd. If nothing of them is to count: rm -r " + dir + "/users and what else is there, but for break-glass and sources."})
	case err != nil:
		e.unread(dir, err)
	}
}

func (e *exam) unfinished(dir string, moved ledger.Moved) {
	e.findings = append(e.findings, finding.Finding{Severity: finding.Error, ID: "ledger-move-unfinished", File: dir,
		What: fmt.Sprintf("The ledger is being moved from there to %s, %s, and that is not done.", moved.To, moved.Prefix), Follows: everybody,
		Fix: "otpctl ledger move --to " + moved.To + " goes on with it, --undo takes it back."})
}

func (e *exam) unread(dir string, err error) {
	e.findings = append(e.findings, finding.Finding{Severity: finding.Error, ID: "ledger-moved", File: dir,
		What: "Whether the ledger was moved from there cannot be read: " + err.Error() + ".", Follows: everybody, Fix: "Mend that."})
}
