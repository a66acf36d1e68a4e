package accounttest

import (
	"errors"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/otpgate/otpgate/internal/account"
)

// atOnce is how many change the same file. The lock of a directory is waited for no longer
// than some seconds, on a busy machine too.
const atOnce = 4

// Of those who enroll the same person at once, one does.
func oneCreates(t *testing.T, s suite) {
	there := errors.New("there is a device already")
	const rounds = 10
	for round := range rounds {
		name := "user" + string(rune('a'+round))
		var won, lost atomic.Int32
		var all sync.WaitGroup
		for range atOnce {
			store := s.store(t)
			all.Go(func() {
				err := until(store, name, func(p *account.Person) error {
					if len(p.Factors) > 0 {
						return there
					}
					p.Factors = []account.Factor{phone(name, "phone")}
					return nil
				})
				switch {
				case err == nil:
					won.Add(1)
				case errors.Is(err, there):
					lost.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 || lost.Load() != atOnce-1 {
			t.Errorf("%d enrolled and %d did not", won.Load(), lost.Load())
		}
		wantPhone(t, s.store(t), name, name)
	}
}

// wantCodes says how many recovery codes alice has, and that all differ.
func wantCodes(t *testing.T, store account.Store, want int) {
	t.Helper()
	seen := map[string]bool{}
	for _, hash := range mustLoad(t, store, "alice").Recovery.Hashes {
		seen[hash] = true
	}
	if len(seen) != want {
		t.Errorf("%d recovery codes, want %d", len(seen), want)
	}
}

func allChangesHold(t *testing.T, s suite) {
	enroll(t, s.store(t), "alice")
	var all sync.WaitGroup
	for range atOnce {
		store := s.store(t)
		all.Go(func() {
			for range perWorker {
				if err := until(store, "alice", another); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	wantCodes(t, s.store(t), atOnce*perWorker)
}

func allChangesHoldAcrossProcesses(t *testing.T, s suite) {
	enroll(t, s.store(t), "alice")
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			cmd, output := s.worker("add")
			if err := cmd.Run(); err != nil {
				t.Errorf("%v: %s", err, output)
			}
		})
	}
	all.Wait()
	wantCodes(t, s.store(t), atOnce*perWorker)
}

// Whoever reads while others write finds the file as it was or as it is.
func readersSeeOldOrNew(t *testing.T, s suite) {
	writing := s.store(t)
	enroll(t, writing, "alice")
	var ended atomic.Bool
	var all sync.WaitGroup
	for range 2 {
		reading := s.store(t)
		all.Go(func() {
			for before := 0; !ended.Load(); {
				person, err := reading.Load("alice")
				if err == nil {
					err = person.Unreadable()
				}
				now := len(person.Recovery.Hashes)
				if err != nil || len(person.Factors) != 1 || now < before {
					t.Errorf("%d recovery codes after %d: %v", now, before, err)
					return
				}
				before = now
			}
		})
	}
	for range 50 {
		mustChange(t, writing, "alice", another)
	}
	ended.Store(true)
	all.Wait()
}

// killed runs a worker that dies in its work.
func (s suite) killed(t *testing.T, what string) {
	t.Helper()
	cmd, output := s.worker(what)
	err := cmd.Run()
	if ended, ok := errors.AsType[*exec.ExitError](err); !ok || ended.Exited() {
		t.Fatalf("not killed: %v: %s", err, output)
	}
}

func killedInChange(t *testing.T, s suite) {
	store := s.store(t)
	enroll(t, store, "alice")
	s.killed(t, "die in change")
	wantPhone(t, store, "alice", "alice")
	mustChange(t, store, "alice", another)
}
