// Package tokenfile reads files of one-time code devices: lists of otpauth URIs,
// key containers of RFC 6030, token lists of other servers, and what authenticator
// apps export.
//
// The entry points are [URIs], [PSKC], [PrivacyIDEA], [LinOTP], [AndOTP], [Aegis],
// [TwoFAS] and [GoogleApp], one for each format and in a file of its own, [ParseURI] for one
// URI, [ParseMap] for who has which device, and [Recognise], which tells formats by
// their contents. They only read text that was handed to them. They promise that
// nothing of the text is in an error or a remark, but where it was found: what
// cannot be read may be a key.
package tokenfile

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/otpgate/otpgate/internal/account"
)

// MaxSize is the longest file that is looked at, in bytes. Files for all have a
// line or an element for each device, and apps write pictures into theirs.
const MaxSize = 32 << 20

// maxLine bounds one line of those that have lines. Such a line has a key of 128
// bytes at most and some names.
const maxLine = 8 << 10

// maxTokens is how many devices a file may have: one that says next to nothing of
// each has millions of them within MaxSize.
const maxTokens = 200_000

var errTooMany = fmt.Errorf("it has over %d devices: split it", maxTokens)

// Token is one device of a file.
type Token struct {
	// Number counts the devices of the file from 1, and Line its lines, if it has
	// any.
	Number, Line int
	// User is the login name that the file gives in so many words, "" if none.
	User string
	// Serial is the device's number, and ID another that the file has for it.
	Serial, ID string
	// Issuer and Account are the two parts of the label that the app shows.
	Issuer, Account string
	// Factor is what codes are computed with. It has no id.
	Factor account.Factor
	// Drift is by how many steps the device's clock is ahead, as far as it is known.
	Drift int
	// Err says why the device cannot be taken.
	Err error
	// Remarks are what the admin should know of it.
	Remarks []string
}

// Place says where in its file the device is.
func (t Token) Place() string {
	if t.Line > 0 {
		return "line " + strconv.Itoa(t.Line)
	}
	return "entry " + strconv.Itoa(t.Number)
}

// Names are by what a map can name the device.
func (t Token) Names() (names []string) {
	for _, name := range []string{t.Serial, t.ID, t.label(), t.Account} {
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}

func (t Token) label() string {
	if t.Issuer == "" || t.Account == "" {
		return ""
	}
	return t.Issuer + ":" + t.Account
}

// setLabel takes the label apart: the issuer stands before the first colon.
func (t *Token) setLabel(label string) {
	issuer, name, both := strings.Cut(label, ":")
	if !both {
		issuer, name = "", label
	}
	t.Issuer, t.Account = strings.TrimSpace(issuer), strings.TrimSpace(name)
}

// errNoText is for data that is no text.
var errNoText = errors.New("it is no text in UTF-8")

// text is data without the mark that spreadsheets and Windows put in front.
func text(data []byte) []byte { return bytes.TrimPrefix(data, []byte("\ufeff")) }

// setBase32 and setHex take a key.
func (t *Token) setBase32(key string) error {
	if key == "" {
		return errors.New("the key is missing")
	}
	if err := t.Factor.Secret.UnmarshalText([]byte(key)); err != nil {
		return fmt.Errorf("the key: %w", err)
	}
	return nil
}

func (t *Token) setHex(digits string) error {
	key, err := hex.DecodeString(digits)
	if err != nil {
		return errors.New("the key: expected hexadecimal digits, two for each byte")
	}
	return t.setBytes(key)
}

func (t *Token) setBytes(key []byte) error {
	// The rules for keys are those of secret files.
	var checked account.Secret
	if err := checked.UnmarshalText([]byte(account.Secret(key).Base32())); err != nil {
		return fmt.Errorf("the key: expected %d to 128 bytes", account.MinSecret)
	}
	t.Factor.Secret = checked
	return nil
}

// errKind is for codes that are made in another way.
var errKind = errors.New("the type: expected totp or hotp; devices of other types, as Steam's, make other codes")

func (t *Token) setKind(name string) error {
	switch strings.ToLower(name) {
	case "totp":
		t.Factor.Kind = account.TOTP
	case "hotp":
		t.Factor.Kind = account.HOTP
	default:
		return errKind
	}
	return nil
}

func (t *Token) setAlgorithm(name string) error {
	switch strings.ToUpper(name) {
	case "SHA1", "SHA256", "SHA512":
		t.Factor.Algorithm = strings.ToUpper(name)
		return nil
	}
	return errors.New("the algorithm: expected SHA1, SHA256 or SHA512")
}

// number reads digits alone.
func number(what, digits string) (int64, error) {
	n, err := strconv.ParseUint(digits, 10, 62)
	if err != nil {
		return 0, fmt.Errorf("%s: expected a whole number", what)
	}
	return int64(n), nil
}

// smallNumber is number for what is a few hundred at most; whatever is more than a
// million becomes that, for the check.
func smallNumber(what, digits string) (int, error) {
	n, err := number(what, digits)
	return int(min(n, 1_000_000)), err
}

// check holds the factor against the rules of a secret file.
func (t *Token) check() error {
	f := t.Factor
	f.ID = "device"
	err := account.Check(account.Person{Version: 1, User: "somebody", Enabled: true, Factors: []account.Factor{f}})
	var problem account.Problem
	if errors.As(err, &problem) {
		return fmt.Errorf("the %s: %s", problem.Key, problem.What)
	}
	return err
}

// ErrTaken is wrapped by the error for a token with a counter that another person has
// already.
var ErrTaken = errors.New("is enrolled with this device already")

// shown moves a counter on that an app has stored: it is the one of the code that
// the app shows, which may have been used.
func (t *Token) shown() {
	if t.Factor.Kind == account.HOTP {
		t.Factor.Counter++
		t.Remarks = append(t.Remarks, "the code that the app shows now counts as used; the next one is good")
	}
}
