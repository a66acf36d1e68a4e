package main

import (
	"bytes"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/nss"
	"github.com/otpgate/otpgate/internal/testwait"
	"github.com/otpgate/otpgate/internal/wire"
	"github.com/otpgate/otpgate/pam_module/fronts"
)

// installation is a configuration with everything that it names, in a directory that
// others may enter.
type installation struct {
	dir, config, socket, users string
}

func newInstallation(tb testing.TB, parent, text string) *installation {
	tb.Helper()
	dir, err := os.MkdirTemp(parent, "verifierd")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &installation{dir: dir, config: filepath.Join(dir, "otpgate.toml"), socket: filepath.Join(dir, "run", "verifier.sock"), users: filepath.Join(dir, "users")}
	err = errors.Join(os.Chmod(dir, 0o755), os.Mkdir(p.users, 0o700), os.Mkdir(filepath.Join(dir, "state"), 0o700))
	if err != nil {
		tb.Fatal(err)
	}
	p.configure(tb, text)
	return p
}

// configure writes the configuration in place, as an editor may.
func (p *installation) configure(tb testing.TB, text string) {
	tb.Helper()
	paths := fmt.Sprintf("[paths]\nusers = %q\nstate = %q\nsocket = %q\nbreak_glass = %q\n", p.users, filepath.Join(p.dir, "state"), p.socket, p.breakGlass())
	if err := os.WriteFile(p.config, []byte(text+"\n"+paths), 0o644); err != nil {
		tb.Fatal(err)
	}
}

// breakGlass is the directory of the files with break-glass codes.
func (p *installation) breakGlass() string { return filepath.Join(p.dir, "break-glass") }

// wide lets a person's clock be far off, so that there are many codes now.
const wide = "[totp]\nwindow = 10\n[policy.attempts]\nper_window = 1000\nper_source = 100000\n"

// person has a secret file.
type person struct {
	name   string
	secret string
	next   int             // the offset in steps of the next code
	right  map[string]bool // the codes of the hours around, for wrong
}

const period = 300

