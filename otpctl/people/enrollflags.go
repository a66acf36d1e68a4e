package people

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
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// EnrollFlags are the flags of enroll. Zero values stand for the
// configuration's.
type EnrollFlags struct {
	kind                         account.Kind
	kindName, id, qr, secret     string
	email, phone                 string
	Totp                         config.TOTP
	counter                      int64
	prefix                       string
	Replace, Json, NoSystemCheck bool
	trust                        bool
}

func (f *EnrollFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.kindName, "kind", "totp", "`kind` of codes: totp, hotp, email or sms")
	flags.StringVar(&f.id, "id", "", "`name` of the device in the secret file (default: phone, token, email or sms, by kind)")
	flags.IntVar(&f.Totp.Digits, "digits", 0, "length `N` of the codes, 6 to 8 (default: the configuration's)")
	flags.IntVar(&f.Totp.Period, "period", 0, "`seconds` that a code is shown, 15 to 300 (default: the configuration's)")
	flags.StringVar(&f.Totp.Algorithm, "algorithm", "", "`hash`: SHA1, SHA256 or SHA512 (default: the configuration's)")
	flags.StringVar(&f.Totp.Issuer, "issuer", "", "`name` of this place in the app (default: the configuration's, or the host name)")
	flags.Int64Var(&f.counter, "counter", 0, "first counter `N` that a token uses, with --kind hotp")
	flags.StringVar(&f.prefix, "prefix", "", "`text` that a token types before each code, as a YubiKey its identity, with --kind hotp")
	flags.StringVar(&f.secret, "secret", "", "`-` takes the secret of a token from standard input, in base32, or in hexadecimal after 0x")
	flags.StringVar(&f.email, "email", "", "`address` that codes are sent to, with --kind email")
	flags.StringVar(&f.phone, "phone", "", "`number` that codes are sent to, with --kind sms")
	flags.BoolVar(&f.trust, "trust-address", false, "enroll the address or number without a first code")
	flags.StringVar(&f.qr, "qr", "", "`where` the QR code goes: terminal, png=FILE or none (default: terminal, if there is one)")
	flags.BoolVar(&f.Replace, "replace", false, "take the place of the confirmed device with this id, once confirmed")
	flags.BoolVar(&f.Json, "json", false, "print one JSON object and do not ask for a code")
	flags.BoolVar(&f.NoSystemCheck, "no-user-check", false, "also enroll somebody whom this machine does not know")
	invocation.Complete(c, "kind", kindNames()...)
	invocation.Complete(c, "algorithm", config.Algorithms...)
	invocation.Complete(c, "digits", "6", "7", "8")
	invocation.Complete(c, "qr", "terminal", "png=", "none")
	invocation.Complete(c, "secret", "-")
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
func (f *EnrollFlags) check(given func(flag string) bool) error {
	if err := f.kind.UnmarshalText([]byte(f.kindName)); err != nil {
		return invocation.Usage("--kind %q: expected totp, hotp, email or sms", f.kindName)
	}
	for _, only := range flagsOf {
		if given(only.flag) && !slices.Contains(only.kinds, f.kind) {
			return invocation.Usage("--%s is not for --kind %s", only.flag, f.kind)
		}
	}
	if !given("id") {
		f.id = usualID(f.kind)
	}
	if err := CheckIssuer(f.Totp.Issuer); err != nil {
		return invocation.Usage("--issuer: %w", err)
	}
	id := account.CheckID(f.id)
	switch {
	case id != nil:
		return invocation.Usage("--id %q: %w", f.id, id)
	case given("digits") && (f.Totp.Digits < config.MinDigits || f.Totp.Digits > config.MaxDigits):
		return invocation.Usage("--digits %d: expected 6, 7 or 8", f.Totp.Digits)
	case given("period") && (f.Totp.Period < config.MinPeriod || f.Totp.Period > config.MaxPeriod):
		return invocation.Usage("--period %d: expected 15 to 300 seconds", f.Totp.Period)
	case given("algorithm") && !slices.Contains(config.Algorithms, f.Totp.Algorithm):
		return invocation.Usage("--algorithm %q: expected SHA1, SHA256 or SHA512", f.Totp.Algorithm)
	case given("prefix") && account.CheckPrefix(f.prefix) != nil:
		return invocation.Usage("--prefix: %w", account.CheckPrefix(f.prefix))
	case f.counter < 0:
		return invocation.Usage("--counter %d: expected 0 or more", f.counter)
	}
	return f.checkSources(given)
}

