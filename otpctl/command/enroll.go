package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/gate"
)

// enrollFlags are the flags of enroll. Zero values stand for the
// configuration's.
type enrollFlags struct {
	id, qr                       string
	totp                         config.TOTP
	replace, json, noSystemCheck bool
}

func (a *app) enroll() *cobra.Command {
	var flags enrollFlags
	c := &cobra.Command{
		Use:   "enroll USER",
		Short: "Give somebody a new secret for an authenticator app",
		Long: `enroll makes a secret, writes it into the person's secret file and shows it as a
QR code, a key and an otpauth URI. It counts only once a first code has proved
that the app has it: on a terminal enroll asks for that code, otherwise use
otpctl confirm. With the first confirmation come ten recovery codes, shown once.

An enrollment that was never confirmed gives way to the new one.`,
		Example: `  otpctl enroll alice
  otpctl enroll alice --id tablet              # a second device
  otpctl enroll alice --replace                # a new phone; the old one counts until then
  otpctl enroll alice --qr png=/root/alice.png
  otpctl enroll alice --json | jq -r .uri      # confirm later`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := c.Flags()
	f.StringVar(&flags.id, "id", "phone", "`name` of the device in the secret file")
	f.IntVar(&flags.totp.Digits, "digits", 0, "length `N` of the codes, 6 to 8 (default: the configuration's)")
	f.IntVar(&flags.totp.Period, "period", 0, "`seconds` that a code is shown, 15 to 300 (default: the configuration's)")
	f.StringVar(&flags.totp.Algorithm, "algorithm", "", "`hash`: SHA1, SHA256 or SHA512 (default: the configuration's)")
	f.StringVar(&flags.totp.Issuer, "issuer", "", "`name` of this place in the app (default: the configuration's, or the host name)")
	f.StringVar(&flags.qr, "qr", "", "`where` the QR code goes: terminal, png=FILE or none (default: terminal, if there is one)")
	f.BoolVar(&flags.replace, "replace", false, "take the place of the confirmed device with this id, once confirmed")
	f.BoolVar(&flags.json, "json", false, "print one JSON object and do not ask for a code")
	f.BoolVar(&flags.noSystemCheck, "no-user-check", false, "enroll also somebody whom this machine does not know")
	complete(c, "algorithm", config.Algorithms...)
	complete(c, "digits", "6", "7", "8")
	complete(c, "qr", "terminal", "png=", "none")
	return a.does(c, func(ctx context.Context, args []string) error {
		given := c.Flags().Changed
		if problem := flags.check(given); problem != nil {
			return problem
		}
		return a.runEnroll(ctx, args[0], flags)
	})
}

// check refuses values that a secret file or an app would not take.
func (f enrollFlags) check(given func(flag string) bool) error {
	if err := checkIssuer(f.totp.Issuer); err != nil {
		return usage("--issuer: %w", err)
	}
	id := account.CheckID(f.id)
	switch {
	case id != nil:
		return usage("--id %q: %w", f.id, id)
	case given("digits") && (f.totp.Digits < config.MinDigits || f.totp.Digits > config.MaxDigits):
		return usage("--digits %d: expected 6, 7 or 8", f.totp.Digits)
	case given("period") && (f.totp.Period < config.MinPeriod || f.totp.Period > config.MaxPeriod):
		return usage("--period %d: expected 15 to 300 seconds", f.totp.Period)
	case given("algorithm") && !slices.Contains(config.Algorithms, f.totp.Algorithm):
		return usage("--algorithm %q: expected SHA1, SHA256 or SHA512", f.totp.Algorithm)
	}
	return nil
}

// over puts the flags over the configuration.
func (f enrollFlags) over(settings config.TOTP) (config.TOTP, error) {
	if f.totp.Digits != 0 {
		settings.Digits = f.totp.Digits
	}
	if f.totp.Period != 0 {
		settings.Period = f.totp.Period
	}
	if f.totp.Algorithm != "" {
		settings.Algorithm = f.totp.Algorithm
	}
	if f.totp.Issuer != "" {
		settings.Issuer = f.totp.Issuer
	}
	name, err := issuer(settings.Issuer)
	settings.Issuer = name
	return settings, err
}

// enrolled is what enroll made, with the secret.
type enrolled struct {
	User      string       `json:"user"`
	ID        string       `json:"id"`
	Kind      account.Kind `json:"kind"`
	Secret    string       `json:"secret"`
	URI       string       `json:"uri"`
	Digits    int          `json:"digits"`
	Period    int          `json:"period"`
	Algorithm string       `json:"algorithm"`
	Confirmed bool         `json:"confirmed"`
	File      string       `json:"file"`

	issuer string
}

func (a *app) runEnroll(ctx context.Context, name string, flags enrollFlags) (err error) {
	if err := account.CheckName(name); err != nil {
		return usageError{err}
	}
	g, err := a.gate()
	if err != nil {
		return err
	}
	settings, err := flags.over(g.Config.TOTP)
	if err != nil {
		return err
	}
	if !flags.noSystemCheck {
		if name, err = a.systemName(name); err != nil {
			return err
		}
	}
	draw, discard, err := a.qrPlace(flags)
	if err != nil {
		return err
	}
	f := gate.NewFactor(flags.id, settings)
	done, err := g.Enroll(name, f, flags.replace)
	if err != nil {
		return errors.Join(err, discard())
	}
	changed(g, "enroll", audit.Record{User: name, Reason: "factor " + f.ID})
	a.again = "otpctl enroll again"
	made := enrolled{
		User: name, ID: f.ID, Kind: f.Kind, Secret: f.Secret.Base32(), URI: keyURI(settings.Issuer, name, f),
		Digits: f.Digits, Period: f.Period, Algorithm: f.Algorithm, File: done.File, issuer: settings.Issuer,
	}
	if flags.json {
		return errors.Join(draw(made.URI), a.json(made))
	}
	a.showEnrolled(made, done)
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

func (a *app) showEnrolled(made enrolled, done gate.Enrollment) {
	switch {
	case done.Replaces:
		a.note("the confirmed %s of %s counts until the new one is confirmed", made.ID, made.User)
	case done.Restarted:
		a.note("the enrollment of %s that was never confirmed is worthless now", made.User)
	}
	a.say("User:   %s", made.User)
	a.say("Device: %s", made.ID)
	a.say("Issuer: %s", made.issuer)
	a.say("Key:    %s", grouped(made.Secret))
	a.say("        (time-based, %d digits, every %d seconds, %s)", made.Digits, made.Period, made.Algorithm)
	a.say("URI:    %s", made.URI)
}

// firstTries is how often a first code is asked for.
const firstTries = 3

// finish asks for the first code, or says how to give it later.
func (a *app) finish(ctx context.Context, g *gate.Gate, made enrolled) error {
	later := fmt.Sprintf("%s confirm %s CODE --id %s", a.self(), made.User, made.ID)
	if !a.canAsk() || !isTerminal(a.Stdout) {
		a.note("not confirmed yet: add the key to the app, then run %s", later)
		return nil
	}
	var err error
	for range firstTries {
		var code string
		if code, err = a.ask(ctx, "Code that the app shows: "); err != nil {
			break
		}
		if err = a.confirmWith(ctx, g, made.User, made.ID, code, false); err == nil {
			return nil
		}
		var wrong gate.WrongCodeError
		if !errors.As(err, &wrong) && !errors.Is(err, gate.ErrCodeUsed) {
			return err
		}
		a.complain(err)
	}
	return notFinished{later}
}

// notFinished says that an enrollment was written and not confirmed.
type notFinished struct{ later string }

func (n notFinished) Error() string { return "not confirmed, so the new key does not count" }
