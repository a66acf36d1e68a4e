package gate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/account/casaccount"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/keyring"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
	"github.com/otpgate/otpgate/internal/ledger/ledgersocket"
)

// Open makes a gate of what is on this machine. configPath is as for
// config.Load. The directories are opened at the login that needs them, so
// that the policy can decide without them. Codes are sent by another program;
// who links what speaks to the network sets another Sender.
func Open(configPath string, sink audit.Sink) (*Gate, error) {
	settings, err := config.Load(configPath)
	if err != nil {
		return nil, err
	}
	var sender deliver.Sender
	if settings.Email != nil || settings.SMS != nil {
		sender = deliver.Program{Path: settings.Paths.Sender, Config: configPath}
	}
	host, _ := os.Hostname() // without a name it is shown as none
	return &Gate{
		Host:     host,
		Sender:   sender,
		Config:   settings,
		Accounts: keyedFiles{userFiles{PlaceOf(settings)}, configPath},
		Ledger:   &lateLedger{open: func() (ledger.Store, error) { return OpenLedger(settings) }},
		Names:    System{},
		Audit:    sink,
		Now:      time.Now,

		Elsewhere: elsewhereOf(settings, askElsewhereFor),
	}, nil
}

// askElsewhereFor is how long a login waits at most to be told whether people are in etcd.
const askElsewhereFor = time.Second

// elsewhereOf asks whether other servers have people in the ledger that a configuration shares
// with them. What the answer is worth is looked at as with people there: another place than
// the one that this machine's ledger went to knows nothing of them.
func elsewhereOf(settings config.Config, within time.Duration) func(ctx context.Context) (bool, error) {
	if settings.Ledger == nil || settings.Ledger.People {
		return nil
	}
	state, prefix := settings.Paths.State, settings.Ledger.Prefix
	shared := SharedLedger(*settings.Ledger)
	shared.After(state)
	texts := &casledger.ForLogins{Ask: shared.KnownTexts, Within: within, Now: time.Now}
	return func(ctx context.Context) (bool, error) {
		if err := ledger.CheckPrefix(state, prefix); err != nil {
			return false, err
		}
		return texts.Any(ctx)
	}
}

// OpenLedger gives the ledger of a configuration, if it is the one that counts: not
// files that were moved to etcd, not etcd beside files that were not, and not another etcd
// than the one that has what they knew.
func OpenLedger(settings config.Config) (ledger.Store, error) {
	if settings.Ledger == nil {
		return ledger.OpenFiles(settings.Paths.State)
	}
	if err := ledger.CheckLeft(settings.Paths.State, settings.Ledger.Prefix); err != nil {
		return nil, err
	}
	store := SharedLedger(*settings.Ledger)
	store.After(settings.Paths.State)
	return store, nil
}

// SharedLedger gives the ledger that servers share, to look at it or to move another one
// there, whether it counts here yet or not.
func SharedLedger(settings config.Ledger) *casledger.Store {
	return casledger.New(ledgersocket.Client{Path: settings.Socket}, casledger.LimitsOf(settings.Timeout.Duration))
}

// Close releases what Open opened.
func (g *Gate) Close() error { return g.Ledger.Close() }

// Place is where the secret files of a configuration are, and how they are read and
// written there.
type Place struct {
	account.Place
	// shared is the ledger that they are in, nil if they are in a directory.
	shared *casledger.Store
	prefix string
	state  string // where this machine notes where its ledger is
}

// PlaceOf is the place that the settings name.
func PlaceOf(settings config.Config) Place {
	p := Place{Place: account.PlaceOf(settings)}
	if l := settings.Ledger; l != nil && l.People {
		p.shared, p.prefix, p.state = SharedLedger(*l), l.Prefix, settings.Paths.State
		p.shared.After(p.state)
		p.Former, p.Path, p.Required, p.Away = p.Path, casaccount.Path(l.Prefix), true, true
	}
	return p
}

// Open opens the store. It is an error if there is no directory, or if it is not known
// that etcd is the one that counts here: that must not look like nobody having enrolled.
func (p Place) Open() (account.Store, error) {
	if p.shared != nil {
		return p.openShared()
	}
	return asStore(p.Place.Open())
}