func (p *installation) enroll(tb testing.TB, name string) *person {
	tb.Helper()
	secret := base32.StdEncoding.EncodeToString([]byte(fmt.Sprintf("%-20.20s", name+" of the tests")))
	text := fmt.Sprintf("version = 1\nuser = %q\nenabled = true\n[[factor]]\nid = \"phone\"\nkind = \"totp\"\nsecret = %q\ndigits = 8\nperiod = %d\nalgorithm = \"SHA1\"\nconfirmed = 2026-01-01T00:00:00Z\n",
		name, strings.TrimRight(secret, "="), period)
	if err := os.WriteFile(filepath.Join(p.users, name+".toml"), []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return &person{name: name, secret: secret, next: -9}
}

// codes is how many a person has with wide; the clock may move on by a step.
const codes = 37

// code returns a right code that has not been used.
func (p *person) code(tb testing.TB) string {
	tb.Helper()
	p.next++
	return p.codeOf(tb, time.Now(), p.next-1)
}

// codeOf is the code that many steps from then.
func (p *person) codeOf(tb testing.TB, then time.Time, steps int) string {
	tb.Helper()
	code, err := totp.GenerateCodeCustom(p.secret, then.Add(time.Duration(steps)*period*time.Second),
		totp.ValidateOpts{Period: period, Digits: otp.DigitsEight, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		tb.Fatal(err)
	}
	return code
}

// wrong returns a code that is none of the person's: of as many as are right one
// drawn at random is right in some run.
func (p *person) wrong(tb testing.TB) string {
	tb.Helper()
	if p.right == nil {
		p.right = map[string]bool{}
		for now, steps := time.Now(), -codes; steps <= codes; steps++ {
			p.right[p.codeOf(tb, now, steps)] = true
		}
	}
	for {
		if code := fmt.Sprintf("%08d", rand.IntN(100_000_000)); !p.right[code] {
			return code
		}
	}
}

// patience is for what should come at once. It is long because the processors
// may be busy.
const patience = 2 * time.Minute

// records is a log that can be read.
type records struct {
	// before, if a test sets it, is done with each line first. It may wait.
	before atomic.Pointer[func(audit.Record)]

	mu  sync.Mutex
	all []audit.Record
}

func (r *records) Write(record audit.Record) {
	if before := r.before.Load(); before != nil {
		(*before)(record)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, record)
}

// take returns what was logged since the last call, waiting for want lines.
func (r *records) take(tb testing.TB, want int) []audit.Record {
	tb.Helper()
	testwait.Until(tb, fmt.Sprintf("%d lines in the log", want), func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.all) >= want
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.all
	r.all = nil
	if len(all) != want {
		tb.Errorf("%d lines in the log, want %d: %+v", len(all), want, all)
	}
	return all
}

// rig is a server of this process. uid 1000 is alice's there, and 1001 bob's.
type rig struct {
	*installation
	server *server
	log    *records
	fronts *fronts.Acceptors
	names  nameService
}

// nameService knows a few people by uid and by name.
type nameService struct {
	// ids and accounts, if a test sets them, are asked first, with the uid or the
	// name. They may wait.
	ids, accounts atomic.Pointer[func(string) error]
}

var uidsOfTheTests = map[string]uint32{"root": 0, "daemon": 1, "www-data": 33, "alice": alicesUID, "bob": bobsUID, "nobody": 65534, portalUser: portalUID}

func (n *nameService) UserByName(name string) (nss.User, bool, error) {
	if before := n.accounts.Load(); before != nil {
		err := (*before)(name)
		if errors.Is(err, nss.ErrUnknownUser) {
			return nss.User{}, false, nil
		}
		if err != nil {
			return nss.User{}, false, err
		}
	}
	uid, found := uidsOfTheTests[name]
	return nss.User{Name: name, UID: uid}, found, nil
}

func (n *nameService) UserByID(uid uint32) (nss.User, bool, error) {
	if before := n.ids.Load(); before != nil {
		if err := (*before)(fmt.Sprint(uid)); err != nil {
			return nss.User{}, false, err
		}
	}
	for name, id := range uidsOfTheTests {
		if id == uid && id != 1 {
			return nss.User{Name: name, UID: uid}, true, nil
		}
	}
	return nss.User{}, false, nil
}

const alicesUID, bobsUID, rootUID, portalUID = 1000, 1001, 0, 997

func newRig(tb testing.TB, text string, limits limits) *rig {
	tb.Helper()
	return newRigIn(tb, "", text, limits)
}

func newRigIn(tb testing.TB, parent, text string, limits limits) *rig {
	tb.Helper()
	r := &rig{installation: newInstallation(tb, parent, text), log: &records{}}
	sink := counting{Sink: r.log, metrics: newMetrics()}
	who := &directory{self: uint32(os.Geteuid()), names: &r.names}
	engines := newEngines(r.config, sink, &r.names)
	if err := engines.reload(); err != nil {
		tb.Fatal(err)
	}
	r.server = newServer(engines, who, sink, limits)
	listener, err := fronts.ListenAt(r.socket)
	if err != nil {
		tb.Fatal(err)
	}
	if r.fronts, err = r.server.serve(listener); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = r.fronts.Close() })
	return r
}

// settled waits until all who have connected so far are gone. They are taken in turn:
// all have been once one more is answered, who asks for another configuration, so that
// nothing is kept of it.
func (r *rig) settled(tb testing.TB) {
	tb.Helper()
	conn, start := dial(tb, r.socket), r.start("alice")
	start.Config = "/another.toml"
	if err := wire.WriteStart(conn, start); err != nil {
		tb.Fatal(err)
	}
	if said, err := io.ReadAll(conn); len(said) > 0 || err != nil {
		tb.Fatalf("who asks for another configuration is told %q, %v", said, err)
	}
	_ = conn.Close()
	testwait.Until(tb, "the end of all", func() bool {
		r.server.admission.mu.Lock()
		defer r.server.admission.mu.Unlock()
		return r.server.admission.open == 0
	})
}

// stopClock has the bounds of a minute, on dialogues and lines of the log, go by a
// clock that stands at that time.
func (r *rig) stopClock(at time.Time) {
	r.server.admission.mu.Lock()
	defer r.server.admission.mu.Unlock()
	r.server.admission.now = func() time.Time { return at }
}

// unending is for dialogues that are not to end by their time: the test's own ends of
// the connections give up before that.
const unending = 2 * patience

// start is alice's login, as a front opens it.
func (p *installation) start(user string) wire.Start {
	return wire.Start{User: user, Service: "sshd", Config: p.config, Timeout: unending}
}

// figures is what the metrics say.
func (r *rig) figures(tb testing.TB) string {
	tb.Helper()
	var out bytes.Buffer
	if err := r.server.sink.metrics.write(&out); err != nil {
		tb.Fatal(err)
	}
	return out.String()
}
