// Package people has otpctl's commands about people and their devices: who they
// are, what they have, enrolling, confirming, changing and taking away.
//
// Each exported function is a command, named as on the command line. They show a
// secret only where they have made it, and take none from the command line.
package people

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/enrollment"
	"github.com/otpgate/otpgate/internal/otpauth"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// Enroll is otpctl enroll.
func Enroll(a *invocation.App) *cobra.Command {
	var flags EnrollFlags
	many := Bulk{Command: "enroll --csv"}
	c := &cobra.Command{
		Use:   "enroll USER | --csv FILE",
		Short: "Give somebody a new way to get codes",
		Long: `enroll adds a new device or address to the person's secret file. It counts only
once a first code has shown that the codes arrive. On a terminal enroll asks for
that code; otherwise use otpctl confirm. The first confirmation makes ten
recovery codes, shown once.

--kind totp (an authenticator app) and hotp (a token or app with a counter) make
a secret and show it as a QR code, a key and an otpauth URI. For a token that has
a secret already, give that with --secret -. --prefix is the text that a token
types before its codes, such as the identity of a YubiKey.

--kind email and sms send a first code to the address or number given here, or
in the secret file. A new address replaces the old one once its code has come
back.

A new enrollment replaces one that was never confirmed. --replace replaces a
confirmed one, and is an error if there is none with that id: otpctl status shows
the names.` + bulkHelp,
		Example: `  otpctl enroll alice
  otpctl enroll alice --id tablet              # a second device
  otpctl enroll alice --replace                # a new phone; the old one counts until then
  otpctl enroll alice --id tablet --replace    # the same for the device of this name
  otpctl enroll alice --qr png=/root/alice.png
  otpctl enroll alice --json | jq -r .uri      # confirm later
  otpctl enroll alice --kind hotp --secret - --counter 120 <seed.txt
  otpctl enroll alice --kind hotp --secret - --prefix ubhe00000001 <seed.txt
  otpctl enroll alice --kind email --email alice@example.com
  otpctl enroll --csv people.csv --dry-run
  otpctl enroll --csv people.csv --out secrets.csv`,
		Args: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("csv") {
				return cobra.NoArgs(c, args)
			}
			return cobra.ExactArgs(1)(c, args)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags.register(c)
	many.register(c.Flags())
	return a.Does(c, func(ctx context.Context, args []string) error {
		if problem := cmp.Or(many.check(c.Flags().Changed), flags.check(c.Flags().Changed)); problem != nil {
			return problem
		}
		if many.File != "" {
			return EnrollCSV(ctx, a, many, flags)
		}
		return runEnroll(ctx, a, args[0], flags)
	})
}

// enrolled is what enroll made, with a secret that it made.
type enrolled struct {
	User      string       `json:"user"`
	ID        string       `json:"id"`
	Kind      account.Kind `json:"kind"`
	Secret    string       `json:"secret,omitempty"`
	URI       string       `json:"uri,omitempty"`
	Digits    int          `json:"digits,omitempty"`
	Period    int          `json:"period,omitempty"`
	Algorithm string       `json:"algorithm,omitempty"`
	Counter   *int64       `json:"counter,omitempty"`
	Prefix    string       `json:"prefix,omitempty"`
	// SentTo is where codes go, CodeExpires until when the first one is good.
	SentTo        string    `json:"sent_to,omitempty"`
	CodeExpires   time.Time `json:"code_expires,omitzero"`
	Confirmed     bool      `json:"confirmed"`
	Beside        []string  `json:"beside,omitempty"` // other devices that count
	RecoveryCodes []string  `json:"recovery_codes,omitempty"`
	File          string    `json:"file"`

	issuer string
}

func runEnroll(ctx context.Context, a *invocation.App, name string, flags EnrollFlags) error {
	if err := account.CheckName(name); err != nil {
		return invocation.UsageError{Err: err}
	}
	g, err := a.Gate()
	if err != nil {
		return err
	}
	if !flags.NoSystemCheck {
		if name, err = a.SystemName(name); err != nil {
			return err
		}
	}
	if flags.kind.IsSent() {
		err = enrollSent(ctx, a, g, name, flags)
	} else {
		err = enrollDevice(ctx, a, g, name, flags)
	}
	if err != nil {
		return err
	}
	a.RemarkOnNames(g, name)
	return nil
}

// enrollDevice enrolls an app or a token.
func enrollDevice(ctx context.Context, a *invocation.App, g admin.People, name string, flags EnrollFlags) error {
	issuer, err := flags.labelIssuer(g.Config.TOTP)
	if err != nil {
		return err
	}
	f := flags.factor(g.Config)
	if flags.secret != "" {
		if f.Secret, err = readSecret(ctx, a); err != nil {
			return err
		}
	}
	draw, discard, err := qrPlace(a, flags)
	if err != nil {
		return err
	}
	done, err := g.Enroll(name, f, flags.Replace)
	if err != nil {
		return errors.Join(err, discard())
	}
	invocation.Changed(g, "enroll", audit.Record{User: name, Reason: "factor " + f.ID})
	made := enrolled{
		User: name, ID: f.ID, Kind: f.Kind, Digits: f.Digits, Period: f.Period, Algorithm: f.Algorithm,
		Beside: done.Beside, File: done.File, issuer: issuer,
	}
	if f.Kind == account.HOTP {
		made.Counter, made.Prefix = &f.Counter, f.Prefix
	}
	if flags.secret == "" {
		a.Again = "otpctl enroll again"
		made.Secret, made.URI = f.Secret.Base32(), otpauth.URI(issuer, name, f)
	}
	remarkOn(a, made, done)
	if flags.Json {
		return errors.Join(draw(made.URI), a.JSON(made))
	}
	showEnrolled(a, made)
	if err := draw(made.URI); err != nil {
		return err
	}
	return finish(ctx, a, g, made)
}

// qrPlace prepares the place for the QR code before anything is changed.
func qrPlace(a *invocation.App, flags EnrollFlags) (draw func(uri string) error, discard func() error, err error) {
	nothing := func() error { return nil }
	none := func(string) error { return nil }
	path, isPNG := strings.CutPrefix(flags.qr, "png=")
	switch {
	case flags.secret != "":
		return none, nothing, nil
	case isPNG && path != "":
		file, err := newPNG(path)
		if err != nil {
			return nil, nil, err
		}
		return file.draw, file.discard, nil
	case flags.qr == "terminal" && (flags.Json || !invocation.IsTerminal(a.Stdout)):
		return nil, nil, invocation.Usage("--qr terminal: standard output is not a terminal, or JSON; use --qr png=FILE")
	case flags.qr == "terminal", flags.qr == "" && !flags.Json && invocation.IsTerminal(a.Stdout):
		return func(text string) error { return showQR(a, text) }, nothing, nil
	case flags.qr == "none", flags.qr == "":
		return none, nothing, nil
	}
	return nil, nil, invocation.Usage("--qr %q: expected terminal, png=FILE or none", flags.qr)
}

// remarkOn says what the enrollment does to what was there.
func remarkOn(a *invocation.App, made enrolled, done admin.Enrollment) {
	switch {
	case done.Replaces && !made.Confirmed:
		a.Note("the confirmed %s of %s counts until the new one is confirmed", made.ID, made.User)
	case done.Restarted:
		a.Note("the enrollment of %s that was never confirmed is worthless now", made.User)
	}
	for _, id := range made.Beside {
		a.Note("%s of %s counts as before, beside %s; if it is lost: %s remove %s --id %s", id, made.User, made.ID, a.Self(), made.User, id)
	}
}

func showEnrolled(a *invocation.App, made enrolled) {
	a.Say("User:   %s", made.User)
	a.Say("Device: %s", made.ID)
	if made.Secret == "" {
		a.Say("Codes:  %s", codesOf(made))
		return
	}
	a.Say("Issuer: %s", made.issuer)
	a.Say("Key:    %s", otpauth.Grouped(made.Secret))
	a.Say("        (%s)", codesOf(made))
	a.Say("URI:    %s", made.URI)
}

func codesOf(made enrolled) string {
	if made.Kind == account.HOTP {
		return fmt.Sprintf("counter-based, from %d, %d digits, %s", *made.Counter, made.Digits, made.Algorithm)
	}
	return fmt.Sprintf("time-based, %d digits, every %d seconds, %s", made.Digits, made.Period, made.Algorithm)
}

// firstTries is how often a first code is asked for.
const firstTries = 3

// finish asks for the first code, or says how to give it later.
func finish(ctx context.Context, a *invocation.App, g admin.People, made enrolled) error {
	later := invocation.NotFinished{Kind: made.Kind, Later: fmt.Sprintf("%s confirm %s CODE --id %s", a.Self(), made.User, made.ID)}
	if !a.CanAsk() || !invocation.IsTerminal(a.Stdout) {
		a.Note("not confirmed yet: %s", later.Hint())
		return nil
	}
	for range firstTries {
		code, err := a.Ask(ctx, firstPrompt(made.Kind))
		if err != nil {
			break
		}
		if err = confirmWith(ctx, a, g, made.User, made.ID, code, false); err == nil {
			return nil
		}
		var wrong enrollment.WrongCodeError
		var before enrollment.BeforeCounterError
		if !errors.As(err, &wrong) && !errors.As(err, &before) && !errors.Is(err, enrollment.ErrCodeUsed) {
			return err
		}
		a.Complain(err)
	}
	return later
}

// firstPrompt asks for a first code.
func firstPrompt(kind account.Kind) string {
	switch {
	case kind == account.HOTP:
		return "Code that the token shows: "
	case kind.IsSent():
		return "Code that was sent: "
	}
	return "Code that the app shows: "
}

// kinds are those that enroll knows, in the order of the documentation.
var kinds = []account.Kind{account.TOTP, account.HOTP, account.Email, account.SMS}

func kindNames() []string {
	var names []string
	for _, kind := range kinds {
		names = append(names, string(kind))
	}
	return names
}

// usualID is the name of a person's first device of a kind.
func usualID(kind account.Kind) string {
	switch kind {
	case account.HOTP:
		return "token"
	case account.Email, account.SMS:
		return string(kind)
	}
	return "phone"
}
