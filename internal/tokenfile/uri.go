package tokenfile

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/otpgate/otpgate/internal/account"
)

// The form of the URIs is that of the Key Uri Format in google-authenticator's
// wiki, which all apps share.

// harmless are parameters that apps and servers add and that change no code: names
// and pictures. Of any other nobody here knows that.
var harmless = []string{"image", "icon", "color", "lock", "creator", "tags", "codeDisplay"}

// parameters are those that are read.
var parameters = []string{"secret", "issuer", "algorithm", "digits", "counter", "period"}

const scheme = "otpauth://"

// URIs reads otpauth URIs, one a line. The person's login name may stand in front
// of it; else it is the account of the label. Lines that begin with # are left out.
func URIs(data []byte) ([]Token, error) {
	if err := expect(data, URIList); err != nil {
		return nil, err
	}
	var tokens []Token
	line := 0
	for written := range strings.Lines(string(text(data))) {
		line++
		written = strings.TrimSpace(written)
		if written == "" || strings.HasPrefix(written, "#") {
			continue
		}
		if len(tokens) == maxTokens {
			return nil, errTooMany
		}
		t := uriLine(written)
		t.Number, t.Line = len(tokens)+1, line
		tokens = append(tokens, t)
	}
	return tokens, nil
}

func uriLine(written string) Token {
	if !utf8.ValidString(written) || len(written) > maxLine {
		return Token{Err: errors.New("expected a line of text of 8 KiB at most")}
	}
	at := strings.Index(written, scheme)
	if at < 0 {
		return Token{Err: errURI}
	}
	user := strings.TrimRight(written[:at], ", \t")
	t, err := ParseURI(written[at:])
	if err == nil && user != "" && (strings.ContainsAny(user, " \t") || account.CheckName(user) != nil) {
		err = errors.New("expected nothing but a login name in front of the URI")
	}
	if err != nil {
		return Token{Err: err}
	}
	t.User = user
	return t
}

var errURI = errors.New("expected an otpauth URI: otpauth://totp/LABEL?secret=KEY, or hotp and a counter")

// ParseURI reads one URI.
func ParseURI(written string) (Token, error) {
	if len(written) > maxLine {
		return Token{}, errURI
	}
	u, err := url.Parse(written)
	// What url says of a mistake quotes it.
	if err != nil || u.Scheme != "otpauth" || u.User != nil || u.Fragment != "" || u.Opaque != "" || strings.Contains(written, "#") {
		return Token{}, errURI
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Token{}, errURI
	}
	if err := checkParameters(query); err != nil {
		return Token{}, err
	}
	var t Token
	if err := t.setKind(u.Host); err != nil {
		return Token{}, err
	}
	t.setLabel(strings.TrimPrefix(u.Path, "/"))
	if t.Issuer == "" {
		t.Issuer = query.Get("issuer")
	}
	if err := t.setParameters(query); err != nil {
		return Token{}, err
	}
	return t, t.check()
}

// checkParameters refuses what may change the codes in a way that is not known
// here. The names of such parameters are not shown either.
func checkParameters(query url.Values) error {
	for name, values := range query {
		switch {
		case slices.Contains(harmless, name):
		case strings.HasPrefix(name, "2step"):
			return errors.New("its key is made in two steps, and the URI has half of it")
		case name == "encoder":
			return errKind
		case name == "pin":
			return errors.New("it has a PIN, and otpgate asks for none")
		case !slices.Contains(parameters, name):
			return errors.New("it has a parameter that is not known here: expected " + strings.Join(parameters, ", "))
		case len(values) > 1:
			return errors.New("it has the parameter " + name + " twice")
		}
	}
	return nil
}

func (t *Token) setParameters(query url.Values) (err error) {
	f := &t.Factor
	if err := t.setBase32(query.Get("secret")); err != nil {
		return err
	}
	f.Algorithm, f.Digits = "SHA1", 6
	if name, given := query["algorithm"]; given {
		if err := t.setAlgorithm(name[0]); err != nil {
			return err
		}
	}
	if digits, given := query["digits"]; given {
		if f.Digits, err = smallNumber("the digits", digits[0]); err != nil {
			return err
		}
	}
	if f.Kind == account.HOTP {
		if !query.Has("counter") {
			return errors.New("the counter is missing")
		}
		f.Counter, err = number("the counter", query.Get("counter"))
		return err
	}
	f.Period = 30
	if seconds, given := query["period"]; given {
		f.Period, err = smallNumber("the period", seconds[0])
	}
	return err
}
