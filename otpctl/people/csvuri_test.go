package people

import (
	"regexp"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
)

const someURI = "otpauth://hotp/x:alice?secret=JBSWY3DPEHPK3PXP&counter=7&digits=8&algorithm=SHA256"

func TestURIColumn(t *testing.T) {
	r := readLines(t, "user,id,kind,uri,recovery_codes\nalice,token,hotp,"+someURI+",\nbob,,,"+"otpauth://totp/b?secret=JBSWY3DPEHPK3PXQ,a b\ncarol,token,hotp,,abcd\n")
	if len(r.Problems) > 0 || len(r.lines) != 3 || !r.recovery {
		t.Fatal(r.Problems)
	}
	f := r.lines[0].prepared.Factor
	if f.ID != "token" || f.Kind != account.HOTP || f.Counter != 7 || f.Digits != 8 || f.Algorithm != "SHA256" || f.Secret.Base32() != "JBSWY3DPEHPK3PXP" || r.lines[0].made {
		t.Errorf("alice: %+v", r.lines[0])
	}
	if f := r.lines[1].prepared.Factor; f.Kind != account.TOTP || f.ID != "phone" || f.Period != 30 || r.lines[1].made {
		t.Errorf("bob: %+v", r.lines[1])
	}
	if !r.lines[2].keyless || r.lines[2].made {
		t.Errorf("carol: %+v", r.lines[2])
	}
	for _, c := range []struct{ header, row, want string }{
		{"user,uri,digits", "alice," + someURI + ",8", "digits: the column uri says it already"},
		{"user,uri,secret", "alice," + someURI + ",JBSWY3DPEHPK3PXP", "secret: the column uri says it already"},
		{"user,uri,kind", "alice," + someURI + ",totp", "kind: the column uri says hotp"},
		{"user,uri,kind,email", "alice," + someURI + ",email,a@example.com", "uri: codes that are sent have none"},
		{"user,uri", "alice,JBSWY3DPEHPK3PXP", "uri: expected an otpauth URI"},
		{"user,uri", "alice,otpauth://totp/a?secret=JBSWY3DPEHPK3PXP&digits=9", "uri: the digits: expected 6, 7 or 8"},
	} {
		r := readLines(t, c.header+"\n"+c.row+"\n")
		if len(r.Problems) != 1 || !strings.Contains(r.Problems[0], c.want) {
			t.Errorf("%s: %q, want %q", c.row, r.Problems, c.want)
		}
	}
}

// Wherever a key stands in a file of people, no mistake shows it.
func TestNoMistakeShowsAKey(t *testing.T) {
	const good = "user,kind,email,phone,protocols,secret,counter,digits,period,algorithm,confirmed,id,prefix\n" +
		"alice,hotp,a@example.com,+4915112345678,ssh sudo,JBSWY3DPEHPK3PXR,5,6,,SHA1,yes,token,cccc\n" +
		"bob,totp,,,,,,8,60,,no,phone,\n"
	word := regexp.MustCompile(`[^,\n]+`)
	for _, place := range word.FindAllStringIndex(good, -1) {
		for _, planted := range []string{"PLANTEDKEYPLANTEDKEY", "planted2key3planted", "otpauth://totp/x?secret=PLANTED", `"PLANTED`, "PLANTED;", "504c414e544544504c414e544544"} {
			r := newCSVReader(config.Default(), nil)
			r.Name = "people.csv"
			if err := r.Read(strings.NewReader(good[:place[0]] + planted + good[place[1]:])); err != nil {
				t.Fatal(err)
			}
			said := strings.ToLower(strings.Join(r.Problems, "\n"))
			if strings.Contains(said, "planted") || strings.Contains(said, "504c41") {
				t.Errorf("%q in the place of %q: %s", planted, good[place[0]:place[1]], said)
			}
		}
	}
}

// A file of another format is not read as one without a header.
func TestOtherFormatsAreNoPeople(t *testing.T) {
	r := readLines(t, someURI+"\n")
	if len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "it looks like a list of otpauth URIs (otpctl import uri), expected a file of people with named columns") {
		t.Errorf("%q", r.Problems)
	}
}
