// Package enrollment makes factors and lets them count, at a login as for an admin.
//
// The entry points are [NewFactor], [NewToken], [SpendFirst] and [Confirm]. It
// promises that a factor counts only once a code of it came back, and that this
// code can never log anybody in.
package enrollment

import (
	"crypto/rand"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
)

// secretBytes are the sizes of new secrets: the length of the hash, which RFC
// 4226 section 4 recommends and RFC 6238 section 5.1 takes over.
var secretBytes = map[string]int{"SHA1": 20, "SHA256": 32, "SHA512": 64}

// NewFactor makes a factor with a random secret, not confirmed yet. settings
// must have been checked.
func NewFactor(id string, settings config.TOTP) account.Factor {
	return account.Factor{
		ID: id, Kind: account.TOTP, Secret: newSecret(settings.Algorithm),
		Digits: settings.Digits, Period: settings.Period, Algorithm: settings.Algorithm,
	}
}

// NewToken makes a factor with a random secret for a token with a counter, not
// confirmed yet. counter is the first that the token uses.
func NewToken(id string, settings config.HOTP, counter int64) account.Factor {
	return account.Factor{
		ID: id, Kind: account.HOTP, Secret: newSecret(settings.Algorithm),
		Digits: settings.Digits, Algorithm: settings.Algorithm, Counter: counter,
	}
}

func newSecret(algorithm string) account.Secret {
	secret := make(account.Secret, secretBytes[algorithm])
	rand.Read(secret) // never fails, see its documentation
	return secret
}
