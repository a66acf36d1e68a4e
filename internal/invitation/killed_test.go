package invitation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/gate/enginetest"
	"github.com/otpgate/otpgate/internal/ledger"
)

const killVariable = "INVITATION_KILL"

// TestKilledAtEveryWrite kills a process before and after each change of the ledger, so
// also between the last one and the secret file. The old device counts until the new one
// does, and whatever is left, a new invitation ends all earlier links and enrolls.
func TestKilledAtEveryWrite(t *testing.T) {
	if words := os.Getenv(killVariable); words != "" {
		workAndDie(t, strings.Fields(words))
		return
	}
	// How many changes of the ledger each makes.
	for what, changes := range map[string]int{"create": 4, "begin": 1, "confirm": 2, "cancel": 2} {
		t.Run(what, func(t *testing.T) {
			for n := 1; ; n++ {
				s := newSite(t)
				lost, _ := s.enroll(t)
				link := s.invite(t, true).Link
				setup := s.begin(t, link)
				s.differ(t, lost, setup)
				killed := s.killAt(t, n, what, link, setup.BrowserSession, s.code(t, setup, 0))
				s.Clock = s.Clock.Add(2 * time.Minute)
				isDone := what == "confirm" && !killed
				if s.devices(t) != "phone" || s.logsIn(s.code(t, lost, 0)) == isDone || s.logsIn(s.code(t, setup, 0)) != isDone {
					t.Errorf("killed at %d: the wrong device counts", n)
				}
				after := s.invite(t, true)
				if page, err := s.Look(t.Context(), link); err != nil || page.State != Cancelled && page.State != Used {
					t.Errorf("killed at %d: the earlier link is %v, %v", n, page.State, err)
				}
				if ready := s.ready(t); ready != 1 {
					t.Errorf("killed at %d: %d links are good", n, ready)
				}
				again := s.begin(t, after.Link)
				s.differ(t, lost, again)
				s.confirm(t, s.answer(t, again))
				if s.devices(t) != "phone" || s.logsIn(s.code(t, lost, 1)) || !s.logsIn(s.code(t, again, 1)) {
					t.Errorf("killed at %d: invited again, the wrong device counts", n)
				}
				if person, err := s.load("alice"); err != nil || len(person.Factors) != 1 {
					t.Errorf("killed at %d: %d factors are left, %v", n, len(person.Factors), err)
				}
				if !killed {
					if n != 2*changes+1 {
						t.Errorf("killed at %d places, expected %d", n-1, 2*changes)
					}
					return
				}
			}
		})
	}
}

func (s *site) ready(t *testing.T) (ready int) {
	t.Helper()
	all, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if one.State == Ready.String() {
			ready++
		}
	}
	return ready
}

// killAt does something in another process, and says whether that was killed.
func (s *site) killAt(t *testing.T, n int, what, link, session, code string) bool {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledAtEveryWrite$")
	words := []string{strconv.Itoa(n), what, s.place().Path, s.state, strconv.FormatInt(s.Clock.UnixNano(), 10), link, session, code}
	cmd.Env = append(os.Environ(), killVariable+"="+strings.Join(words, " "), "GORACE=atexit_sleep_ms=0")
	said, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return true
	}
	if err != nil || !strings.Contains(string(said), "not killed: <nil>") {
		t.Fatalf("%s: %v: %s", what, err, said)
	}
	return false
}

func workAndDie(t *testing.T, words []string) {
	n, errN := strconv.Atoi(words[0])
	clock, errClock := strconv.ParseInt(words[4], 10, 64)
	store, err := ledger.OpenFiles(words[3])
	if err := errors.Join(errN, errClock, err); err != nil {
		t.Fatal(err)
	}
	s := newSite(t)
	s.Clock = time.Unix(0, clock)
	s.People.Config.Paths.Users = words[2]
	s.People.Ledger, s.People.Accounts = &deadly{store, n}, enginetest.Files{Place: gate.PlaceOf(s.People.Config)}
	switch words[1] {
	case "create":
		_, err = s.Create(t.Context(), Wanted{User: "alice", Factor: "phone", Replace: true, For: 3 * day})
	case "begin":
		_, err = s.Begin(t.Context(), words[5], home)
	case "confirm":
		_, err = s.Confirm(t.Context(), Answer{BrowserSession: words[6], First: words[7], Remote: home})
	case "cancel":
		_, err = s.Cancel(t.Context(), "alice")
	}
	fmt.Println("not killed:", err)
}

// deadly is a ledger that kills its process before a change, or after one.
type deadly struct {
	ledger.Store
	left int
}

func (d *deadly) step() {
	if d.left--; d.left == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func (d *deadly) Update(ctx context.Context, key ledger.Key, change func(*ledger.Entry) error) error {
	d.step()
	err := d.Store.Update(ctx, key, change)
	d.step()
	return err
}
