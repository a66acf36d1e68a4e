package command

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
)

func (a *app) enroll() *cobra.Command {
	var flags enrollFlags
	many := bulk{command: "enroll --csv"}
	c := &cobra.Command{
		Use:   "enroll USER | --csv FILE",
		Short: "Give somebody a new way to get codes",
		Long: `enroll writes a new device or address into the person's secret file. It counts
only once a first code has proved that the codes arrive: on a terminal enroll
asks for that code, otherwise use otpctl confirm. With the first confirmation
come ten recovery codes, shown once.

--kind totp, an authenticator app, and hotp, a token or app with a counter, make
a secret and show it as a QR code, a key and an otpauth URI. A token that has
its secret already is taken in with --secret -. What it types before its codes,
as a YubiKey its identity, is named with --prefix.

--kind email and sms send a first code to the address or number that is given,
or that the secret file has. A new address takes the place of the old one once
its code came back.

An enrollment that was never confirmed gives way to the new one. --replace is an
error if nothing confirmed has that id: otpctl status shows the names.` + bulkHelp,
		Example: `  otpctl enroll alice
  otpctl enroll alice --id tablet              # a second device
  otpctl enroll alice --replace                # a new phone; the old one counts until then
  otpctl enroll alice --id tablet --replace    # likewise of the device of this name
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
	return a.does(c, func(ctx context.Context, args []string) error {
		if problem := cmp.Or(many.check(c.Flags().Changed), flags.check(c.Flags().Changed)); problem != nil {
			return problem
		}
		if many.file != "" {
			return a.enrollCSV(ctx, many, flags)
		}
		return a.runEnroll(ctx, args[0], flags)
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

func (a *app) runEnroll(ctx context.Context, name string, flags enrollFlags) error {
	if err := account.CheckName(name); err != nil {
		return usageError{err}
	}
	g, err := a.gate()
	if err != nil {
		return err
	}
	if !flags.noSystemCheck {
		if name, err = a.systemName(name); err != nil {
			return err
		}
	}
	enroll := a.enrollDevice
	if flags.kind.IsSent() {
		enroll = a.enrollSent
	}
	if err := enroll(ctx, g, name, flags); err != nil {
		return err
	}
	a.remarkOnNames(g, name)
	return nil
}

// enrollDevice enrolls an app or a token.
func (a *app) enrollDevice(ctx context.Context, g admin.People, name string, flags enrollFlags) error {
	issuer, err := flags.issuerOver(g.Config.TOTP)
	if err != nil {
		return err
	}
	f := flags.factor(g.Config)
	if flags.secret != "" {
		if f.Secret, err = a.readSecret(ctx); err != nil {
			return err
		}
	}
	draw, discard, err := a.qrPlace(flags)
	if err != nil {
		return err
	}
	done, err := g.Enroll(name, f, flags.replace)
	if err != nil {
		return errors.Join(err, discard())
	}
	changed(g, "enroll", audit.Record{User: name, Reason: "factor " + f.ID})
	made := enrolled{
		User: name, ID: f.ID, Kind: f.Kind, Digits: f.Digits, Period: f.Period, Algorithm: f.Algorithm,
		Beside: done.Beside, File: done.File, issuer: issuer,
	}
	if f.Kind == account.HOTP {
		made.Counter, made.Prefix = &f.Counter, f.Prefix
	}
	if flags.secret == "" {
		a.again = "otpctl enroll again"
		made.Secret, made.URI = f.Secret.Base32(), otpauth.URI(issuer, name, f)
	}
	a.remarkOn(made, done)
	if flags.json {
		return errors.Join(draw(made.URI), a.json(made))
	}
	a.showEnrolled(made)
	if err := draw(made.URI); err != nil {
		return err
	}
	return a.finish(ctx, g, made)
}

// qrPlace prepares the place for the QR code before anything is changed.
func (a *app) qrPlace(flags enrollFlags) (draw func(uri string) error, discard func() error, err error) {
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
	case flags.qr == "terminal" && (flags.json || !isTerminal(a.Stdout)):
		return nil, nil, usage("--qr terminal: standard output is not a terminal, or JSON; use --qr png=FILE")
	case flags.qr == "terminal", flags.qr == "" && !flags.json && isTerminal(a.Stdout):
		return a.showQR, nothing, nil
	case flags.qr == "none", flags.qr == "":
		return none, nothing, nil
	}
	return nil, nil, usage("--qr %q: expected terminal, png=FILE or none", flags.qr)
}

// remarkOn says what the enrollment does to what was there.
func (a *app) remarkOn(made enrolled, done admin.Enrollment) {
	switch {
	case done.Replaces && !made.Confirmed:
		a.note("the confirmed %s of %s counts until the new one is confirmed", made.ID, made.User)
	case done.Restarted:
		a.note("the enrollment of %s that was never confirmed is worthless now", made.User)
	}
	for _, id := range made.Beside {
		a.note("%s of %s counts as before, beside %s; if it is lost: %s remove %s --id %s", id, made.User, made.ID, a.self(), made.User, id)
	}
}

func (a *app) showEnrolled(made enrolled) {
	a.say("User:   %s", made.User)
	a.say("Device: %s", made.ID)
	if made.Secret == "" {
		a.say("Codes:  %s", codesOf(made))
		return
	}
	a.say("Issuer: %s", made.issuer)
	a.say("Key:    %s", otpauth.Grouped(made.Secret))
	a.say("        (%s)", codesOf(made))
	a.say("URI:    %s", made.URI)
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
func (a *app) finish(ctx context.Context, g admin.People, made enrolled) error {
	later := notFinished{made.Kind, fmt.Sprintf("%s confirm %s CODE --id %s", a.self(), made.User, made.ID)}
	if !a.canAsk() || !isTerminal(a.Stdout) {
		a.note("not confirmed yet: %s", later.hint())
		return nil
	}
	for range firstTries {
		code, err := a.ask(ctx, firstPrompt(made.Kind))
		if err != nil {
			break
		}
		if err = a.confirmWith(ctx, g, made.User, made.ID, code, false); err == nil {
			return nil
		}
		var wrong enrollment.WrongCodeError
		var before enrollment.BeforeCounterError
		if !errors.As(err, &wrong) && !errors.As(err, &before) && !errors.Is(err, enrollment.ErrCodeUsed) {
			return err
		}
		a.complain(err)
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

// notFinished says that an enrollment was written and not confirmed.
type notFinished struct {
	kind  account.Kind
	later string // the command
}

func (n notFinished) Error() string {
	if n.kind.IsSent() {
		return "not confirmed, so no codes are sent there"
	}
	return "not confirmed, so the new key does not count"
}

func (n notFinished) hint() string {
	switch {
	case n.kind == account.HOTP:
		return "when the token has it, run " + n.later
	case n.kind.IsSent():
		return "when the code has arrived, run " + n.later
	}
	return "when the app has it, run " + n.later
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
