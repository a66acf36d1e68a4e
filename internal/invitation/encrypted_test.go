package invitation

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/gate/enginetest"
	"github.com/otpgate/otpgate/internal/keyring"
)

// Where secrets are encrypted, so is what a browser was shown and has not confirmed.
// Without the key nobody is invited to what could not be written.
func TestEncryptedSecrets(t *testing.T) {
	s := newSite(t)
	path := filepath.Join(t.TempDir(), "key")
	_, data := keyring.NewFile()
	if err := os.WriteFile(path, data, 0o400); err != nil {
		t.Fatal(err)
	}
	s.People.Config.Secrets.Keys = []string{path}
	s.People.Accounts = enginetest.Files{Place: s.place()}
	link := s.invite(t, false).Link
	setup := s.begin(t, link)
	shown := strings.ReplaceAll(setup.Key, " ", "")
	if text := everything(t, s.place().Path); strings.Contains(text, shown) || !strings.Contains(text, "phone") {
		t.Error("the key that was shown is not encrypted")
	}
	if err := os.Rename(path, path+".gone"); err != nil {
		t.Fatal(err)
	}
	s.People.Accounts = enginetest.Files{Place: s.place()} // the keys that were read are kept
	if _, err := s.Create(t.Context(), Wanted{User: "bob", Factor: "phone", For: day}); err == nil {
		t.Error("bob is invited")
	}
	if _, err := s.Confirm(t.Context(), s.answer(t, setup)); err == nil || s.devices(t) != "" {
		t.Errorf("confirmed without the key: %v", err)
	}
	s.looks(t, link, Ready)
	if err := os.Rename(path+".gone", path); err != nil {
		t.Fatal(err)
	}
	s.confirm(t, s.answer(t, setup))
	if text := everything(t, s.place().Path); strings.Contains(text, shown) || s.devices(t) != "phone" {
		t.Error("the key that counts is not encrypted")
	}
}
