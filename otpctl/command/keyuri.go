package command

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"unicode"

	"github.com/otpgate/otpgate/internal/account"
)

// keyURI writes the otpauth URI that authenticator apps read. What every app
// assumes (SHA1, 6 digits, 30 seconds) is left out, which keeps the QR code
// small enough for a terminal of 24 lines.
func keyURI(issuer, user string, f account.Factor) string {
	uri := fmt.Sprintf("otpauth://totp/%s:%s?secret=%s&issuer=%s",
		escape(issuer), escape(user), f.Secret.Base32(), escape(issuer))
	if f.Algorithm != "SHA1" {
		uri += "&algorithm=" + f.Algorithm
	}
	if f.Digits != 6 {
		uri += "&digits=" + strconv.Itoa(f.Digits)
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

// issuer names this place in the app.
func issuer(wanted string) (string, error) {
	if wanted != "" {
		return wanted, nil
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		return "", errors.New("this machine has no host name: set issuer in [totp] or give --issuer")
	}
	return host, nil
}

// checkIssuer keeps the label unambiguous: the colon divides issuer and user.
func checkIssuer(issuer string) error {
	if len(issuer) > 64 || strings.ContainsFunc(issuer, func(r rune) bool { return r == ':' || !unicode.IsPrint(r) }) {
		return errors.New("expected up to 64 printable characters without a colon")
	}
	return nil
}

// grouped shows a key in groups of four, as apps show it while it is typed.
func grouped(key string) string {
	var groups strings.Builder
	for i, c := range key {
		if i > 0 && i%4 == 0 {
			groups.WriteByte(' ')
		}
		groups.WriteRune(c)
	}
	return groups.String()
}
