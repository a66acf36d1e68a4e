package tokenfile

import (
	"encoding/json"
	"errors"

	"github.com/otpgate/otpgate/internal/account"
)

// The format is that of Aegis' docs/vault.md.

// ErrEncryptedExport is wrapped by the errors for exports that only the app itself
// opens. The errors say how to make one that can be read.
var ErrEncryptedExport = errors.New("it is encrypted")

type encryptedExport struct{ how string }

func (e encryptedExport) Error() string {
	return ErrEncryptedExport.Error() + ", and otpctl reads plain ones: " + e.how + "; remove the plain file in the end"
}

func (encryptedExport) Unwrap() error { return ErrEncryptedExport }

// errShape is for JSON whose values are not of the app's kinds. What json says of
// them may quote them.
var errShape = errors.New("its values are not as the app writes them")

// Aegis reads a plain export of Aegis.
func Aegis(data []byte) ([]Token, error) {
	if err := expect(data, AegisExport); err != nil {
		return nil, err
	}
	var export struct {
		Version int
		DB      json.RawMessage
	}
	if json.Unmarshal(text(data), &export) != nil {
		return nil, errShape
	}
	var sealed string
	if json.Unmarshal(export.DB, &sealed) == nil && sealed != "" {
		return nil, encryptedExport{"in Aegis, under Settings, Import & Export, export once more as JSON without a tick at “Encrypt the vault”"}
	}
	var db struct {
		Version int
		Entries []json.RawMessage
	}
	if json.Unmarshal(export.DB, &db) != nil || db.Entries == nil {
		return nil, errShape
	}
	if export.Version != 1 || db.Version < 1 || db.Version > 3 {
		return nil, errors.New("it is of a version that is not known here: expected version 1 with contents of version 1 to 3")
	}
	return entries(db.Entries, (*Token).aegis)
}

// entries reads each entry by itself, so that it is known which is wrong.
func entries(written []json.RawMessage, read func(*Token, json.RawMessage) error) ([]Token, error) {
	if len(written) > maxTokens {
		return nil, errTooMany
	}
	var tokens []Token
	for i, entry := range written {
		t := Token{Number: i + 1}
		t.Err = read(&t, entry)
		tokens = append(tokens, t)
	}
	return tokens, nil
}

func (t *Token) aegis(entry json.RawMessage) error {
	var e struct {
		Type, Name, Issuer string
		Info               struct {
			Secret, Algo string
			Digits       int
			Period       *int
			Counter      *int64
		}
	}
	if json.Unmarshal(entry, &e) != nil {
		return errShape
	}
	t.Issuer, t.Account = e.Issuer, e.Name
	return t.app(e.Type, e.Info.Secret, e.Info.Algo, e.Info.Digits, e.Info.Period, e.Info.Counter)
}

// app takes what all apps have of a device.
func (t *Token) app(kind, secret, algorithm string, digits int, period *int, counter *int64) error {
	if err := t.setKind(kind); err != nil {
		return err
	}
	if err := t.setAlgorithm(algorithm); err != nil {
		return err
	}
	if err := t.setBase32(secret); err != nil {
		return err
	}
	f := &t.Factor
	f.Digits = digits
	switch {
	case f.Kind == account.HOTP && counter == nil:
		return errors.New("the counter is missing")
	case f.Kind == account.HOTP:
		f.Counter = *counter
	case period == nil:
		return errors.New("the period is missing")
	default:
		f.Period = *period
	}
	if err := t.check(); err != nil {
		return err
	}
	t.shown()
	return t.check()
}
