package people

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// Status is otpctl status.
func Status(a *invocation.App) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "status USER",
		Short: "Show everything about one person but secrets",
		Long: `status shows what the secret file and the ledger know about one person: each
device, with how far its clock was off when its last code was used; the recovery
codes that are left; the wrong codes that count towards a lock (a right one
forgives half of them), and how long a lock lasts; how many codes were sent in
the last hour; the last logins at which a code was looked at, 20 at most, of which
5 with a wrong one; and until when policy.grace lets in somebody who still has to
enroll. For people without a secret file it shows only the grace.`,
		Example: `  otpctl status alice
  otpctl status alice --json | jq .recovery_left`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.CompleteUser,
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return a.Does(c, func(ctx context.Context, args []string) error {
		g, dir, name, err := a.OpenPerson(args[0])
		if err != nil {
			return err
		}
		defer dir.Close()
		r, err := recordOf(ctx, a, g, dir, name)
		a.RemarkOnNames(g, name)
		if errors.Is(err, account.ErrNotFound) {
			r, err = withoutFile(ctx, a, g, name, err)
		}
		if err != nil {
			return err
		}
		if asJSON {
			return a.JSON(r)
		}
		return showStatus(a, r)
	})
}

// withoutFile is what is known of somebody without a secret file. missing is
// the error for whoever has no grace either.
func withoutFile(ctx context.Context, a *invocation.App, g admin.People, name string, missing error) (record, error) {
	_, found, err := a.Lookup(name)
	if err != nil {
		return record{}, err
	}
	if !found {
		return record{}, missing
	}
	r, found, err := letInByGrace(ctx, a, g, name)
	if err == nil && !found {
		err = missing
	}
	return r, err
}

func showStatus(a *invocation.App, r record) error {
	table := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	var row rowWriter = func(key, format string, values ...any) {
		fmt.Fprintf(table, "%s\t%s\n", key, invocation.Printable(fmt.Sprintf(format, values...)))
	}
	row("User:", "%s", r.User)
	row("State:", "%s", r.State)
	if !r.GraceUntil.IsZero() {
		row("Grace:", "%s", graceWords(a, r))
	}
	if r.State == stateNone {
		row("File:", "none")
		for _, peer := range r.Programs {
			row("Programs of "+peer.Name+":", "%s", programWords(a, peer))
		}
		row("Last login:", "%s", invocation.When(r.LastLogin))
		return table.Flush()
	}
	row("File:", "%s", r.File)
	if r.Protocols == nil {
		row("Protocols:", "as the policy says")
	} else {
		row("Protocols:", "%s", protocolNames(r.Protocols))
	}
	if r.Email != "" {
		row("Email:", "%s", r.Email)
	}
	if r.Phone != "" {
		row("Phone:", "%s", r.Phone)
	}
	showFactors(row, r.Factors)
	showCounts(a, row, r)
	return table.Flush()
}

// rowWriter writes a row of the table.
type rowWriter func(key, format string, values ...any)

func showFactors(row rowWriter, factors []factorRecord) {
	for _, f := range factors {
		row("Factor:", "%s: %s", f.ID, f.codes())
		row("", "%s", f.state())
		switch {
		case f.Unreadable != "":
			row("", "its secret cannot be read: %s", f.Unreadable)
		case f.Key != "":
			row("", "its secret is encrypted with the key %s", f.Key)
		}
	}
}

// showCounts shows what the ledger knows.
func showCounts(a *invocation.App, row rowWriter, r record) {
	row("Recovery codes:", "%d left", r.RecoveryLeft)
	if r.WrongCodes == 0 {
		row("Wrong codes:", "0")
	} else {
		row("Wrong codes:", "%d of the %d that lock (policy.attempts.per_window), the last %s", r.WrongCodes, r.WrongLimit, invocation.When(r.LastWrong))
	}
	if r.LockedUntil.IsZero() {
		row("Locked:", "no")
	} else {
		row("Locked:", "until %s; %s unlock %s ends it", invocation.When(r.LockedUntil), a.Self(), r.User)
	}
	if r.SentCodes > 0 {
		row("Codes sent:", "%s", sentWords(a, r))
	}
	for _, peer := range r.Programs {
		row("Programs of "+peer.Name+":", "%s", programWords(a, peer))
	}
	row("Last login:", "%s", invocation.When(r.LastLogin))
	for i, login := range r.LastLogins {
		key := ""
		if i == 0 {
			key = "Last codes:"
		}
		row(key, "%s", loginWords(login))
	}
}

