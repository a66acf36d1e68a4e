package clients

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/testwait"
)

func keyOf(b byte) (key config.KeyHash) {
	key[0] = b
	return key
}

func TestSaveAndLoad(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "clients")
	plain := Default()
	plain.Client, plain.Keys = "web1", []config.KeyHash{keyOf(1)}
	whole := plain
	whole.Client, whole.Enroll, whole.Send, whole.SendsPerHour, whole.PerMinute, whole.Dialogues, whole.WrongCodes = "web2", true, false, 4, 1, 2, 3
	whole.Keys, whole.Services, whole.Users = []config.KeyHash{keyOf(2), keyOf(3)}, []string{"sshd"}, []config.Selector{"@staff", "bob"}
	whole.Addresses = []config.Network{{Prefix: netip.MustParsePrefix("192.0.2.0/24")}, {Prefix: netip.MustParsePrefix("2001:db8::1/128")}}
	for _, client := range []Client{plain, whole} {
		if err := Save(dir, client); err != nil {
			t.Fatal(err)
		}
		if got, err := Load(dir, client.Client); err != nil || !reflect.DeepEqual(got, client) {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if all, wrong, err := All(dir); len(all) != 2 || len(wrong) != 0 || err != nil {
		t.Errorf("%v, %v, %v", all, wrong, err)
	}
	if !whole.MayAskFor("sshd") || whole.MayAskFor("sudo") || !plain.MayAskFor("sudo") {
		t.Error("services")
	}
	for from, may := range map[string]bool{"192.0.2.7": true, "::ffff:192.0.2.7": true, "198.51.100.1": false, "2001:db8::1": true, "2001:db8::2": false} {
		if addr := netip.MustParseAddr(from); whole.MayComeFrom(addr) != may || !plain.MayComeFrom(addr) {
			t.Errorf("from %s", from)
		}
	}
	if err := Remove(dir, "web1"); err != nil {
		t.Error(err)
	}
	for _, err := range []error{Remove(dir, "web1"), second(Load(dir, "web1"))} {
		if !errors.Is(err, ErrUnknown) {
			t.Error(err)
		}
	}
	for _, name := range []string{"", "../web2", ".web2", "WEB2", "web 2", strings.Repeat("x", 65)} {
		if second(Load(dir, name)) == nil || Remove(dir, name) == nil || Save(dir, Client{Version: 1, Client: name, Keys: plain.Keys, SendsPerHour: 1, PerMinute: 1, Dialogues: 1, WrongCodes: 1}) == nil {
			t.Errorf("the name %q was taken", name)
		}
	}
}

func second(_ Client, err error) error { return err }

func TestParseRefuses(t *testing.T) {
	const good = "version = 1\nclient = 'web1'\nkeys = ['47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=']\n"
	if _, err := Parse("f", "web1", []byte(good)); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"":                                          "f: version: expected 1",
		"version = 2\n":                             "f:1: version: expected 1",
		"version = 1\nclient = 'web2'\n":            `f:2: client: expected "web1"`,
		"version = 1\nclient = 'web1'\n":            "keys: expected the machine's key",
		good + "addresses = []\n":                   "f:4: addresses: the list is empty",
		good + "addresses = ['10.0.0.1/8']":         "host bits",
		good + "services = []\n":                    "services: expected",
		good + "services = ['']\n":                  "services: expected",
		good + "users = []\n":                       "users: the list is empty",
		good + "users = ['@']\n":                    "users",
		good + "sends_per_hour = 0\n":               "sends_per_hour: expected",
		good + "per_minute = 0\n":                   "per_minute: expected",
		good + "dialogues = 1001\n":                 "dialogues: expected",
		good + "wrong_codes = 0\n":                  "wrong_codes: expected",
		good + "send_codes = true\n":                "unknown key",
		strings.Replace(good, "=']", "=', 'x']", 1): "keys",
	} {
		if _, err := Parse("f", "web1", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, expected %q", text, err, want)
		}
	}
}

