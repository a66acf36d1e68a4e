package tokenfile

import (
	"errors"
	"strings"
	"testing"
)

func init() {
	formats["plain.xml"] = format{func(data []byte) ([]Token, error) { return PSKC(data, PSKCOptions{Now: noon}) }, []string{
		"entry 1 user= serial=1000133508255 id=k1 label=Issuer/alice hotp 20A SHA1 6 period=0 counter=41 drift=0",
		"entry 2 user= serial=2600124809778 id=k2 label=Issuer/ totp 20a SHA256 8 period=60 counter=0 drift=-2",
	}}
	formats["rfc6030-figure6.xml"] = format{func(data []byte) ([]Token, error) {
		return PSKC(data, PSKCOptions{Now: noon, Key: []byte("\x12\x34\x56\x78\x90\x12\x34\x56\x78\x90\x12\x34\x56\x78\x90\x12")})
	}, []string{
		"entry 1 user= serial=987654321 id=12345678 label=Issuer/ hotp 201 SHA1 8 period=0 counter=0 drift=0",
	}}
	formats["rfc6030-figure7.xml"] = format{func(data []byte) ([]Token, error) {
		return PSKC(data, PSKCOptions{Now: noon, Passphrase: []byte("qwerty")})
	}, []string{
		"entry 1 user= serial=987654321 id=123456 label=Issuer/ hotp 201 SHA1 8 period=0 counter=0 drift=0",
	}}
}

func FuzzPSKC(f *testing.F) {
	fuzzReader(f, "plain.xml", "rfc6030-figure6.xml", "rfc6030-figure7.xml")
}

// What RFC 6030 shows in its figures 5, 6 and 7.
func TestFiguresOfTheRFC(t *testing.T) {
	for _, name := range []string{"rfc6030-figure6.xml", "rfc6030-figure7.xml"} {
		tokens, err := formats[name].read(sample(t, name))
		if err != nil || len(tokens) != 1 || tokens[0].Err != nil || string(tokens[0].Factor.Secret) != "12345678901234567890" {
			t.Errorf("%s: %v, %v", name, tokens, err)
		}
	}
	tokens, err := formats["plain.xml"].read(sample(t, "rfc6030-figure5.xml"))
	if err != nil || len(tokens) != 2 || tokens[0].Err != nil || tokens[1].Err == nil {
		t.Errorf("figure 5: %v, %v", tokens, err)
	}
}

// Nothing is taken from a container that was changed, or with another key.
func TestChangedContainers(t *testing.T) {
	const macMethod = `<MACMethod Algorithm="http://www.w3.org/2000/09/xmldsig#hmac-sha1">`
	for _, c := range []struct{ old, by, want string }{
		{"Su+Nvt", "Su+Nvu", errWrongKey.Error()},
		{"AAECAw", "AAECBw", errWrongKey.Error()}, // the vector: it turns bits of the key over
		{"UqGv", "UqGw", errWrongKey.Error()},
		{"I5wSX", "I5wSY", errWrongKey.Error()},
		{"<ValueMAC>Su+NvtQfmvfJzF6bmQiJqoLRExc=\n          </ValueMAC>", "", errNoMAC.Error()},
		{"Su+NvtQfmvfJzF6bmQiJqoLRExc=", "", errWrongKey.Error()},
		{macMethod, strings.Replace(macMethod, "sha1", "md5", 1), "its MACMethod: expected hmac-sha1"},
		{macMethod, "<Other>", ""},
		{"<EncryptionKey>", "<EncryptionKey><xenc11:DerivedKey/>", ErrNeedsPassphrase.Error()},
		{"<ds:KeyName>Pre-shared-key</ds:KeyName>", "<ds:X509Data/>", "encrypted for a certificate"},
		{"aes128-cbc", "tripledes-cbc", "its EncryptionMethod: expected aes128-cbc"},
		{"aes128-cbc", "aes256-cbc", "it needs a key of 32 bytes, found one of 16"},
		{"<EncryptionKey>", "<EncryptionKeys>", ""},
	} {
		tokens, err := formats["rfc6030-figure6.xml"].read(spoil(t, "rfc6030-figure6.xml", c.old, c.by))
		if err == nil && len(tokens) == 1 {
			err = tokens[0].Err
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q for %q: %v, %v, want %q", c.by, c.old, tokens, err, c.want)
		}
		for _, tok := range tokens {
			if tok.Factor.Secret != nil {
				t.Errorf("%q for %q: a key was taken", c.by, c.old)
			}
		}
	}
	for name, options := range map[string]PSKCOptions{
		"rfc6030-figure6.xml": {Now: noon, Key: []byte("0123456789abcdef")},
		"rfc6030-figure7.xml": {Now: noon, Passphrase: []byte("qwertz")},
	} {
		tokens, err := PSKC(sample(t, name), options)
		if err == nil && len(tokens) == 1 {
			err = tokens[0].Err
		}
		if !errors.Is(err, errWrongKey) {
			t.Errorf("%s with another key: %v", name, err)
		}
	}
	if _, err := PSKC(sample(t, "rfc6030-figure6.xml"), PSKCOptions{Passphrase: []byte("x")}); !errors.Is(err, ErrNeedsKey) {
		t.Errorf("without the key: %v", err)
	}
	if _, err := PSKC(sample(t, "rfc6030-figure7.xml"), PSKCOptions{Key: []byte("x")}); !errors.Is(err, ErrNeedsPassphrase) {
		t.Errorf("without the passphrase: %v", err)
	}
}

