package tokenfile

import (
	"reflect"
	"strings"
	"testing"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/otpauth"
)

func init() {
	formats["uris.txt"] = format{URIs, []string{
		"line 2 user= serial= id= label=Example Co/alice totp 10H SHA1 6 period=30 counter=0 drift=0",
		"line 3 user=bob serial= id= label=privacyIDEA/OATH0001 hotp 201 SHA1 8 period=0 counter=7 drift=0",
		"line 5 user=carol serial= id= label=/carol@example.com totp 10T SHA256 6 period=30 counter=0 drift=0",
		"line 6 user= serial= id= label=/dave totp 20a SHA512 7 period=60 counter=0 drift=0",
	}}
}

func FuzzURIs(f *testing.F) { fuzzReader(f, "uris.txt") }

// What otpgate itself writes is read back.
func TestOwnURIs(t *testing.T) {
	secret := account.Secret("abcdefghijklmnopqrstuvwxyz012345")
	for _, f := range []account.Factor{
		{Kind: account.TOTP, Secret: secret, Digits: 6, Period: 30, Algorithm: "SHA1"},
		{Kind: account.TOTP, Secret: secret, Digits: 8, Period: 60, Algorithm: "SHA512"},
		{Kind: account.HOTP, Secret: secret, Digits: 7, Algorithm: "SHA256", Counter: 1 << 40},
	} {
		for _, user := range []string{"alice", `CORP\alice`, "al ice+x", "alice@example.com", "ä&ö"} {
			uri := otpauth.URI("Example & Co", user, f)
			got, err := ParseURI(uri)
			if err != nil || !reflect.DeepEqual(got.Factor, f) || got.Account != user || got.Issuer != "Example & Co" {
				t.Errorf("%s: %+v, %v", uri, got, err)
			}
		}
	}
}

// So is what another implementation writes.
func TestLibrarysURIs(t *testing.T) {
	key, err := totp.Generate(totp.GenerateOpts{Issuer: "Example Co", AccountName: "alice", Algorithm: otp.AlgorithmSHA256, Digits: otp.DigitsEight, Period: 60})
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseURI(key.URL())
	if err != nil || got.Account != "alice" || got.Issuer != "Example Co" || got.Factor.Secret.Base32() != key.Secret() ||
		got.Factor.Period != 60 || got.Factor.Digits != 8 || got.Factor.Algorithm != "SHA256" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestURIsRefused(t *testing.T) {
	const key = "secret=JBSWY3DPEHPK3PXP"
	for written, want := range map[string]string{
		"otpauth://steam/a?" + key:                            "expected totp or hotp",
		"otpauth://yaotp/a?" + key:                            "expected totp or hotp",
		"otpauth://totp/a?" + key + "&encoder=steam":          "expected totp or hotp",
		"otpauth://totp/a?" + key + "&pin=1234":               "it has a PIN",
		"otpauth://totp/a?" + key + "&2step_salt=8":           "in two steps",
		"otpauth://totp/a?" + key + "&algo=SHA256":            "a parameter that is not known here",
		"otpauth://totp/a?" + key + "&algorithm=MD5":          "expected SHA1, SHA256 or SHA512",
		"otpauth://totp/a?" + key + "&algorithm=":             "expected SHA1, SHA256 or SHA512",
		"otpauth://totp/a?" + key + "&digits=9":               "the digits: expected 6, 7 or 8",
		"otpauth://totp/a?" + key + "&digits=six":             "the digits: expected a whole number",
		"otpauth://totp/a?" + key + "&period=0":               "the period: expected 15 to 300 seconds",
		"otpauth://totp/a?" + key + "&period=86400":           "the period: expected 15 to 300 seconds",
		"otpauth://totp/a?" + key + "&digits=6&digits=8":      "the parameter digits twice",
		"otpauth://totp/a?" + key + "&" + key:                 "the parameter secret twice",
		"otpauth://totp/a?issuer=x":                           "the key is missing",
		"otpauth://totp/a?secret=JBSWY3DP":                    "the key: expected 10 bytes at least",
		"otpauth://totp/a?secret=JBSWY3DPEHPK3PX1":            "the key: expected base32",
		"otpauth://hotp/a?" + key:                             "the counter is missing",
		"otpauth://hotp/a?" + key + "&counter=-1":             "the counter: expected a whole number",
		"otpauth://hotp/a?" + key + "&counter=99999999999999": "the counter: expected 0 to",
		"otpauth://totp/a?" + key + "#x":                      "expected an otpauth URI",
		"otpauth://totp/a?" + key + "%zz":                     "expected an otpauth URI",
		"otpauth://x@totp/a?" + key:                           "expected an otpauth URI",
		"https://example.com/?" + key:                         "expected an otpauth URI",
		"alice JBSWY3DPEHPK3PXP":                              "expected an otpauth URI",
		"al ice otpauth://totp/a?" + key:                      "nothing but a login name in front",
		"../x otpauth://totp/a?" + key:                        "nothing but a login name in front",
		"otpauth://totp/a?" + key + strings.Repeat("x", 9000): "8 KiB at most",
	} {
		tokens, err := URIs([]byte("otpauth://totp/ok?" + key + "\n" + written + "\n"))
		if err != nil || len(tokens) != 2 || tokens[0].Err != nil || tokens[1].Err == nil || !strings.Contains(tokens[1].Err.Error(), want) {
			t.Errorf("%.60s: %v, %v, want %q", written, tokens, err, want)
		}
	}
}
