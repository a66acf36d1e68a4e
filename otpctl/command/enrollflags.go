package command

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/enrollment"
	"github.com/otpgate/otpgate/internal/otpauth"
)

// enrollFlags are the flags of enroll. Zero values stand for the
// configuration's.
type enrollFlags struct {
	kind                         account.Kind
	kindName, id, qr, secret     string
	email, phone                 string
	totp                         config.TOTP
	counter                      int64
	prefix                       string
	replace, json, noSystemCheck bool
	trust                        bool
}

func (f *enrollFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.kindName, "kind", "totp", "`kind` of codes: totp, hotp, email or sms")
	flags.StringVar(&f.id, "id", "", "`name` of the device in the secret file (default: phone, token, email or sms, by kind)")
	flags.IntVar(&f.totp.Digits, "digits", 0, "length `N` of the codes, 6 to 8 (default: the configuration's)")
	flags.IntVar(&f.totp.Period, "period", 0, "`seconds` that a code is shown, 15 to 300 (default: the configuration's)")
	flags.StringVar(&f.totp.Algorithm, "algorithm", "", "`hash`: SHA1, SHA256 or SHA512 (default: the configuration's)")
	flags.StringVar(&f.totp.Issuer, "issuer", "", "`name` of this place in the app (default: the configuration's, or the host name)")
	flags.Int64Var(&f.counter, "counter", 0, "first counter `N` that a token uses, with --kind hotp")
	flags.StringVar(&f.prefix, "prefix", "", "`text` that a token types before each code, as a YubiKey its identity, with --kind hotp")
	flags.StringVar(&f.secret, "secret", "", "`-` takes the secret of a token from standard input, in base32, or in hexadecimal behind 0x")
	flags.StringVar(&f.email, "email", "", "`address` that codes are sent to, with --kind email")
	flags.StringVar(&f.phone, "phone", "", "`number` that codes are sent to, with --kind sms")
	flags.BoolVar(&f.trust, "trust-address", false, "enroll the address or number without a first code")
	flags.StringVar(&f.qr, "qr", "", "`where` the QR code goes: terminal, png=FILE or none (default: terminal, if there is one)")
	flags.BoolVar(&f.replace, "replace", false, "take the place of the confirmed device with this id, once confirmed")
	flags.BoolVar(&f.json, "json", false, "print one JSON object and do not ask for a code")
	flags.BoolVar(&f.noSystemCheck, "no-user-check", false, "enroll also somebody whom this machine does not know")
	complete(c, "kind", kindNames()...)
	complete(c, "algorithm", config.Algorithms...)
	complete(c, "digits", "6", "7", "8")
	complete(c, "qr", "terminal", "png=", "none")
	complete(c, "secret", "-")
}

// flagsOf says which kinds a flag is for; those not named here are for all.
var flagsOf = []struct {
	flag  string
	kinds []account.Kind
}{
	{"digits", []account.Kind{account.TOTP, account.HOTP}},
	{"period", []account.Kind{account.TOTP}},
	{"algorithm", []account.Kind{account.TOTP, account.HOTP}},
	{"issuer", []account.Kind{account.TOTP, account.HOTP}},
	{"qr", []account.Kind{account.TOTP, account.HOTP}},
	{"secret", []account.Kind{account.TOTP, account.HOTP}},
	{"counter", []account.Kind{account.HOTP}},
	{"prefix", []account.Kind{account.HOTP}},
	{"email", []account.Kind{account.Email}},
	{"phone", []account.Kind{account.SMS}},
	{"trust-address", []account.Kind{account.Email, account.SMS}},
}

// check refuses values that a secret file or an app would not take.
func (f *enrollFlags) check(given func(flag string) bool) error {
	if err := f.kind.UnmarshalText([]byte(f.kindName)); err != nil {
		return usage("--kind %q: expected totp, hotp, email or sms", f.kindName)
	}
	for _, only := range flagsOf {
		if given(only.flag) && !slices.Contains(only.kinds, f.kind) {
			return usage("--%s is not for --kind %s", only.flag, f.kind)
		}
	}
	if !given("id") {
		f.id = usualID(f.kind)
	}
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
	case given("prefix") && account.CheckPrefix(f.prefix) != nil:
		return usage("--prefix: %w", account.CheckPrefix(f.prefix))
	case f.counter < 0:
		return usage("--counter %d: expected 0 or more", f.counter)
	}
	return f.checkSources(given)
}

