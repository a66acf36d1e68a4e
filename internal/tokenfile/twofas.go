package tokenfile

import (
	"encoding/json"
	"errors"
)

// The format is that of 2FAS' backup files, schema versions 1 to 4, as the apps'
// own sources write it. What says nothing has the values that all apps assume.

// twoFASSchema is the newest schema that is known here.
const twoFASSchema = 4

// TwoFAS reads a plain backup of 2FAS.
func TwoFAS(data []byte) ([]Token, error) {
	if err := expect(data, TwoFASExport); err != nil {
		return nil, err
	}
	var backup struct {
		Schema    int `json:"schemaVersion"`
		Services  []json.RawMessage
		Encrypted *string `json:"servicesEncrypted"`
	}
	switch err := json.Unmarshal(text(data), &backup); {
	case err != nil:
		return nil, errShape
	case backup.Encrypted != nil && *backup.Encrypted != "":
		return nil, encryptedExport{"in 2FAS, under Settings, 2FAS Backup, export once more without a password"}
	case backup.Schema < 1 || backup.Schema > twoFASSchema:
		return nil, errors.New("it is of a version that is not known here: expected schemaVersion 1 to 4")
	}
	return entries(backup.Services, (*Token).twoFAS)
}

func (t *Token) twoFAS(entry json.RawMessage) error {
	var e struct {
		Name, Secret string
		OTP          struct {
			Label, Account, Issuer, Algorithm, TokenType *string
			Digits, Period                               *int
			Counter                                      *int64
		}
	}
	if json.Unmarshal(entry, &e) != nil {
		return errShape
	}
	or := func(given *string, usual string) string {
		if given == nil || *given == "" {
			return usual
		}
		return *given
	}
	t.setLabel(or(e.OTP.Label, ""))
	t.Account = or(e.OTP.Account, t.Account)
	t.Issuer = or(e.OTP.Issuer, or(&t.Issuer, e.Name))
	digits, period := 6, 30
	if e.OTP.Digits != nil {
		digits = *e.OTP.Digits
	}
	if e.OTP.Period != nil {
		period = *e.OTP.Period
	}
	return t.app(or(e.OTP.TokenType, "TOTP"), e.Secret, or(e.OTP.Algorithm, "SHA1"), digits, &period, e.OTP.Counter)
}
