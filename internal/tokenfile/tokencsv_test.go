package tokenfile

import (
	"strings"
	"testing"
)

func init() {
	formats["privacyidea.csv"] = format{func(data []byte) ([]Token, error) { return PrivacyIDEA(data, CSVOptions{}) }, []string{
		"line 2 user= serial=OATH0001 id= label=/alice hotp 201 SHA1 6 period=0 counter=7 drift=0",
		"line 3 user= serial=TOTP0002 id= label=/ totp 20A SHA1 8 period=60 counter=0 drift=0",
		"line 4 user= serial=OATH0003 id= label=/bob hotp 20a SHA1 6 period=0 counter=0 drift=0",
	}}
	formats["linotp.csv"] = format{func(data []byte) ([]Token, error) { return LinOTP(data, CSVOptions{}) }, []string{
		"line 2 user= serial=tok1 id= label=/ hotp 201 SHA1 6 period=0 counter=0 drift=0",
		"line 3 user= serial=tok2 id= label=/ totp 20A SHA1 6 period=30 counter=0 drift=0",
		"line 4 user= serial=tok3 id= label=/ hotp 20a SHA256 8 period=0 counter=0 drift=0",
		"line 5 user= serial=tok4 id= label=/ totp 321 SHA256 8 period=60 counter=0 drift=0",
	}}
}

func FuzzPrivacyIDEA(f *testing.F) { fuzzReader(f, "privacyidea.csv") }

func FuzzLinOTP(f *testing.F) { fuzzReader(f, "linotp.csv") }

const someKey = "3132333435363738393031323334353637383930"

// What differs between the servers, and what neither has.
func TestTokenLines(t *testing.T) {
	long := someKey[:24] + someKey
	for _, c := range []struct{ format, line, want string }{
		{"privacyidea", "T1," + someKey + ",hotp,6,41", "line 2 user= serial=T1 id= label=/ hotp 201 SHA1 6 period=0 counter=41 drift=0"},
		{"linotp", "T1," + someKey + ",hotp,6,41", "line 2 user= serial=T1 id= label=/ hotp 201 SHA1 6 period=0 counter=0 drift=0"},
		{"linotp", "T1," + someKey + ",HMAC", "line 2 user= serial=T1 id= label=/ hotp 201 SHA1 6 period=0 counter=0 drift=0"},
		{"linotp", "T1," + long + ",totp", "line 2 user= serial=T1 id= label=/ totp 321 SHA256 6 period=30 counter=0 drift=0"},
		{"linotp", "T1," + long + long + ",totp,8,60,SHA1,,", "line 2 user= serial=T1 id= label=/ totp 641 SHA1 8 period=60 counter=0 drift=0"},
		{"privacyidea", "T1," + long + ",totp", "say which with --algorithm"},
		{"privacyidea", "T1," + someKey + ",totp,6,30,sha256", "five columns"},
		{"linotp", "T1," + someKey + ",totp,6,30,md5", "expected SHA1, SHA256 or SHA512"},
		{"linotp", "T1," + someKey + ",ocra2,OCRA-1:HOTP-SHA256-8:QN08", "expected totp or hotp"},
		{"privacyidea", "T1,," + "tan,123456 654321", "expected totp or hotp"},
		{"linotp", "T1,3132,totp", "the key: expected 10 to 128 bytes"},
		{"linotp", "T1," + someKey + ",totp,9", "expected 6, 7 or 8"},
		{"linotp", "T1," + someKey + ",totp,6,7", "expected 15 to 300"},
		{"linotp", "T1," + someKey + ",totp,6,soon", "the period: expected a whole number"},
		{"linotp", "T1," + someKey[1:] + ",totp", "expected hexadecimal digits"},
		{"linotp", "T1", "expected serial, key, type"},
		{"linotp", someKey + ",T1", "the serial: expected the number of the device"},
		{"linotp", `"T1",` + someKey, "without quotes"},
		{"linotp", "T0," + someKey + ",totp", "the serial is that of line 1 too"},
	} {
		tokens, err := formats[c.format+".csv"].read([]byte("T0," + someKey + "\n" + c.line + "\n"))
		if err != nil || len(tokens) != 2 || !strings.Contains(words(tokens[1]), c.want) {
			t.Errorf("%s: %s: %v, %v, want %q", c.format, c.line, tokens, err, c.want)
		}
	}
	tokens, err := PrivacyIDEA([]byte("T1,"+long+",totp\n"), CSVOptions{Algorithm: "SHA512"})
	if err != nil || tokens[0].Err != nil || tokens[0].Factor.Algorithm != "SHA512" {
		t.Errorf("with an algorithm: %v, %v", tokens, err)
	}
	if _, err := PrivacyIDEA([]byte("# version: 3\nT1,"+someKey+"\n"), CSVOptions{}); err == nil || !strings.Contains(err.Error(), "expected version 1 or 2") {
		t.Errorf("of version 3: %v", err)
	}
}