// Create is Open for what writes: it makes the directory if it is missing.
func (p Place) Create() (account.Store, error) {
	if p.shared != nil {
		return p.openShared()
	}
	return asStore(p.Place.Create())
}

func (p Place) openShared() (account.Store, error) {
	if err := ledger.CheckNoted(p.state, p.prefix); err != nil {
		return nil, fmt.Errorf("secret files in %s: %w", p.Path, err)
	}
	return casaccount.New(p.Place, p.shared, p.prefix), nil
}

// asStore keeps an error from coming with a store that is none.
func asStore(dir *account.Dir, err error) (account.Store, error) {
	if err != nil {
		return nil, err
	}
	return dir, nil
}

// Reload is Open and Load for somebody loaded before, and does not read again a file that
// has not changed.
func (p Place) Reload(known account.Person) (account.Person, error) {
	if p.shared == nil {
		return p.Place.Reload(known)
	}
	store, err := p.Open()
	if err != nil {
		return account.Person{}, err
	}
	defer store.Close()
	return store.Load(known.User)
}

// userFiles opens the store of secret files anew for each person, so that a directory may
// be replaced while a gate is open.
type userFiles struct{ place Place }

func (u userFiles) Load(name string) (account.Person, error) {
	dir, err := u.place.Open()
	if err != nil {
		return account.Person{}, err
	}
	defer dir.Close()
	return dir.Load(name)
}

// Like implements liker.
func (u userFiles) Like(name string) ([]string, error) {
	dir, err := u.place.Open()
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Like(name)
}

// Reload implements reloader.
func (u userFiles) Reload(known account.Person) (account.Person, error) {
	return u.place.Reload(known)
}

// keyedFiles are userFiles whose keys may be changed while somebody types a code.
type keyedFiles struct {
	userFiles
	configPath string
}

// Reload implements reloader. A key that was not there when the login began may be
// named in the configuration by now, and the secrets be encrypted with it.
func (k keyedFiles) Reload(known account.Person) (account.Person, error) {
	person, err := k.userFiles.Reload(known)
	if err != nil || !errors.Is(person.Unreadable(), keyring.ErrNoKey) {
		return person, err
	}
	settings, err := config.Load(k.configPath)
	if err != nil {
		return person, nil // why the secret cannot be read is told
	}
	place := k.place
	place.Keys = PlaceOf(settings).Keys
	return place.Reload(person)
}

// lateLedger opens the ledger at its first use, and tries again at the next
// one if it could not: a gate may outlive what is wrong with the disk.
type lateLedger struct {
	open  func() (ledger.Store, error)
	mu    sync.Mutex
	store ledger.Store
}

func (l *lateLedger) get() (ledger.Store, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.store != nil {
		return l.store, nil
	}
	store, err := l.open()
	if err == nil {
		l.store = store
	}
	return store, err
}

// View implements ledger.Store.
func (l *lateLedger) View(ctx context.Context, key ledger.Key) (ledger.Entry, error) {
	store, err := l.get()
	if err != nil {
		return ledger.Entry{}, err
	}
	return store.View(ctx, key)
}

// ViewAhead implements ledger.Ahead.
func (l *lateLedger) ViewAhead(ctx context.Context, keys ...ledger.Key) func(i int) (ledger.Entry, error) {
	store, err := l.get()
	if err != nil {
		return func(int) (ledger.Entry, error) { return ledger.Entry{}, err }
	}
	return ledger.Views(ctx, store, keys...)
}

// Update implements ledger.Store.
func (l *lateLedger) Update(ctx context.Context, key ledger.Key, change func(*ledger.Entry) error) error {
	store, err := l.get()
	if err != nil {
		return err
	}
	return store.Update(ctx, key, change)
}

// ID implements ledger.Identified.
func (l *lateLedger) ID(ctx context.Context) (string, error) {
	store, err := l.get()
	if err != nil {
		return "", err
	}
	identified, can := store.(ledger.Identified)
	if !can {
		return "", errors.New("the ledger has no id")
	}
	return identified.ID(ctx)
}

// Close implements ledger.Store.
func (l *lateLedger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.store == nil {
		return nil
	}
	return l.store.Close()
}
