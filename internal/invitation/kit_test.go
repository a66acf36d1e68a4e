package invitation

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/gate/enginetest"
	"github.com/otpgate/otpgate/internal/gate/gatetest"
	"github.com/otpgate/otpgate/internal/ledger"
)

const home = "192.0.2.1"

// site is a machine with secret files and a ledger on disk, whose clock tests set.
type site struct {
	Invitations
	*gatetest.Machine
	state string
}

func newSite(t *testing.T) *site {
	t.Helper()
	return newSiteAt(t, t.TempDir())
}

// newSiteInMemory is for many at once, who wait for each other no longer than the lock of
// a secret file is waited for: how long a disk takes is not what is tested.
func newSiteInMemory(t *testing.T) *site {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "otpgate-invitation")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return newSiteAt(t, dir)
}

func newSiteAt(t *testing.T, dir string) *site {
	t.Helper()
	m, engine := enginetest.New(t, dir)
	return &site{Invitations{admin.People{Gate: engine}, rand.Reader}, m, engine.Config.Paths.State}
}

// other is the site once more, as another server with its own secret files.
func (s *site) other(t *testing.T) *site {
	engine := *s.People.Gate
	engine.Config.Paths.Users = filepath.Join(t.TempDir(), "users")
	engine.Accounts = enginetest.Files{Place: gate.PlaceOf(engine.Config)}
	return &site{Invitations{admin.People{Gate: &engine}, rand.Reader}, s.Machine, s.state}
}

func (s *site) invite(t *testing.T, replace bool) Created {
	t.Helper()
	created, err := s.Create(t.Context(), Wanted{User: "alice", Factor: "phone", Replace: replace, For: 3 * day})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func (s *site) begin(t *testing.T, link string) Setup {
	t.Helper()
	setup, err := s.Begin(t.Context(), link, home)
	if err != nil {
		t.Fatal(err)
	}
	return setup
}

// code is what the device of a setup shows steps from now, by an independent library.
func (s *site) code(t *testing.T, setup Setup, steps int) string {
	t.Helper()
	return gatetest.CodeOf(t, setup.URI, s.Clock.Add(time.Duration(steps)*30*time.Second))
}

// differ waits until no code of one device, in all that tests look at, is one of another.
func (s *site) differ(t *testing.T, one, other Setup) {
	t.Helper()
	for {
		codes, same := map[string]bool{}, false
		for steps := -2; steps <= 3; steps++ {
			codes[s.code(t, one, steps)] = true
		}
		for steps := -2; steps <= 3; steps++ {
			same = same || codes[s.code(t, other, steps)]
		}
		if !same {
			return
		}
		s.Clock = s.Clock.Add(30 * time.Second)
	}
}

// wrong is a code that the device does not show now.
func (s *site) wrong(t *testing.T, setup Setup) string {
	return gatetest.Other(s.code(t, setup, -1), s.code(t, setup, 0), s.code(t, setup, 1))
}

func (s *site) answer(t *testing.T, setup Setup) Answer {
	return Answer{BrowserSession: setup.BrowserSession, First: s.code(t, setup, 0), Remote: home}
}

func (s *site) confirm(t *testing.T, answer Answer) Enrolled {
	t.Helper()
	enrolled, err := s.Confirm(t.Context(), answer)
	if err != nil {
		t.Fatal(err)
	}
	return enrolled
}

// enroll gives alice a phone by a link.
func (s *site) enroll(t *testing.T) (Setup, Enrolled) {
	t.Helper()
	setup := s.begin(t, s.invite(t, false).Link)
	enrolled := s.confirm(t, s.answer(t, setup))
	s.Clock = s.Clock.Add(time.Minute)
	return setup, enrolled
}

func (s *site) refused(t *testing.T, answer Answer, want error) {
	t.Helper()
	if _, err := s.Confirm(t.Context(), answer); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func (s *site) looks(t *testing.T, link string, want State) Page {
	t.Helper()
	page, err := s.Look(t.Context(), link)
	if err != nil || page.State != want {
		t.Errorf("looks %v, %v, want %v", page.State, err, want)
	}
	return page
}

// devices are those of alice that count.
func (s *site) devices(t *testing.T) string {
	t.Helper()
	person, err := s.load("alice")
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, f := range person.Confirmed() {
		ids = append(ids, f.ID)
	}
	return strings.Join(ids, " ")
}

// change changes alice's secret file.
func (s *site) change(t *testing.T, change func(*account.Person)) {
	t.Helper()
	enginetest.Change(t, s.People.Gate, "alice", change)
}

// says is a conversation that gives one answer.
type says string

func (s says) Ask(string) (gate.Answer, error) { return gate.Answer{Text: string(s)}, nil }
func (says) Tell(gate.Tone, string)            {}

func (s *site) logsIn(code string) bool {
	verdict := s.People.Login(context.Background(), gate.Request{User: "alice", Service: "sshd", RemoteHost: "198.51.100.7"}, says(code))
	return verdict.Decision == gate.Accept
}

// hooked is a ledger with something that happens before an update of a kind of key.
type hooked struct {
	ledger.Store
	kind ledger.Kind
	hook func() error
}

func (h *hooked) Update(ctx context.Context, key ledger.Key, change func(*ledger.Entry) error) error {
	if key.Kind == h.kind && h.hook != nil {
		hook := h.hook
		h.hook = nil
		if err := hook(); err != nil {
			return err
		}
	}
	return h.Store.Update(ctx, key, change)
}

// everything is the text of all files below a directory.
func everything(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all.WriteString(path + "\n" + string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
