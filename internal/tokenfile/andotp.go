package tokenfile

import (
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// The format is that of andOTP's class Entry, in Database/Entry.java.

var errSealedAndOTP = encryptedExport{"in andOTP, under Backups, make a plain-text backup"}

// AndOTP reads a plain backup of andOTP. An encrypted one has no mark of its own: it
// is bytes that are no text.
func AndOTP(data []byte) ([]Token, error) {
	format, found := Recognise(data)
	switch {
	case format == PGPFile || !found && len(data) > 0 && !utf8.Valid(data):
		return nil, errSealedAndOTP
	case format != AndOTPExport:
		return nil, OtherFormatError{format, AndOTPExport}
	}
	var written []json.RawMessage
	if json.Unmarshal(text(data), &written) != nil {
		return nil, errShape
	}
	return entries(written, (*Token).andOTP)
}

func (t *Token) andOTP(entry json.RawMessage) error {
	var e struct {
		Secret, Label, Type, Algorithm string
		Issuer                         *string
		Digits                         *int
		Period                         *int
		Counter                        *int64
	}
	if json.Unmarshal(entry, &e) != nil {
		return errShape
	}
	// Older backups have both in the label.
	switch issuer, name, both := strings.Cut(e.Label, " - "); {
	case e.Issuer != nil:
		t.Issuer, t.Account = *e.Issuer, e.Label
	case both:
		t.Issuer, t.Account = issuer, name
	default:
		t.setLabel(e.Label)
	}
	if e.Digits == nil {
		return errors.New("the digits are missing")
	}
	return t.app(e.Type, e.Secret, e.Algorithm, *e.Digits, e.Period, e.Counter)
}
