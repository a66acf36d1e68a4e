package remote

import (
	"context"
	"fmt"

	"github.com/otpgate/otpgate/internal/breakglass"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/ledger"
)

// breakGlass looks at who has codes for the time in which no server answers, or on a
// server the ledger in etcd does not, and at whether they are still good.
func (e *exam) breakGlass(ctx context.Context) {
	dir := e.Settings.Paths.BreakGlass
	names, err := breakglass.Names(dir)
	if err != nil {
		e.add(finding.Finding{Severity: finding.Error, ID: "break-glass-file", File: dir, What: "The directory of break-glass codes cannot be read: " + err.Error() + ".",
			Follows: "Nobody gets in by such a code.", Fix: "Let root alone, or the verifier's user, write there."})
		return
	}
	left := 0
	for _, name := range names {
		left += e.codesLeft(ctx, name)
	}
	if left > 0 {
		return
	}
	machine, while := "client", "While no server answers"
	if e.Settings.Remote == nil {
		machine, while = "server", "While etcd cannot be reached"
	}
	f := finding.Finding{Severity: finding.Warning, ID: "no-break-glass", File: dir, What: "Nobody has a break-glass code that is good on this " + machine + ".",
		Follows: while + ", nobody gets in.",
		Fix:     "otpctl break-glass root makes eight; keep them on paper, away from the machine."}
	if len(e.Settings.Policy.Exempt)+len(e.Settings.Policy.TrustedNetworks) > 0 {
		f.Severity, f.Follows = finding.Note, while+", nobody gets in who is not in policy.exempt or policy.trusted_networks."
	}
	e.add(f)
}

// codesLeft looks at one person's file, and counts the codes that are good here.
func (e *exam) codesLeft(ctx context.Context, name string) int {
	f := finding.Finding{Severity: finding.Error, ID: "break-glass-file", File: breakglass.Path(e.Settings.Paths.BreakGlass, name)}
	again := "otpctl break-glass " + name + " makes new ones."
	codes, err := breakglass.Load(e.Settings.Paths.BreakGlass, name)
	var used ledger.Entry
	if err == nil {
		used, err = e.usedUp(ctx, name)
	}
	if err != nil {
		f.What, f.Follows, f.Fix = "The break-glass codes of "+name+" do not count: "+err.Error()+".", name+" gets in by none of them.", "Mend that. Or "+again
		e.add(f)
		return 0
	}
	left := codes.Left(used)
	switch all := len(codes.Hashes); {
	case left == all:
		return left
	case left == 0:
		f.Severity, f.What = finding.Warning, "Each break-glass code of "+name+" was used."
	default:
		f.Severity, f.What = finding.Note, fmt.Sprintf("%d of %s of %s were used.", all-left, finding.Count(all, "break-glass code"), name)
	}
	f.ID, f.Follows = "break-glass-used", "Whoever watched codes being typed may have made use of them: otpctl break-glass list says when one was last used."
	f.Fix = again
	e.add(f)
	return left
}

// usedUp is what this machine remembers of a person's codes.
func (e *exam) usedUp(ctx context.Context, name string) (ledger.Entry, error) {
	if len(existing(e.Settings.Paths.State)) == 0 {
		return ledger.Entry{}, nil // and it would be made
	}
	store, err := ledger.OpenOwn(e.Settings.Paths.State)
	if err != nil {
		return ledger.Entry{}, err
	}
	defer store.Close()
	return store.View(ctx, breakglass.Key(name))
}
