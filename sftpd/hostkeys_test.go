package main

import (
	"crypto/rsa"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/internal/config"
)

func kindsOf(keys []hostKey) (kinds []string) {
	for _, key := range keys {
		kinds = append(kinds, key.signer.PublicKey().Type())
	}
	return kinds
}

// A first start has a key of each kind, the one that takes long afterwards; what
// is there stays as it is.
func TestHostKeysAreMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sftpd")
	paths := []string{dir + "/ssh_host_ed25519_key", dir + "/ssh_host_ecdsa_key", dir + "/ssh_host_rsa_key"}
	first, err := loadHostKeys(paths, true)
	if err != nil || !first.later || len(first.problems) != 0 || !slices.Equal(kindsOf(first.keys), []string{"ssh-ed25519", "ecdsa-sha2-nistp256"}) {
		t.Fatalf("%v, later %v, %v, %v", kindsOf(first.keys), first.later, first.problems, err)
	}
	all, err := loadHostKeys(paths, false)
	if err != nil || all.later || !slices.Equal(kindsOf(all.keys), []string{"ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"}) {
		t.Fatalf("%v, later %v, %v", kindsOf(all.keys), all.later, err)
	}
	again, err := loadHostKeys(paths, true)
	if err != nil || again.later {
		t.Fatalf("later %v, %v", again.later, err)
	}
	for i, path := range paths {
		if !slices.Equal(all.keys[i].public, again.keys[i].public) || i < 2 && !slices.Equal(all.keys[i].public, first.keys[i].public) {
			t.Errorf("%s has changed", path)
		}
		text, err := os.ReadFile(path + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		public, _, _, _, err := ssh.ParseAuthorizedKey(text)
		if err != nil || !slices.Equal(public.Marshal(), all.keys[i].public) {
			t.Errorf("%s.pub: %v", path, err)
		}
		for name, mode := range map[string]os.FileMode{path: 0o600, path + ".pub": 0o644} {
			if info, err := os.Stat(name); err != nil || info.Mode() != mode {
				t.Errorf("%s: %v, %v", name, info, err)
			}
		}
	}
	public := all.keys[2].signer.PublicKey().(ssh.CryptoPublicKey).CryptoPublicKey().(*rsa.PublicKey)
	if public.N.BitLen() != 3072 {
		t.Errorf("RSA of %d bits", public.N.BitLen())
	}
}

// Where there is no other key, nobody could connect until it is there.
func TestSlowKeyAlone(t *testing.T) {
	found, err := loadHostKeys([]string{filepath.Join(t.TempDir(), "ssh_host_rsa_key")}, true)
	if err != nil || found.later || len(found.keys) != 1 {
		t.Errorf("%v, later %v, %v", kindsOf(found.keys), found.later, err)
	}
}

