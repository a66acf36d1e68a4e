package account

import (
	"errors"
	"strings"
)

// maxEmail is the longest address that mail can be sent to: RFC 5321 section
// 4.5.3.1.3, without the angle brackets.
const maxEmail = 254

// CheckEmail refuses what is no single, plain mail address. Quoted local parts
// are legal and used by nobody; they would have to be escaped everywhere.
func CheckEmail(address string) error {
	local, domain, found := strings.Cut(address, "@")
	if !found || local == "" || domain == "" || len(address) > maxEmail ||
		strings.ContainsAny(address, "\"\\()<>[]:;, ") || strings.Contains(domain, "@") || strings.HasPrefix(local, "-") ||
		strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return errors.New(`expected a plain mail address in ASCII, such as "alice@example.com"`)
	}
	return nil
}

// CheckPhone refuses what is no telephone number in digits: ITU-T E.164 has at
// most 15, with a plus in front. A secret file that was written by hand may have
// a national one, for a gateway that takes it; see CheckNewPhone.
func CheckPhone(number string) error {
	digits := strings.TrimPrefix(number, "+")
	if len(digits) < 5 || len(digits) > 15 || strings.Trim(digits, "0123456789") != "" {
		return errPhone
	}
	return nil
}

var errPhone = errors.New("expected a telephone number: a plus and digits, such as +491511234567")

// CheckNewPhone refuses what otpctl does not write into a secret file: also a
// national number, which most gateways refuse when it is too late.
func CheckNewPhone(number string) error {
	if !strings.HasPrefix(number, "+") {
		return errPhone
	}
	return CheckPhone(number)
}
