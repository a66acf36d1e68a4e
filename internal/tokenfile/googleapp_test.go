package tokenfile

import (
	"strings"
	"testing"
)

func init() {
	formats["google-app.txt"] = format{GoogleApp, []string{
		"entry 1 user= serial= id= label=Example/alice totp 10H SHA1 6 period=30 counter=0 drift=0",
		"entry 2 user= serial= id= label=Example/bob hotp 201 SHA1 8 period=0 counter=7 drift=0",
		"entry 3 user= serial= id= label=Example/carol totp 20a SHA256 6 period=30 counter=0 drift=0",
	}}
}

func FuzzGoogleApp(f *testing.F) { fuzzReader(f, "google-app.txt") }

// A device that makes other codes than are known here is refused, and what nobody
// here knows the meaning of.
func TestGoogleAppRefused(t *testing.T) {
	for _, c := range []struct{ uri, want string }{
		{"otpauth-migration://offline?data=ChkKCkhlbGxvId6tvu8SBWFsaWNlIAQoATACEAIYASgH", "expected SHA1, SHA256 or SHA512"},
		{"otpauth-migration://offline?data=ChkKCkhlbGxvId6tvu8SBWFsaWNlIAEoAzACEAIYASgH", "expected 6, 7 or 8"},
		{"otpauth-migration://offline?data=Cg8KABIFYWxpY2UgASgBMAIQAhgBKAc%3D", "the key is missing"},
		{"otpauth-migration://offline?data=ChkKCkhlbGxvId6tvu8SBWFsaWNlIAEoATAAEAIYASgH", "expected totp or hotp"},
		{"otpauth-migration://offline?data=ChQKBTEyMzQ1EgVhbGljZSABKAEwAhACGAEoBw%3D%3D", "the key: "},
		{"otpauth-migration://offline?data=CiQKCkhlbGxvId6tvu8SBWFsaWNlIAEoATABOP%2F%2F%2F%2F%2F%2F%2F%2F%2F%2F%2FwEQAhgBKAc%3D", "the counter: expected"},
		{"otpauth-migration://offline?data=ChsKCkhlbGxvId6tvu8SBWFsaWNlIAEoATACSAEQAhgBKAc%3D", errShape.Error()},
		{"otpauth-migration://offline?data=ChwKCkhlbGxvId6tvu8SBWFsaWNlIAEoATACKgF4EAIYASgH", errShape.Error()},
	} {
		tokens, err := GoogleApp([]byte(c.uri))
		if err != nil || len(tokens) != 1 || tokens[0].Err == nil || !strings.Contains(tokens[0].Err.Error(), c.want) {
			t.Errorf("%s: %v, %v, want %q", c.uri, tokens, err, c.want)
		}
	}
}

// Of an export in several QR codes all are needed, once; the same one twice is no harm.
func TestGoogleAppParts(t *testing.T) {
	text := string(sample(t, "google-app.txt"))
	lines := strings.Split(strings.TrimSpace(text), "\n")[1:]
	spaces := strings.ReplaceAll(strings.ReplaceAll(text, "%2B", "+"), "%2F", "/")
	for _, good := range []string{lines[1] + "\n" + lines[0], text + lines[1], spaces} {
		if tokens, err := GoogleApp([]byte(good)); err != nil || len(tokens) != 3 {
			t.Errorf("%d devices, %v, of\n%s", len(tokens), err, good)
		}
	}
	other := "otpauth-migration://offline?data=CjIKCkhlbGxvId6tvu8SDUV4YW1wbGU6YWxpY2UaB0V4YW1wbGUgASgBMAJCBmExYjJjMxACGAIo%2BdK0%2F%2F%2F%2F%2F%2F%2F%2FAQ%3D%3D"
	for bad, want := range map[string]string{
		lines[0]:                 "QR code 2 of 2 of an export is missing",
		lines[1]:                 "QR code 1 of 2 of an export is missing",
		text + other:             "line 4: it is QR code 1 of 2",
		text + "otpauth://totp/": "line 4: expected a URI as in the QR codes",
		"otpauth-migration://offline?data=CjIKCkhlbGxvId6tvu8SDUV4YW1wbGU6YWxpY2UaB0V4YW1wbGUgASgBMAJCBmExYjJjMxADGAEoBw%3D%3D": "expected 1 or 2",
		"otpauth-migration://offline?data=CjIKCkhlbGxvId6tvu8SDUV4YW1wbGU6YWxpY2UaB0V4YW1wbGUgASgBMAJCBmExYjJjMxACGAIgAigH":     "expected a URI as in the QR codes",
		migrationScheme + "offline?data=CjEKCkhlbGxvId6tvu8%3D":                                                                 "expected a URI as in the QR codes",
		migrationScheme + "offline?data=CjEK&more=1":                                                                            "expected a URI as in the QR codes",
	} {
		if tokens, err := GoogleApp([]byte(bad)); err == nil || tokens != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v, want %q", bad, tokens, err, want)
		}
	}
}
