package ledgermove

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
)

// The environment of a process that is to die at a step of a move.
const (
	killStep     = "LEDGERMOVE_KILL_STEP"
	killAt       = "LEDGERMOVE_KILL_AT" // how often the step is reached first
	killUndo     = "LEDGERMOVE_KILL_UNDO"
	killDir      = "LEDGERMOVE_KILL_DIR"
	killSettings = "LEDGERMOVE_KILL_SETTINGS"
)

func dieAtStep() int {
	s := site{dir: os.Getenv(killDir)}
	err := json.Unmarshal([]byte(os.Getenv(killSettings)), &s.settings)
	if err == nil {
		s.shared, err = etcdledger.Open(s.settings)
	}
	left := 0
	if err == nil {
		_, err = fmt.Sscan(os.Getenv(killAt), &left)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	m := s.move()
	var reached atomic.Int32
	m.at = func(step string) {
		if step == os.Getenv(killStep) && int(reached.Add(1)) == left {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	}
	if os.Getenv(killUndo) != "" {
		_, err = m.Undo(context.Background())
	} else {
		_, err = m.Run(context.Background())
	}
	fmt.Println("not killed:", err)
	return 1
}

// killed runs the move, or its undoing, in a process that dies at a step.
func (s *site) killed(t *testing.T, step string, at int, undo bool) {
	t.Helper()
	settings, err := json.Marshal(s.settings)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killStep+"="+step, fmt.Sprintf("%s=%d", killAt, at), killDir+"="+s.dir, killSettings+"="+string(settings))
	if undo {
		cmd.Env = append(cmd.Env, killUndo+"=1")
	}
	output, err := cmd.CombinedOutput()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("%s: %v: %s", step, err, output)
	}
}

// Wherever a move is killed, no code is good twice: neither one that was used before, nor
// one that is tried in both ledgers afterwards. Then the move goes on, or is taken back.
func TestKilledAtEveryStep(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	for _, kill := range []struct {
		step string
		at   int
	}{{"compared", 1}, {"begun", 1}, {"copied", 1}, {"copied", 9}, {"taken", 1}, {"taken", 9}, {"all taken", 1}, {"ended", 1}, {"done", 1}} {
		for _, then := range []string{"goes on", "is taken back", "is taken back, killed again", "is half taken back, goes on"} {
			name := fmt.Sprintf("%s %d, %s", kill.step, kill.at, then)
			s := newSite(t, cluster)
			names := s.people(t, 20)
			s.killed(t, kill.step, kill.at, false)
			accepted := s.tried(t, name, names)
			moved, begun, err := ledger.ReadMoved(s.dir)
			switch {
			case err != nil:
				t.Fatal(err)
			case !begun || then == "goes on":
			case kill.step == "ended" || moved.Done:
				if _, err := s.move().Undo(t.Context()); err == nil {
					t.Errorf("%s: all is in etcd, and it was taken back", name)
				}
			default:
				s.takenBack(t, name, then, names, accepted)
			}
			s.run(t)
			for user, in := range s.tried(t, name, names) {
				if accepted[user] += in; accepted[user] != 1 {
					t.Errorf("%s: the code of %s was accepted %d times", name, user, accepted[user])
				}
			}
		}
	}
}

// takenBack has a move taken back, perhaps by a process that is killed. Once it is whole
// everybody has got in once.
func (s *site) takenBack(t *testing.T, name, then string, names []string, accepted map[string]int) {
	t.Helper()
	if then != "is taken back" {
		s.killed(t, "undone", 9, true)
	}
	whole := then != "is half taken back, goes on"
	if whole {
		s.undo(t)
	}
	for user, in := range s.tried(t, name, names) {
		if accepted[user] += in; whole && accepted[user] != 1 {
			t.Errorf("%s: after that the code of %s was accepted %d times", name, user, accepted[user])
		}
	}
}

// tried tries a used code and a new one of each person, in a program that has gone on
// running and in ones that were started since, and says how often the new one got in.
func (s *site) tried(t *testing.T, name string, names []string) (accepted map[string]int) {
	t.Helper()
	accepted = map[string]int{}
	for _, user := range names {
		started := func(user string, code int64) error {
			files, err := ledger.OpenFiles(s.dir)
			if err == nil {
				err = login(files, user, code)
			}
			return err
		}
		running := func(user string, code int64) error { return login(s.files, user, code) }
		for i, try := range []func(string, int64) error{running, started, s.restarted} {
			if err := try(user, 1); err == nil {
				t.Errorf("%s: way %d: a used code of %s was accepted", name, i, user)
			}
			if try(user, 2) == nil {
				accepted[user]++
			}
		}
	}
	return accepted
}
