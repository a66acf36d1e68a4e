package main

import (
	"encoding/pem"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/wire"
)

// ask logs alice in with a right code and expects that verdict.
func (r *rig) ask(t *testing.T, alice *person, want wire.Verdict, reason string) {
	t.Helper()
	verdict, told, err := dial(t, r.socket).login(r.start("alice"), alice.code(t))
	if err != nil || verdict != want {
		t.Errorf("verdict %v, %q, %v; want %v", verdict, told, err, want)
	}
	if line := r.log.take(t, 1)[0]; !strings.Contains(line.Rule+" "+line.Reason, reason) {
		t.Errorf("log %+v, want %q", line, reason)
	}
}

// A change of the configuration holds from the next login on, also one that
// leaves size and time of the file as they were.
func TestConfigurationChanges(t *testing.T) {
	r := newRig(t, wide, unhurried)
	alice := r.enroll(t, "alice")
	r.ask(t, alice, wire.Accept, "totp:phone")
	for range 5 {
		r.configure(t, wide+"[policy]\nexempt = [\"alice\"]\n")
		r.ask(t, alice, wire.Ignore, "policy.exempt")
		r.configure(t, wide+"[policy]\nexempt = [\"alicf\"]\n")
		r.ask(t, alice, wire.Accept, "totp:phone")
	}
	r.configure(t, wide+"[policy]\nexmpt = [\"alice\"]\n")
	for range 3 {
		r.ask(t, alice, wire.Fault, "configuration "+r.config+":")
	}
	r.configure(t, wide)
	r.ask(t, alice, wire.Accept, "totp:phone")
	for _, row := range []struct {
		name  string
		spoil func() error
	}{
		{"others may write", func() error { return errors.Join(os.WriteFile(r.config, nil, 0o644), os.Chmod(r.config, 0o666)) }},
		{"gone", func() error { return nil }},
		{"a directory", func() error { return os.Mkdir(r.config, 0o755) }},
		{"a link", func() error {
			return errors.Join(os.WriteFile(r.config+".other", nil, 0o644), os.Symlink(r.config+".other", r.config))
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if err := errors.Join(os.Remove(r.config), row.spoil()); err != nil {
				t.Fatal(err)
			}
			r.ask(t, alice, wire.Fault, r.config+": ")
			if err := os.RemoveAll(r.config); err != nil {
				t.Fatal(err)
			}
			r.configure(t, wide)
			r.ask(t, alice, wire.Accept, "totp:phone")
		})
	}
}

// A file that the configuration names is mended without a change of the
// configuration: that holds from the next login on too.
func TestNamedFileIsMended(t *testing.T) {
	r := newRig(t, wide, unhurried)
	alice := r.enroll(t, "alice")
	password := filepath.Join(r.dir, "password")
	if err := os.WriteFile(password, []byte("secret\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r.configure(t, wide+fmt.Sprintf("[email]\nsmtp = \"smtps://mail.example.com\"\nusername = \"otpgate\"\npassword_file = %q\nfrom = \"otpgate@example.com\"\n", password))
	time.Sleep(2100 * time.Millisecond) // a newer one is read again anyhow
	r.ask(t, alice, wire.Fault, password)
	r.ask(t, alice, wire.Fault, password)
	if err := os.Chmod(password, 0o600); err != nil {
		t.Fatal(err)
	}
	r.ask(t, alice, wire.Accept, "totp:phone")
}

// So it does where that is wrong inside, which keeps a code from being sent and
// denies nobody else.
func TestSenderIsMended(t *testing.T) {
	trusted := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(trusted, []byte("none\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	settings, err := config.Parse("otpgate.toml", fmt.Appendf(nil, "[email]\nsmtp = \"smtps://127.0.0.1:1\"\nca_file = %q\nfrom = \"otpgate@example.com\"\n", trusted))
	if err != nil {
		t.Fatal(err)
	}
	var log records
	sender := (&engines{sink: &log}).sender(settings)
	message := deliver.Message{Channel: deliver.Email, Email: "alice@example.com", Code: "123456"}
	if _, err := sender.Send(t.Context(), message); err == nil || !strings.Contains(err.Error(), trusted) {
		t.Errorf("%v, expected a word on %s", err, trusted)
	}
	if line := log.take(t, 1)[0]; !strings.Contains(line.Reason, trusted) {
		t.Errorf("the log has %+v", line)
	}
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(trusted, certificate, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := sender.Send(t.Context(), message); err == nil || strings.Contains(err.Error(), trusted) {
		t.Errorf("%v, expected that nobody listens", err)
	}
}

// A file that has just changed is read again, and one that has not is kept.
func TestConfigurationIsKept(t *testing.T) {
	r := newRig(t, wide, unhurried)
	info, err := os.Stat(r.config)
	if err != nil {
		t.Fatal(err)
	}
	r.server.engines.now = info.ModTime // however long that was ago
	fresh, err := config.StateOf(r.config)
	if err != nil {
		t.Fatal(err)
	}
	settled, err := config.StateOf(r.config + ".missing")
	if err != nil {
		t.Fatal(err)
	}
	for state, kept := range map[config.State]bool{fresh: false, settled: true} {
		r.server.engines.mu.Lock()
		r.server.engines.load(state, false)
		seen := r.server.engines.seen
		r.server.engines.mu.Unlock()
		if (seen == state) != kept {
			t.Errorf("expected kept %v, found %+v of %+v", kept, seen, state)
		}
	}
}

func TestSecretFileChanges(t *testing.T) {
	r := newRig(t, wide, unhurried)
	alice := r.enroll(t, "alice")
	r.ask(t, alice, wire.Accept, "totp:phone")
	path := filepath.Join(r.users, "alice.toml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		old, new string
		want     wire.Verdict
		reason   string
	}{
		{"enabled = true", "enabled = false", wire.Ignore, ""},
		{"\"phone\"", "\"watch\"", wire.Accept, "totp:watch"},
		{"version = 1", "version = 9", wire.Fault, "secret-file"},
		{"", "", wire.Accept, "totp:phone"},
	} {
		if err := os.WriteFile(path, []byte(strings.Replace(string(text), row.old, row.new, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		r.ask(t, alice, row.want, row.reason)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	r.ask(t, alice, wire.Ignore, "")
}

// A disk that comes late is found.
func TestLedgerIsMended(t *testing.T) {
	r := newRig(t, wide, unhurried)
	alice := r.enroll(t, "alice")
	state := filepath.Join(r.dir, "state")
	if err := os.Chmod(state, 0o777); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r.ask(t, alice, wire.Fault, "ledger")
	}
	if err := os.Chmod(state, 0o700); err != nil {
		t.Fatal(err)
	}
	r.ask(t, alice, wire.Accept, "totp:phone")
	if !strings.Contains(r.figures(t), "otpgate_ledger_errors_total 2\n") {
		t.Errorf("metrics:\n%s", r.figures(t))
	}
}
