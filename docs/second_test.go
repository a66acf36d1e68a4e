package docs_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/breakglass"
	"github.com/otpgate/otpgate/internal/clients"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/excuse"
	"github.com/otpgate/otpgate/internal/keyring"
)

// again is what another TOML library reads in text, written by it.
func again(t *testing.T, place, text string) []byte {
	t.Helper()
	var values map[string]any
	if _, err := toml.Decode(text, &values); err != nil {
		t.Fatalf("%s: %v", place, err)
	}
	var written bytes.Buffer
	if err := toml.NewEncoder(&written).Encode(values); err != nil {
		t.Fatalf("%s: %v", place, err)
	}
	return written.Bytes()
}

// same says whether two libraries read the same in a file: what the other one
// read and wrote is to us what we read ourselves.
func same(t *testing.T, place, text string) {
	t.Helper()
	var one, two any
	var err, errAgain error
	switch {
	case strings.HasPrefix(text, "[[excuse]]"):
		one, err = excuse.Parse(place, []byte(text))
		two, errAgain = excuse.Parse(place, again(t, place, text))
	case strings.HasPrefix(text, "version = 1\nclient = "):
		one, err = clients.Parse(place, "web1", []byte(text))
		two, errAgain = clients.Parse(place, "web1", again(t, place, text))
	case strings.HasPrefix(text, "version = 1\nuser = \"root\""), strings.HasPrefix(text, "version = 1\nuser = 'root'"):
		one, err = breakglass.Parse(place, "root", []byte(text))
		two, errAgain = breakglass.Parse(place, "root", again(t, place, text))
	case strings.Contains("\n"+text, "\nversion = "):
		one, err = account.Parse(place, "alice", []byte(text))
		two, errAgain = account.Parse(place, "alice", again(t, place, text))
		one, two = values(one), values(two)
	default:
		one, err = config.Parse(place, []byte(text))
		two, errAgain = config.Parse(place, again(t, place, text))
	}
	if err != nil || errAgain != nil || !reflect.DeepEqual(one, two) {
		t.Errorf("%s: we read\n%+v, %v\nand of what the other library read\n%+v, %v", place, one, err, two, errAgain)
	}
}

// values are those of a person's file, without its comments and with instants
// that can be compared.
func values(person any) account.Person {
	p := person.(account.Person)
	copied := account.Person{Version: p.Version, User: p.User, Enabled: p.Enabled, Protocols: p.Protocols, Email: p.Email, Phone: p.Phone, Recovery: p.Recovery}
	for _, f := range p.Factors {
		copied.Factors = append(copied.Factors, account.Factor{
			ID: f.ID, Kind: f.Kind, Secret: f.Secret, Encrypted: f.Encrypted, Digits: f.Digits, Period: f.Period, Algorithm: f.Algorithm,
			Counter: f.Counter, Prefix: f.Prefix, Confirmed: f.Confirmed.UTC(),
		})
	}
	return copied
}

// Every example of the documents, and whatever otpctl can write, means the same
// to a second library.
func TestSecondOpinion(t *testing.T) {
	all, _ := blocks(t)
	seen := 0
	for _, b := range all {
		if b.Language == "toml" {
			seen++
			same(t, b.Place, strings.ReplaceAll(strings.Join(b.Lines, "\n")+"\n", "…", strings.Repeat("0", 32)))
		}
	}
	if seen < 8 {
		t.Errorf("found only %d files", seen)
	}
	machines(t)
	tmp := t.TempDir()
	if err := os.Chmod(tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	_, key := keyring.NewFile()
	if err := os.WriteFile(filepath.Join(tmp, "key"), key, 0o400); err != nil {
		t.Fatal(err)
	}
	people(t, account.Place{Path: filepath.Join(tmp, "plain")})
	people(t, account.Place{Path: filepath.Join(tmp, "encrypted"), Keys: keyring.New(filepath.Join(tmp, "key"))})
}

// machines has a second opinion on the files of a client and of break-glass codes.
func machines(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	one := clients.Client{Version: 1, Client: "web1", Keys: []config.KeyHash{{1}, {2}}, Services: []string{"sshd", "sudo"}, Enroll: true, Send: true,
		SendsPerHour: 7, PerMinute: 60, Dialogues: 8, WrongCodes: 9}
	_, codes := breakglass.New("root", time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	if err := errors.Join(clients.Add(filepath.Join(dir, "clients"), one), breakglass.Save(filepath.Join(dir, "codes"), codes)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{clients.Path(filepath.Join(dir, "clients"), "web1"), breakglass.Path(filepath.Join(dir, "codes"), "root")} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		same(t, filepath.Base(path), string(text))
	}
}

// people has a second opinion on secret files at a place.
func people(t *testing.T, place account.Place) {
	t.Helper()
	if err := os.Mkdir(place.Path, 0o700); err != nil {
		t.Fatal(err)
	}
	dir, err := place.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for name, person := range map[string]account.Person{
		"nothing": {},
		"all of it": {
			Protocols: []config.Protocol{"ssh", "sudo"}, Email: "alice@example.com", Phone: "+491511234567",
			Recovery: account.Recovery{Hashes: []string{strings.Repeat("a0", 32), strings.Repeat("b1", 32)}},
			Factors: []account.Factor{
				{ID: "phone", Kind: account.TOTP, Secret: account.Secret("secret of alice, 20 b"), Digits: 8, Period: 60, Algorithm: "SHA512", Confirmed: at},
				{ID: "phone", Kind: account.TOTP, Secret: account.Secret("another of hers, 20 b"), Digits: 6, Period: 30, Algorithm: "SHA1"},
				{ID: "token", Kind: account.HOTP, Secret: account.Secret("secret of a token, 20"), Digits: 6, Algorithm: "SHA1", Counter: 1 << 40, Prefix: "ubhe00000001", Confirmed: at},
				{ID: "mail", Kind: account.Email, Confirmed: at}, {ID: "text", Kind: account.SMS, Confirmed: at},
			},
		},
	} {
		err := dir.Change("alice", func(p *account.Person) error {
			person.Version, person.User, person.Enabled = 1, "alice", name != "nothing"
			*p = person
			return nil
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text, err := os.ReadFile(dir.Path("alice"))
		if err != nil {
			t.Fatal(err)
		}
		same(t, name, string(text))
		if encrypts := place.Keys != nil; name != "nothing" && strings.Contains(string(text), keyring.Prefix) != encrypts {
			t.Errorf("%s: expected encrypted %v:\n%s", name, encrypts, text)
		}
	}
}
