// Package enginetest is what tests of what is above the gate have for an engine: one with
// secret files and a ledger on disk, whose names, log and clock they set.
//
// The entry point is [New]. What is on disk is as in use.
package enginetest

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/gate/gatetest"
	"github.com/otpgate/otpgate/internal/keyring"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/castest"
	"github.com/otpgate/otpgate/internal/otpauth"
)

// Files are secret files on disk, opened anew for each person.
type Files struct{ gate.Place }

// Load implements gate.Accounts.
func (f Files) Load(name string) (account.Person, error) {
	dir, err := f.Open()
	if err != nil {
		return account.Person{}, err
	}
	defer dir.Close()
	return dir.Load(name)
}

// New makes an engine with the usual settings, whose files are users and state in dir.
func New(t testing.TB, dir string) (*gatetest.Machine, *gate.Gate) {
	t.Helper()
	settings := config.Default()
	settings.TOTP.Issuer = "example.com"
	settings.Paths.Users, settings.Paths.State = filepath.Join(dir, "users"), filepath.Join(dir, "state")
	store, err := ledger.OpenFiles(settings.Paths.State)
	if err != nil {
		t.Fatal(err)
	}
	m := gatetest.New()
	return m, &gate.Gate{
		Config: settings, Accounts: Files{gate.PlaceOf(settings)}, Ledger: store, Names: m, Audit: m,
		Now: func() time.Time { return m.Clock },
	}
}

// Change changes somebody's secret file, as an admin does.
func Change(t testing.TB, g *gate.Gate, user string, change func(*account.Person)) {
	t.Helper()
	store, err := gate.PlaceOf(g.Config).Create()
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.Change(user, func(person *account.Person) error { change(person); return nil }); err != nil {
		t.Fatal(err)
	}
}

// DeviceCode is what a device of somebody's shows at a time, by an independent library.
func DeviceCode(t testing.TB, g *gate.Gate, user, id string, at time.Time) string {
	t.Helper()
	person, err := g.Accounts.Load(user)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range person.Factors {
		if f.ID == id {
			return gatetest.CodeOf(t, otpauth.URI("example.com", user, f), at)
		}
	}
	t.Fatalf("%s has no device %q", user, id)
	return ""
}

// InEtcd has the secret files of an engine be in a service that servers share.
func InEtcd(t testing.TB, g *gate.Gate) *castest.Service {
	t.Helper()
	service, socket := castest.Serve(t)
	key := filepath.Join(t.TempDir(), "key")
	_, data := keyring.NewFile()
	if err := os.WriteFile(key, append(data, "# There is a spare copy elsewhere.\n"...), 0o400); err != nil {
		t.Fatal(err)
	}
	g.Config.Secrets.Keys = []string{key}
	g.Config.Ledger = &config.Ledger{Socket: socket, Prefix: castest.Prefix, Timeout: config.Duration{Duration: time.Minute}, People: true}
	g.Config.Paths.State = service.Noted(t)
	g.Accounts = Files{gate.PlaceOf(g.Config)}
	return service
}
