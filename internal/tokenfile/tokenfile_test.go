package tokenfile

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// formats are the samples in testdata, each with its reader and what stands in it.
// The test of each format adds its own.
var formats = map[string]format{}

type format struct {
	read func([]byte) ([]Token, error)
	want []string
}

func sample(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// spoil is a sample with a text in it that stands for another.
func spoil(t *testing.T, name, old, by string) []byte {
	t.Helper()
	text := string(sample(t, name))
	if !strings.Contains(text, old) {
		t.Fatalf("%s has no %q", name, old)
	}
	return []byte(strings.Replace(text, old, by, 1))
}

// words shows all of a device but its key, which is shown as its length and its
// first letter.
func words(tok Token) string {
	f := tok.Factor
	key := ""
	if len(f.Secret) > 0 {
		key = fmt.Sprintf("%d%c", len(f.Secret), f.Secret[0])
	}
	text := fmt.Sprintf("%s user=%s serial=%s id=%s label=%s/%s %s %s %s %d period=%d counter=%d drift=%d", tok.Place(), tok.User, tok.Serial, tok.ID,
		tok.Issuer, tok.Account, f.Kind, key, f.Algorithm, f.Digits, f.Period, f.Counter, tok.Drift)
	if tok.Err != nil {
		text += " error: " + tok.Err.Error()
	}
	return text
}

// Each sample is read as what stands in it.
func TestSamples(t *testing.T) {
	for name, f := range formats {
		tokens, err := f.read(sample(t, name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, tok := range tokens {
			got = append(got, words(tok))
		}
		if strings.Join(got, "\n") != strings.Join(f.want, "\n") {
			t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(f.want, "\n"))
		}
	}
}

// A file that is given to another's reader is refused, with what it looks like.
func TestOtherFormats(t *testing.T) {
	others := map[string]string{
		"google":     "GEZDGNBVGY3TQOJQ\n\" TOTP_AUTH\n12345678\n",
		"oath":       "HOTP/T30/6 alice - 3132333435363738393031323334353637383930\n",
		"people.csv": "user,kind,secret\nalice,totp,GEZDGNBVGY3TQOJQ\n",
		"age":        "age-encryption.org/v1\n-> X25519 abc\n",
		"pgp":        "-----BEGIN PGP MESSAGE-----\n\nabc\n",
		"xml":        "<?xml version=\"1.0\"?><Tokens><Token serial=\"1\"><Seed>3132</Seed></Token></Tokens>",
		"json":       `{"items": [{"secret": "GEZDGNBVGY3TQOJQ"}]}`,
	}
	same := func(a, b string) bool {
		return a == b || strings.HasSuffix(a, ".xml") && strings.HasSuffix(b, ".xml") ||
			strings.HasSuffix(a, "p.csv") && b == "privacyidea.csv" || strings.HasSuffix(b, "p.csv") && a == "privacyidea.csv"
	}
	texts := map[string][]byte{}
	for name := range formats {
		texts[name] = sample(t, name)
	}
	for name, text := range others {
		texts[name] = []byte(text)
	}
	for reader, f := range formats {
		for name, text := range texts {
			if same(reader, name) {
				continue
			}
			tokens, err := f.read(text)
			format, found := Recognise(text)
			if !found {
				t.Fatalf("%s: not recognised", name)
			}
			if err == nil || tokens != nil || !strings.Contains(err.Error(), format.Words) && name != "pgp" {
				t.Errorf("the reader of %s of %s: %v, %v", reader, name, tokens, err)
			}
		}
		for _, text := range []string{"", "\n\n", "hello\n", "\x00\xff\xfe", "[]x", "{"} {
			if tokens, err := f.read([]byte(text)); err == nil || tokens != nil {
				t.Errorf("the reader of %s of %q: %v, %v", reader, text, tokens, err)
			}
		}
	}
}

// A file of devices without end is refused as a whole, and not read to its end.
func TestTooManyDevices(t *testing.T) {
	const more = maxTokens + 1
	for name, data := range map[string]string{
		"uris.txt":   strings.Repeat("otpauth://\n", more),
		"linotp.csv": strings.Repeat("s,3132333435363738393031323334353637383930\n", more),
		"plain.xml":  `<KeyContainer Version="1.0" xmlns="` + pskcSpace + `">` + strings.Repeat("<KeyPackage/>", more) + "</KeyContainer>",
		"aegis.json": `{"version":1,"header":{},"db":{"version":2,"entries":[0` + strings.Repeat(",0", more) + "]}}",
		"2fas.json":  `{"schemaVersion":4,"services":[0` + strings.Repeat(",0", more) + "]}",
	} {
		if tokens, err := formats[name].read([]byte(data)); !errors.Is(err, errTooMany) || tokens != nil {
			t.Errorf("the reader of %s: %d devices, %v", name, len(tokens), err)
		}
	}
}

const planted = "PLANTEDKEYPLANTEDKEY"

// Whatever word of a file is a key where none belongs, no error and no remark shows
// it.
func TestNothingOfTheTextIsShown(t *testing.T) {
	word := regexp.MustCompile(`[A-Za-z0-9+/=%.-]+`)
	for name, f := range formats {
		text := sample(t, name)
		places := word.FindAllIndex(text, -1)
		for _, place := range places {
			for _, spoilt := range []string{planted, "x" + planted, planted + "!", "otpauth://" + planted, `"` + planted, "<" + planted} {
				data := string(text[:place[0]]) + spoilt + string(text[place[1]:])
				tokens, err := f.read([]byte(data))
				said := fmt.Sprint(err)
				for _, tok := range tokens {
					said += fmt.Sprint(tok.Err, tok.Remarks, tok.Factor)
				}
				if strings.Contains(strings.ToUpper(said), "PLANTED") {
					t.Errorf("%s: %s in the place of %q: %s", name, spoilt, text[place[0]:place[1]], said)
				}
			}
		}
		if len(places) < 15 {
			t.Errorf("%s: only %d places", name, len(places))
		}
	}
}

// A device that is read without an error can be written to a secret file.
func checkTokens(t *testing.T, data []byte, tokens []Token, err error) {
	t.Helper()
	said := fmt.Sprint(err)
	for _, tok := range tokens {
		said += "\n" + fmt.Sprint(tok.Err, tok.Remarks)
		f := tok.Factor
		f.ID = "device"
		person := account.Person{Version: 1, User: "alice", Enabled: true, Factors: []account.Factor{f}}
		if tok.Err == nil && account.Check(person) != nil {
			t.Errorf("%s: %v", tok.Place(), account.Check(person))
		}
	}
	if err != nil && tokens != nil {
		t.Errorf("devices beside %v", err)
	}
	for _, long := range regexp.MustCompile(`[A-Za-z0-9+/=]{20,}`).FindAllString(string(data), -1) {
		if strings.Contains(said, long) {
			t.Errorf("a text of the file is in %q", said)
		}
	}
}

// fuzzReader fuzzes the reader of a sample.
func fuzzReader(f *testing.F, names ...string) {
	for _, name := range names {
		f.Add(sample(f, name))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, name := range names {
			tokens, err := formats[name].read(data)
			checkTokens(t, data, tokens, err)
		}
	})
}

func TestIsKeyLike(t *testing.T) {
	for _, key := range []string{
		"JBSWY3DPEHPK3PXP", "JBSW Y3DP EHPK 3PXP", "jbswy3dpehpk3pxp", "3132333435363738393031323334353637383930", "QUJDREVGR0hJSktMTU5PUFFSU1Q=",
		"otpauth://totp/alice?secret=JBSWY3DPEHPK3PXP", planted, `"` + planted, "alice " + planted,
	} {
		if !IsKeyLike(key) {
			t.Errorf("%s passes for a name", key)
		}
	}
	for _, name := range []string{"alice", "christophermiller", "svc-backup-server2", "alice@example.com", `CORP\alice.longname`, "2600124809778", "www-data"} {
		if IsKeyLike(name) {
			t.Errorf("%s passes for a key", name)
		}
	}
}