// Who cannot encrypt cannot put a key in: neither a plain one, nor a plain container
// in the place of the one that a key or a passphrase was given for, nor by a MAC key
// that was cut down to nothing.
func TestPlainKeysInTheirPlace(t *testing.T) {
	text := string(sample(t, "rfc6030-figure6.xml"))
	from, to := strings.Index(text, "<EncryptedValue>"), strings.Index(text, "</ValueMAC>")+len("</ValueMAC>")
	plain := text[:from] + "<PlainValue>QUJDREVGR0hJSktMTU5PUFFSU1Q=</PlainValue>" + text[to:]
	tokens, err := formats["rfc6030-figure6.xml"].read([]byte(plain))
	if err != nil || len(tokens) != 1 || !errors.Is(tokens[0].Err, errPlainKey) || tokens[0].Factor.Secret != nil {
		t.Errorf("a plain key: %v, %v", tokens, err)
	}
	for _, options := range []PSKCOptions{{Now: noon, Key: []byte("0123456789abcdef")}, {Now: noon, Passphrase: []byte("qwerty")}} {
		if tokens, err := PSKC(sample(t, "plain.xml"), options); tokens != nil || !errors.Is(err, errNotEncrypted) {
			t.Errorf("a plain container: %v, %v", tokens, err)
		}
	}
	// The last block of the key for the MAC alone, with the byte in front of it that
	// is taken for the length of the padding changed from 12 to 16. The MAC is made
	// with a key of no bytes, by Python's hmac.
	text = strings.Replace(text, "ESIzRFVmd4iZABEiM0RVZgKn6WjLaTC1sbeBMSvIhRejN9vJa2BOlSaMrR7I5wSX", "AqfpaMtpMLWxt4ExK8iFC6M328lrYE6VJoytHsjnBJc=", 1)
	text = strings.Replace(text, "Su+NvtQfmvfJzF6bmQiJqoLRExc=", "D4mq/i2ujoUMrTYEWqF/I/sLLGs=", 1)
	tokens, err = formats["rfc6030-figure6.xml"].read([]byte(text))
	if tokens != nil || !errors.Is(err, errShortMACKey) {
		t.Errorf("a MAC key of no bytes: %v, %v", tokens, err)
	}
}

// A container without a MAC key has its MAC made with the key of the encryption.
func TestMACWithoutAKeyOfItsOwn(t *testing.T) {
	text := string(sample(t, "rfc6030-figure6.xml"))
	from, to := strings.Index(text, "<MACKey>"), strings.Index(text, "</MACKey>")+len("</MACKey>")
	text = text[:from] + text[to:]
	// HMAC-SHA1 of the CipherValue's bytes with the key, by Python's hmac.
	text = strings.Replace(text, "Su+NvtQfmvfJzF6bmQiJqoLRExc=", "N8Agsfe5A7WQFswmdvL/MHdd3y0=", 1)
	tokens, err := formats["rfc6030-figure6.xml"].read([]byte(text))
	if err != nil || len(tokens) != 1 || tokens[0].Err != nil || string(tokens[0].Factor.Secret) != "12345678901234567890" {
		t.Errorf("%v, %v", tokens, err)
	}
}