// A place that cannot be written stops no server that has another key; one that
// has none does not start, and neither does one whose list has a slip.
func TestHostKeysThatCannotBeMade(t *testing.T) {
	good, nowhere := filepath.Join(t.TempDir(), "ssh_host_ed25519_key"), filepath.Join(t.TempDir(), "not/there/ssh_host_ecdsa_key")
	found, err := loadHostKeys([]string{good, nowhere}, true)
	if err != nil || len(found.keys) != 1 || len(found.problems) != 1 || !strings.Contains(found.problems[0].Error(), nowhere) {
		t.Errorf("%v, %v, %v", kindsOf(found.keys), found.problems, err)
	}
	if _, err := loadHostKeys([]string{nowhere}, true); err == nil || !strings.Contains(err.Error(), "sftp.host_keys: make "+nowhere) {
		t.Errorf("no key at all: %v", err)
	}
	slip := filepath.Join(filepath.Dir(good), "ssh_host_rsa")
	if _, err := loadHostKeys([]string{good, slip}, true); err == nil || !strings.Contains(err.Error(), slip+" is missing; only ssh_host_ed25519_key,") {
		t.Errorf("a name that says nothing: %v", err)
	}
	if err := os.WriteFile(slip, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadHostKeys([]string{good, slip}, true); err == nil || !strings.Contains(err.Error(), slip+": expected a private key") {
		t.Errorf("no key in a file: %v", err)
	}
	broken := filepath.Join(filepath.Dir(good), "ssh_host_rsa_key")
	if err := os.WriteFile(broken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadHostKeys([]string{good, broken}, true); err == nil || !strings.Contains(err.Error(), broken+": expected a private key") {
		t.Errorf("an empty file: %v", err)
	}
}

// The key that takes long is taken for connections from then on, unless the
// configuration names other files by then.
func TestSlowKeyIsTaken(t *testing.T) {
	b := testBroker(t, "")
	dir := t.TempDir()
	b.engine.Config.SFTP.HostKeys, b.engine.Config.SFTP.HostKeysNamed = []string{dir + "/ssh_host_ed25519_key", dir + "/ssh_host_rsa_key"}, true
	later, err := b.openHostKeys()
	if err != nil || !later || len(b.keys) != 1 {
		t.Fatalf("later %v, %d keys, %v", later, len(b.keys), err)
	}
	if b.takeSlowKeys([]string{"/another/ssh_host_rsa_key"}, nil) || len(b.keys) != 1 {
		t.Error("keys of other files were taken")
	}
	b.makeSlowKeys()
	if want := []string{"ssh-ed25519", "ssh-rsa"}; !slices.Equal(kindsOf(b.keys), want) {
		t.Errorf("expected %v, found %v", want, kindsOf(b.keys))
	}
	settings, _ := b.frontSettings()
	if len(settings.HostKeys) != 2 {
		t.Errorf("fronts are told of %d keys", len(settings.HostKeys))
	}
}

// A server that had an ed25519 key alone keeps that alone: rclone, as all that
// is written with Go's library, prefers ECDSA and RSA and calls a mismatch what
// it has another key of. Whoever names the files, or has made one, gets them all.
func TestHostKeysOfAnOldInstallation(t *testing.T) {
	dir := t.TempDir()
	settings := config.SFTP{HostKeys: []string{dir + "/ssh_host_rsa_key", dir + "/ssh_host_ecdsa_key", dir + "/ssh_host_ed25519_key"}}
	expect := func(when string, want ...string) {
		t.Helper()
		found := hostKeyFiles(settings)
		for i := range found {
			found[i] = strings.TrimSuffix(strings.TrimPrefix(filepath.Base(found[i]), "ssh_host_"), "_key")
		}
		if !slices.Equal(found, want) {
			t.Errorf("%s: expected %v, found %v", when, want, found)
		}
	}
	for i, path := range settings.HostKeys {
		if want := config.Default().SFTP.HostKeys[i]; filepath.Base(want) != filepath.Base(path) {
			t.Errorf("the default list has %s, expected %s in this place", want, path)
		}
	}
	kept := slices.Clone(settings.HostKeys)
	fresh := func() { settings.HostKeys = slices.Clone(kept) }
	expect("a first start", "rsa", "ecdsa", "ed25519")
	fresh()
	if _, err := loadHostKeys(kept[2:], true); err != nil {
		t.Fatal(err)
	}
	expect("an old installation", "ed25519")
	settings.HostKeysNamed = true
	expect("an old installation whose list is its own", "rsa", "ecdsa", "ed25519")
	settings.HostKeysNamed = false
	fresh()
	if _, err := loadHostKeys(kept[1:2], true); err != nil {
		t.Fatal(err)
	}
	expect("one that ssh-keygen made a key for", "rsa", "ecdsa", "ed25519")
	fresh()
	if err := os.Remove(kept[2]); err != nil {
		t.Fatal(err)
	}
	expect("a first start that was cut off", "rsa", "ecdsa", "ed25519")
}