// checkSources checks where the secret and codes come from.
func (f *EnrollFlags) checkSources(given func(flag string) bool) error {
	switch {
	case given("secret") && f.secret != "-":
		// It is not quoted: whoever mistook the flag gave the secret itself.
		return invocation.Usage("--secret: expected -, which reads it from standard input")
	case given("secret") && given("qr"):
		return invocation.Usage("--qr: the token has its secret, and it is not shown again")
	case given("email") && account.CheckEmail(f.email) != nil:
		return invocation.Usage("--email %q: %w", f.email, account.CheckEmail(f.email))
	case given("phone") && account.CheckNewPhone(f.phone) != nil:
		return invocation.Usage("--phone %q: %w", f.phone, account.CheckNewPhone(f.phone))
	}
	return nil
}

// factor makes a factor of the flags over the configuration.
func (f *EnrollFlags) factor(settings config.Config) account.Factor {
	override(&settings.TOTP.Digits, f.Totp.Digits)
	override(&settings.TOTP.Period, f.Totp.Period)
	override(&settings.TOTP.Algorithm, f.Totp.Algorithm)
	override(&settings.HOTP.Digits, f.Totp.Digits)
	override(&settings.HOTP.Algorithm, f.Totp.Algorithm)
	if f.kind == account.HOTP {
		token := enrollment.NewToken(f.id, settings.HOTP, f.counter)
		token.Prefix = f.prefix
		return token
	}
	return enrollment.NewFactor(f.id, settings.TOTP)
}

// override sets a value that was given.
func override[T comparable](setting *T, given T) {
	var none T
	if given != none {
		*setting = given
	}
}

func (f *EnrollFlags) labelIssuer(settings config.TOTP) (string, error) {
	override(&settings.Issuer, f.Totp.Issuer)
	name, err := otpauth.Issuer(settings.Issuer)
	if err != nil {
		return "", fmt.Errorf("%w or give --issuer", err)
	}
	return name, nil
}

// CheckIssuer keeps the label unambiguous: the colon divides issuer and user.
func CheckIssuer(issuer string) error {
	if len(issuer) > 64 || strings.ContainsFunc(issuer, func(r rune) bool { return r == ':' || !unicode.IsPrint(r) }) {
		return errors.New("expected up to 64 printable characters without a colon")
	}
	return nil
}

// readSecret takes the secret of a token from standard input.
func readSecret(ctx context.Context, a *invocation.App) (account.Secret, error) {
	line, err := a.Answer(ctx, "Secret of the token: ")
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

// parseSecret reads base32 or, after 0x, hexadecimal: the digit 0 is not one
// of base32. Its error does not quote the secret.
func parseSecret(text string) (secret account.Secret, err error) {
	if digits, isHex := strings.CutPrefix(text, "0x"); isHex {
		key, err := hex.DecodeString(digits)
		switch {
		case err != nil:
			return nil, errors.New("expected hexadecimal digits after 0x")
		case len(key) < account.MinSecret:
			return nil, fmt.Errorf("expected %d bytes at least, which is %d hexadecimal digits", account.MinSecret, 2*account.MinSecret)
		}
		text = account.Secret(key).Base32()
	}
	err = secret.UnmarshalText([]byte(text))
	if _, notHex := hex.DecodeString(text); err != nil && notHex == nil {
		err = fmt.Errorf("%w; hexadecimal goes after 0x", err)
	}
	return secret, err
}