// The table knows files as they are now, whatever else lies there.
func TestTable(t *testing.T) {
	dir := t.TempDir()
	table := NewTable(dir)
	later := time.Now().Add(time.Hour)
	table.now = func() time.Time { return later }
	client := Default()
	client.Client, client.Keys = "web1", []config.KeyHash{keyOf(1), keyOf(2)}
	expect := func(key byte, want string, wrongs int) {
		t.Helper()
		found, wrong, err := table.Find(keyOf(key))
		if found.Client != want || (err == nil) != (want != "") || len(wrong) != wrongs {
			t.Errorf("key %d: %q, %v, %v", key, found.Client, wrong, err)
		}
	}
	expect(1, "", 0)
	if err := Save(dir, client); err != nil {
		t.Fatal(err)
	}
	expect(1, "web1", 0)
	expect(2, "web1", 0)
	if _, _, err := table.Find(keyOf(9)); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
	// A file that is wrong is nobody's, is told of once, and keeps no other one out.
	for _, name := range []string{"bad.toml", ".hidden.toml", "web2.toml~", "README"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	expect(1, "web1", 1)
	expect(1, "web1", 0)
	// A key that two have is nobody's.
	other := client
	other.Client, other.Keys = "web3", []config.KeyHash{keyOf(2), keyOf(3)}
	if err := Save(dir, other); err != nil {
		t.Fatal(err)
	}
	expect(1, "web1", 0)
	expect(3, "web3", 0)
	if _, _, err := table.Find(keyOf(2)); err == nil || errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "files of web1 and web3") {
		t.Error(err)
	}
	if err := Remove(dir, "web1"); err != nil {
		t.Fatal(err)
	}
	expect(1, "", 0)
	expect(2, "web3", 0)
	testwait.Tick(t, Path(dir, "web3"))
	if err := os.Chmod(Path(dir, "web3"), 0o666); err != nil {
		t.Fatal(err)
	}
	expect(3, "", 1)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, _, err := table.Find(keyOf(3)); err == nil || errors.Is(err, ErrUnknown) {
		t.Errorf("without a directory: %v", err)
	}
}

// What could not be read for a moment is read again, though the file is the same.
func TestReadErrorIsNotKept(t *testing.T) {
	dir := t.TempDir()
	client := Default()
	client.Client, client.Keys = "web1", []config.KeyHash{keyOf(1)}
	if err := Save(dir, client); err != nil {
		t.Fatal(err)
	}
	table := NewTable(dir)
	later := time.Now().Add(time.Hour)
	table.now = func() time.Time { return later }
	load := table.load
	table.load = func(string, string) (Client, error) { return Client{}, errors.New("input/output error") }
	if _, wrong, err := table.Find(keyOf(1)); err == nil || len(wrong) != 1 {
		t.Errorf("%v, %v", wrong, err)
	}
	table.load = load
	if found, _, err := table.Find(keyOf(1)); err != nil || found.Client != "web1" {
		t.Errorf("%+v, %v", found, err)
	}
}

// Whoever is at an address that a file names is known without a key.
func TestLists(t *testing.T) {
	dir := t.TempDir()
	table := NewTable(dir)
	now := time.Now().Add(time.Hour)
	table.now = func() time.Time { return now }
	here, there := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("198.51.100.1")
	if listed, wrong := table.Lists(here); listed || len(wrong) != 0 {
		t.Errorf("%v, %v", listed, wrong)
	}
	anywhere := Default()
	anywhere.Client, anywhere.Keys = "web1", []config.KeyHash{keyOf(1)}
	named := anywhere
	named.Client, named.Keys = "web2", []config.KeyHash{keyOf(2)}
	named.Addresses = []config.Network{{Prefix: netip.MustParsePrefix("192.0.2.0/24")}}
	if err := errors.Join(Save(dir, anywhere), Save(dir, named), os.WriteFile(Path(dir, "web3"), []byte("x"), 0o644)); err != nil {
		t.Fatal(err)
	}
	now = now.Add(lookAgain)
	if listed, wrong := table.Lists(here); !listed || len(wrong) != 1 {
		t.Errorf("%v, %v", listed, wrong)
	}
	if listed, wrong := table.Lists(there); listed || len(wrong) != 0 {
		t.Errorf("%v, %v", listed, wrong)
	}
}
