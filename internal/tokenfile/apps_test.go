package tokenfile

import (
	"errors"
	"strings"
	"testing"
)

func init() {
	formats["andotp.json"] = format{AndOTP, []string{
		"entry 1 user= serial= id= label=Example/alice totp 10H SHA1 6 period=30 counter=0 drift=0",
		"entry 2 user= serial= id= label=Example/bob hotp 201 SHA1 8 period=0 counter=7 drift=0",
		"entry 3 user= serial= id= label=Example/carol totp 20a SHA256 6 period=60 counter=0 drift=0",
	}}
	formats["aegis.json"] = format{Aegis, []string{
		"entry 1 user= serial= id= label=Example/alice totp 10H SHA1 6 period=30 counter=0 drift=0",
		"entry 2 user= serial= id= label=Example/bob hotp 201 SHA256 7 period=0 counter=7 drift=0",
	}}
	formats["2fas.json"] = format{TwoFAS, []string{
		"entry 1 user= serial= id= label=Example/alice totp 10H SHA1 6 period=30 counter=0 drift=0",
		"entry 2 user= serial= id= label=Example/bob hotp 201 SHA1 8 period=0 counter=7 drift=0",
		"entry 3 user= serial= id= label=Bare/carol totp 20a SHA1 6 period=30 counter=0 drift=0",
	}}
}

func FuzzAndOTP(f *testing.F) { fuzzReader(f, "andotp.json") }

func FuzzAegis(f *testing.F) { fuzzReader(f, "aegis.json") }

func FuzzTwoFAS(f *testing.F) { fuzzReader(f, "2fas.json") }

// Encrypted exports say how to make a plain one.
func TestEncryptedExports(t *testing.T) {
	for _, c := range []struct {
		read func([]byte) ([]Token, error)
		text string
		want string
	}{
		{Aegis, `{"version":1,"header":{"slots":[{"type":1}],"params":{"nonce":"00"}},"db":"QUJDREVGR0hJSktMTU5PUFFSU1Q="}`, "without a tick at “Encrypt the vault”"},
		{TwoFAS, `{"services":[],"servicesEncrypted":"QUJDREVGR0hJSktMTU5PUFFSU1Q=:AA==:AA==","reference":"x","schemaVersion":4}`, "once more without a password"},
		{AndOTP, "\x00\x02\x22\xe0\x8f\xff\xfe\x01binary", "make a plain-text backup"},
		{AndOTP, "-----BEGIN PGP MESSAGE-----\n\nQUJD\n", "make a plain-text backup"},
	} {
		tokens, err := c.read([]byte(c.text))
		if !errors.Is(err, ErrEncryptedExport) || tokens != nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "QUJD") {
			t.Errorf("%.40s: %v, want %q", c.text, err, c.want)
		}
	}
}

// An entry that makes other codes than are known here is refused, and no other.
func TestAppEntriesRefused(t *testing.T) {
	for _, c := range []struct{ name, old, by, want string }{
		{"aegis.json", `"type": "totp"`, `"type": "steam"`, "expected totp or hotp"},
		{"aegis.json", `"SHA1"`, `"MD5"`, "expected SHA1, SHA256 or SHA512"},
		{"aegis.json", `"digits": 6`, `"digits": 5`, "expected 6, 7 or 8"},
		{"aegis.json", `"period": 30`, `"period": 7`, "expected 15 to 300"},
		{"aegis.json", `, "period": 30`, ``, "the period is missing"},
		{"aegis.json", `, "counter": 6`, ``, "the counter is missing"},
		{"aegis.json", `"counter": 6`, `"counter": -1`, "the counter: expected 0 to"},
		{"aegis.json", `"counter": 6`, `"counter": 6.5`, errShape.Error()},
		{"aegis.json", `"secret": "JBSWY3DPEHPK3PXP"`, `"secret": 5`, errShape.Error()},
		{"andotp.json", `"TOTP"`, `"STEAM"`, "expected totp or hotp"},
		{"andotp.json", `"digits":6,`, ``, "the digits are missing"},
		{"andotp.json", `"JBSWY3DPEHPK3PXP"`, `""`, "the key is missing"},
		{"2fas.json", `"TOTP"`, `"STEAM"`, "expected totp or hotp"},
		{"2fas.json", `"counter":6,`, ``, "the counter is missing"},
		{"2fas.json", `"digits":6`, `"digits":9`, "expected 6, 7 or 8"},
	} {
		tokens, err := formats[c.name].read(spoil(t, c.name, c.old, c.by))
		var said []string
		for _, tok := range tokens {
			if tok.Err != nil {
				said = append(said, tok.Err.Error())
			}
		}
		if err != nil || len(said) != 1 || !strings.Contains(said[0], c.want) {
			t.Errorf("%s with %s: %q, %v, want %q", c.name, c.by, said, err, c.want)
		}
	}
	for _, c := range []struct{ name, old, by string }{
		{"aegis.json", `"version": 1`, `"version": 2`}, {"aegis.json", `"version": 3`, `"version": 9`}, {"2fas.json", `"schemaVersion":4`, `"schemaVersion":5`},
	} {
		if _, err := formats[c.name].read(spoil(t, c.name, c.old, c.by)); err == nil || !strings.Contains(err.Error(), "a version that is not known here") {
			t.Errorf("%s with %s: %v", c.name, c.by, err)
		}
	}
}