// loginWords says of a login what became of its code, and where it was.
func loginWords(l ledger.Login) string {
	verdict := "accepted, " + l.Rule
	if l.Denied {
		verdict = "wrong code"
	}
	words := fmt.Sprintf("%s  %s, %s from %s", invocation.When(l.At), verdict, invocation.OrDash(l.Service), invocation.OrDash(l.Address))
	if l.Host != "" {
		words += " on " + l.Host
	}
	if l.Peer != "" {
		words += " for programs of " + l.Peer
	}
	return words
}

// sentWords says how many codes were sent lately, and whether that is all.
func sentWords(a *invocation.App, r record) string {
	words := fmt.Sprintf("%d of %d in an hour (sent.per_hour)", r.SentCodes, r.SentLimit)
	if !r.NextSend.IsZero() {
		words += fmt.Sprintf(", the next at %s; %s unlock %s sends it sooner", invocation.When(r.NextSend), a.Self(), r.User)
	}
	return words
}

// programWords says what counts of a user's programs, and for them alone.
func programWords(a *invocation.App, peer gate.PeerLately) string {
	words := invocation.Counted(peer.WrongCodes, "wrong code", "wrong codes")
	if !peer.LockedUntil.IsZero() {
		words += ", locked until " + invocation.When(peer.LockedUntil)
	}
	if peer.SentCodes > 0 {
		words += ", " + invocation.Counted(peer.SentCodes, "code", "codes") + " sent"
	}
	if !peer.GraceUntil.IsZero() {
		words += ", grace " + graceEnd(a, peer.GraceUntil)
	}
	return words
}

// graceWords says how long somebody is let in without having enrolled.
func graceWords(a *invocation.App, r record) string {
	if !r.GraceBegun {
		return "begins with the first login"
	}
	return graceEnd(a, r.GraceUntil)
}

func graceEnd(a *invocation.App, until time.Time) string {
	if a.Now().Before(until) {
		return "let in without a code until " + invocation.When(until)
	}
	return "over since " + invocation.When(until)
}

// codes says what a factor's codes are.
func (f factorRecord) codes() string {
	switch f.Kind {
	case account.TOTP:
		return fmt.Sprintf("totp, %d digits, every %d seconds, %s", f.Digits, f.Period, f.Algorithm)
	case account.HOTP:
		text := fmt.Sprintf("hotp, %d digits, %s", f.Digits, f.Algorithm)
		if f.NextCounter != nil {
			text += fmt.Sprintf(", next counter %d", *f.NextCounter)
		}
		if f.Prefix != "" {
			text += ", behind " + f.Prefix
		}
		return text
	}
	return fmt.Sprintf("%s, sent to %s", f.Kind, f.SentTo)
}

// state says whether a factor counts, and what is known of its last code.
func (f factorRecord) state() string {
	switch {
	case f.Replaces:
		return "waits for its first code, then replaces the confirmed " + f.ID
	case !f.Confirmed:
		return "not confirmed, so it does not count"
	case f.Kind == account.TOTP:
		return fmt.Sprintf("confirmed %s, last code %s%s", invocation.When(f.ConfirmedAt), invocation.When(f.LastUsed), drift(*f.DriftSeconds))
	}
	return "confirmed " + invocation.When(f.ConfirmedAt)
}

// drift says how far a device's clock was off.
func drift(seconds int) string {
	switch {
	case seconds > 0:
		return fmt.Sprintf(", its clock about %d seconds ahead", seconds)
	case seconds < 0:
		return fmt.Sprintf(", its clock about %d seconds behind", -seconds)
	}
	return ""
}

func protocolNames(protocols []config.Protocol) string {
	var names []string
	for _, p := range protocols {
		names = append(names, string(p))
	}
	return strings.Join(names, ", ")
}