// What a device has that is not the same here is refused.
func TestPSKCRefused(t *testing.T) {
	for _, c := range []struct{ old, by, want string }{
		{"pskc:hotp", "pskc:ocra", "its Algorithm: expected the profile hotp or totp"},
		{"HMAC-SHA256", "HMAC-MD5", "the algorithm: expected SHA1"},
		{`Length="6"`, `Length="10"`, "the digits: expected 6, 7 or 8"},
		{`Encoding="DECIMAL"`, `Encoding="ALPHANUMERIC"`, "expected the encoding DECIMAL"},
		{`Encoding="DECIMAL"`, `Encoding="DECIMAL" CheckDigits="true"`, "a digit that checks the others"},
		{"QUJDREVGR0hJSktMTU5PUFFSU1Q=", "QUJD", "the key: expected 10 to 128 bytes"},
		{"QUJDREVGR0hJSktMTU5PUFFSU1Q=", "QUJDREVGR0hJSktMTU5PUFFSU1Q", "its key: expected base64"},
		{"<PlainValue>41</PlainValue>", "<PlainValue>-1</PlainValue>", "its Counter: expected a whole number"},
		{"<PlainValue>41</PlainValue>", "<EncryptedValue/>", "an encrypted one is not read"},
		{"<Counter><PlainValue>41</PlainValue></Counter>", "", "it has no Counter"},
		{"<PlainValue>60</PlainValue>", "<PlainValue>1</PlainValue>", "the period: expected 15 to 300 seconds"},
		{"<PlainValue>-2</PlainValue>", "<PlainValue>-99999</PlainValue>", "its TimeDrift"},
		{"2037-12-31", "2026-11-21", "its Policy says that it has expired"},
		{"2012-08-01", "2036-08-01", "its Policy says that it is not used yet"},
		{"2012-08-01T00:00:00Z", "soon", "the dates of its Policy"},
		{"<Policy>", "<Policy><KeyUsage>Sign</KeyUsage>", "no KeyUsage OTP"},
		{"<Policy>", "<Policy><NumberOfTransactions>3</NumberOfTransactions>", "a rule that is not held here"},
		{"<Policy>", `<Policy><PINPolicy PINUsageMode="Append"/>`, ErrDevicePIN.Error()},
		{"<Data>", "<Data></Data><Data>", "it has two Data where there is one"},
	} {
		tokens, err := formats["plain.xml"].read(spoil(t, "plain.xml", c.old, c.by))
		var said []string
		for _, tok := range tokens {
			if tok.Err != nil {
				said = append(said, tok.Err.Error())
			}
		}
		if err != nil || len(tokens) != 2 || len(said) != 1 || !strings.Contains(said[0], c.want) {
			t.Errorf("%q for %q: %q, %v, want %q", c.by, c.old, said, err, c.want)
		}
	}
	pin := spoil(t, "plain.xml", "<Policy>", `<Policy><PINPolicy PINUsageMode="Append"/>`)
	tokens, err := PSKC(pin, PSKCOptions{Now: noon, WithoutPINs: true})
	if err != nil || tokens[1].Err != nil || len(tokens[1].Remarks) != 2 {
		t.Errorf("without PINs: %v, %v", tokens, err)
	}
}

// Containers that would take long, or are none, are refused as a whole.
func TestHostileXML(t *testing.T) {
	const begin = `<KeyContainer Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc">`
	for text, want := range map[string]string{
		"<!DOCTYPE x [<!ENTITY a \"b\">]>" + begin + "&a;</KeyContainer>":  "it has a document type",
		begin + "&a;</KeyContainer>":                                       "no well-formed XML",
		begin + strings.Repeat("<a>", 40):                                  "more in it than any key container",
		begin + "<a" + strings.Repeat(" b=\"\"", 40) + "/></KeyContainer>": "more in it than any key container",
		begin + "</KeyContainer>" + begin + "</KeyContainer>":              "no well-formed XML",
		begin: "no well-formed XML",
		strings.Replace(begin, "1.0", "2.0", 1) + "</KeyContainer>":            "version 1.0",
		strings.Replace(begin, "keyprov:pskc", "other", 1) + "</KeyContainer>": "in the namespace",
	} {
		if tokens, err := PSKC([]byte(text), PSKCOptions{Now: noon}); err == nil || tokens != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", text, err, want)
		}
	}
	many := spoil(t, "rfc6030-figure7.xml", "<IterationCount>1000<", "<IterationCount>4000000000<")
	if _, err := formats["rfc6030-figure7.xml"].read(many); err == nil || !strings.Contains(err.Error(), "its IterationCount") {
		t.Errorf("%v", err)
	}
}