// checkSources checks where the secret and codes come from.
func (f *enrollFlags) checkSources(given func(flag string) bool) error {
	switch {
	case given("secret") && f.secret != "-":
		// It is not quoted: whoever mistook the flag gave the secret itself.
		return usage("--secret: expected -, which reads it from standard input")
	case given("secret") && given("qr"):
		return usage("--qr: the token has its secret, and it is not shown again")
	case given("email") && account.CheckEmail(f.email) != nil:
		return usage("--email %q: %w", f.email, account.CheckEmail(f.email))
	case given("phone") && account.CheckNewPhone(f.phone) != nil:
		return usage("--phone %q: %w", f.phone, account.CheckNewPhone(f.phone))
	}
	return nil
}

// factor makes a factor of the flags over the configuration.
func (f *enrollFlags) factor(settings config.Config) account.Factor {
	over(&settings.TOTP.Digits, f.totp.Digits)
	over(&settings.TOTP.Period, f.totp.Period)
	over(&settings.TOTP.Algorithm, f.totp.Algorithm)
	over(&settings.HOTP.Digits, f.totp.Digits)
	over(&settings.HOTP.Algorithm, f.totp.Algorithm)
	if f.kind == account.HOTP {
		token := enrollment.NewToken(f.id, settings.HOTP, f.counter)
		token.Prefix = f.prefix
		return token
	}
	return enrollment.NewFactor(f.id, settings.TOTP)
}

// over sets a value that was given.
func over[T comparable](setting *T, given T) {
	var none T
	if given != none {
		*setting = given
	}
}

func (f *enrollFlags) issuerOver(settings config.TOTP) (string, error) {
	over(&settings.Issuer, f.totp.Issuer)
	name, err := otpauth.Issuer(settings.Issuer)
	if err != nil {
		return "", fmt.Errorf("%w or give --issuer", err)
	}
	return name, nil
}

// checkIssuer keeps the label unambiguous: the colon divides issuer and user.
func checkIssuer(issuer string) error {
	if len(issuer) > 64 || strings.ContainsFunc(issuer, func(r rune) bool { return r == ':' || !unicode.IsPrint(r) }) {
		return errors.New("expected up to 64 printable characters without a colon")
	}
	return nil
}

// readSecret takes the secret of a token from standard input.
func (a *app) readSecret(ctx context.Context) (account.Secret, error) {
	line, err := a.answer(ctx, "Secret of the token: ")
	if errors.Is(err, io.EOF) {
		return nil, errors.New("no secret was given")
	}
	if err != nil {
		return nil, err
	}
	secret, err := parseSecret(line)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	return secret, nil
}

// parseSecret reads base32 or, behind 0x, hexadecimal: the digit 0 is not one
// of base32. Its error does not quote the secret.
func parseSecret(text string) (secret account.Secret, err error) {
	if digits, isHex := strings.CutPrefix(text, "0x"); isHex {
		key, err := hex.DecodeString(digits)
		switch {
		case err != nil:
			return nil, errors.New("expected hexadecimal digits behind 0x")
		case len(key) < account.MinSecret:
			return nil, fmt.Errorf("expected %d bytes at least, which is %d hexadecimal digits", account.MinSecret, 2*account.MinSecret)
		}
		text = account.Secret(key).Base32()
	}
	err = secret.UnmarshalText([]byte(text))
	if _, notHex := hex.DecodeString(text); err != nil && notHex == nil {
		err = fmt.Errorf("%w; hexadecimal goes behind 0x", err)
	}
	return secret, err
}

// answer reads a line from standard input, with a prompt on a terminal.
func (a *app) answer(ctx context.Context, prompt string) (string, error) {
	if a.canAsk() {
		return a.ask(ctx, prompt)
	}
	return a.lines.next()
}
