package otpauth

import (
	"image"
	"strings"
	"testing"

	"github.com/boombuler/barcode/qr"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"github.com/otpgate/otpgate/internal/account"
)

// labels are an issuer and a user; kept says whether the library's own URI has
// them right, as its own reader reads it.
var labels = []struct {
	issuer, user string
	kept         bool
}{
	{"example.com", "alice", true},
	{"Müller GmbH", "jörg.müller", true},
	{"50 % more/less?", "a-b_c.d", true},
	{"Example & Co", "alice", false},
	{"C++", "alice", false},
	{"a=b;c#d", "alice", true},
}

var factors = map[string]account.Factor{
	"usual app":   {Kind: account.TOTP, Secret: secretOf(20), Digits: 6, Period: 30, Algorithm: "SHA1"},
	"unusual app": {Kind: account.TOTP, Secret: secretOf(64), Digits: 8, Period: 60, Algorithm: "SHA512"},
	"token":       {Kind: account.HOTP, Secret: secretOf(20), Digits: 6, Algorithm: "SHA1", Counter: 7},
	"other token": {Kind: account.HOTP, Secret: secretOf(32), Digits: 8, Algorithm: "SHA256"},
}

func secretOf(size int) account.Secret {
	secret := make(account.Secret, size)
	for i := range secret {
		secret[i] = byte(37 * i)
	}
	return secret
}

// fromLibrary is the URI that the library makes of the same.
func fromLibrary(t *testing.T, issuer, user string, f account.Factor) *otp.Key {
	t.Helper()
	algorithm := map[string]otp.Algorithm{"SHA1": otp.AlgorithmSHA1, "SHA256": otp.AlgorithmSHA256, "SHA512": otp.AlgorithmSHA512}[f.Algorithm]
	var key *otp.Key
	var err error
	if f.Kind == account.HOTP {
		key, err = hotp.Generate(hotp.GenerateOpts{Issuer: issuer, AccountName: user, Secret: f.Secret, Digits: otp.Digits(f.Digits), Algorithm: algorithm})
	} else {
		key, err = totp.Generate(totp.GenerateOpts{Issuer: issuer, AccountName: user, Secret: f.Secret, Digits: otp.Digits(f.Digits),
			Period: uint(f.Period), Algorithm: algorithm})
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// A reader that is not ours has every field back from our URI. The library's
// own URI, which would have been less to write here, loses what is behind an
// ampersand, makes a space of a plus, and has no counter.
func TestLibraryReadsURI(t *testing.T) {
	for name, f := range factors {
		for _, label := range labels {
			uri := URI(label.issuer, label.user, f)
			key, err := otp.NewKeyFromURL(uri)
			if err != nil {
				t.Fatalf("%s: %v", uri, err)
			}
			period := uint64(f.Period)
			if f.Kind == account.HOTP {
				period = 30 // what the library says of none
			}
			if key.Type() != string(f.Kind) || key.Issuer() != label.issuer || key.AccountName() != label.user || key.Secret() != f.Secret.Base32() ||
				key.Digits() != otp.Digits(f.Digits) || key.Period() != period || key.Algorithm().String() != f.Algorithm {
				t.Errorf("%s, %s of %s: read from %s as %s, %s of %s", name, label.user, label.issuer, uri, key.Type(), key.AccountName(), key.Issuer())
			}
			theirs := fromLibrary(t, label.issuer, label.user, f)
			if got := theirs.Issuer() == label.issuer && theirs.AccountName() == label.user; got != label.kept {
				t.Errorf("the library's %s has its label right: %v, expected %v; does it escape by now?", theirs, got, label.kept)
			}
			if f.Kind == account.HOTP && strings.Contains(theirs.URL(), "counter=") {
				t.Errorf("the library's %s has a counter by now", theirs)
			}
		}
	}
}

// The library's own reader, which would have been less to write, passes over what it does
// not know: a device would be set up with other codes than its key's.
func TestLibraryGuesses(t *testing.T) {
	const uri = "otpauth://totp/alice?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&algorithm=SHA265&perod=60"
	key, err := otp.NewKeyFromURL(uri)
	if err != nil {
		t.Fatalf("it refuses %s by now: %v", uri, err)
	}
	if key.Algorithm() != otp.AlgorithmSHA1 || key.Period() != 30 {
		t.Errorf("it takes %s for %v and %d seconds by now", uri, key.Algorithm(), key.Period())
	}
}

// Our picture of the usual URI fits a terminal of 24 lines and has the margin
// that readers need; the library's fits none and has less margin.
func TestLibrarysPicture(t *testing.T) {
	const lines = 24
	usual := factors["usual app"]
	ours, err := Draw(URI("example.com", "alice", usual))
	if err != nil {
		t.Fatal(err)
	}
	if rows := (ours.Size + 1) / 2; rows >= lines {
		t.Errorf("ours has %d lines, expected less than %d", rows, lines)
	}
	key := fromLibrary(t, "example.com", "alice", usual)
	modules, err := qr.Encode(key.URL(), qr.M, qr.Auto) // as its Image does
	if err != nil {
		t.Fatal(err)
	}
	side := modules.Bounds().Dx() + 2*margin
	if rows := (side + 1) / 2; rows <= lines {
		t.Errorf("the library's has %d lines, which fit by now", rows)
	}
	picture, err := key.Image(8*side, 8*side)
	if err != nil {
		t.Fatal(err)
	}
	dark := darkIn(picture)
	pixels := dark.Dx() / modules.Bounds().Dx() // of a module
	if dark.Min.X >= margin*pixels {
		t.Errorf("the library's margin is %d of %d pixels by now", dark.Min.X, margin*pixels)
	}
}

// darkIn is the part of a picture that has all that is dark.
func darkIn(picture image.Image) (dark image.Rectangle) {
	for y := range picture.Bounds().Dy() {
		for x := range picture.Bounds().Dx() {
			if r, _, _, _ := picture.At(x, y).RGBA(); r == 0 {
				dark = dark.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	return dark
}
