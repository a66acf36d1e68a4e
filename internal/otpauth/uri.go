// Package otpauth shows a factor's key to an authenticator app.
//
// The entry points are [URI] and [Draw]. What they return holds the secret: it
// is for the person's eyes and for no log.
package otpauth

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/otpgate/otpgate/internal/account"
)

// URI writes the otpauth URI that authenticator apps read. What every app
// assumes (SHA1, 6 digits, 30 seconds) is left out, which keeps the QR code
// small enough for a terminal of 24 lines.
func URI(issuer, user string, f account.Factor) string {
	uri := fmt.Sprintf("otpauth://%s/%s:%s?secret=%s&issuer=%s",
		f.Kind, escape(issuer), escape(user), f.Secret.Base32(), escape(issuer))
	if f.Algorithm != "SHA1" {
		uri += "&algorithm=" + f.Algorithm
	}
	if f.Digits != 6 {
		uri += "&digits=" + strconv.Itoa(f.Digits)
	}
	if f.Kind == account.HOTP {
		return uri + "&counter=" + strconv.FormatInt(f.Counter, 10)
	}
	if f.Period != 30 {
		uri += "&period=" + strconv.Itoa(f.Period)
	}
	return uri
}

// escape is for both parts of the URI: a plus sign means a space only in the
// query, and not to every app.
func escape(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}

// Issuer names this place in the app: as wanted, or by the machine's name.
func Issuer(wanted string) (string, error) {
	if wanted != "" {
		return wanted, nil
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		return "", errors.New("this machine has no host name: set issuer in [totp]")
	}
	return host, nil
}

// Grouped shows a key in groups of four, as apps show it while it is typed.
func Grouped(key string) string {
	var groups strings.Builder
	for i, c := range key {
		if i > 0 && i%4 == 0 {
			groups.WriteByte(' ')
		}
		groups.WriteRune(c)
	}
	return groups.String()
}
