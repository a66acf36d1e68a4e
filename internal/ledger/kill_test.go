package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/otpgate/otpgate/internal/ledger"
)

// The environment of a process that is to die at a step of a write.
const (
	killVariable = "LEDGER_KILL_DIR"
	stepVariable = "LEDGER_KILL_STEP"
	sizeVariable = "LEDGER_KILL_LARGE"
)

var alice = ledger.Key{Kind: ledger.User, Name: "alice"}

func addOne(entry *ledger.Entry) error {
	entry.Attempts.Wrong++
	return nil
}

// addLarge is addOne with an entry that needs larger slots.
func addLarge(entry *ledger.Entry) error {
	entry.UsedHashes = []string{strings.Repeat("x", 10_000)}
	return addOne(entry)
}

// tornSlot is the step at which half of the new slot has reached the file.
const tornSlot = "slot torn"

// dieAtStep makes one Update and kills the process on the way.
func dieAtStep(dir string) int {
	files, err := ledger.OpenFiles(dir)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	wanted := os.Getenv(stepVariable)
	files.SetFault(func(step string) error {
		if wanted == tornSlot && step == "slot locked" {
			return errors.Join(tearSlot(filepath.Join(dir, "users", "alice")), syscall.Kill(os.Getpid(), syscall.SIGKILL))
		}
		if step == wanted {
			return syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		return nil
	})
	change := addOne
	if os.Getenv(sizeVariable) != "" {
		change = addLarge
	}
	fmt.Println("not killed:", files.Update(context.Background(), alice, change))
	return 1
}

// tearSlot overwrites the middle of the header of the older slot, as a write
// would that stopped there. In all these tests the newer slot has an odd
// number, so the older one is the first.
func tearSlot(path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteAt([]byte(strings.Repeat("torn", 10)), 24)
	return errors.Join(err, file.Close())
}

var (
	makeSteps  = []string{"temporary opened", "temporary sized", "temporary written", "temporary synced", "renamed", "directories synced"}
	writeSteps = []string{"slot locked", tornSlot, "slot written"}
)

// TestKilledAtEveryStep kills a process at each step of a write. What is left
// is the old entry or the new one, the store goes on working, and the remains
// of the killed process do not pile up.
func TestKilledAtEveryStep(t *testing.T) {
	tests := []struct {
		name   string
		before int // Updates that went well
		large  bool
		steps  []string
	}{
		{"create", 0, false, append(makeSteps, writeSteps...)},
		{"create large", 0, true, append(makeSteps, writeSteps...)},
		{"update", 2, false, writeSteps},
		{"grow", 2, true, append(makeSteps, writeSteps...)},
	}
	for _, test := range tests {
		for _, step := range test.steps {
			t.Run(test.name+"/"+step, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				store := newStore(t, dir)
				for range test.before {
					update(t, store, alice, addOne)
				}
				want := test.before
				for range 2 {
					want += killAt(t, dir, step, test.large)
					if got := wrong(t, store, alice); got != want {
						t.Errorf("entry %d after the kill, expected %d", got, want)
					}
				}
				update(t, store, alice, addLarge)
				if got := wrong(t, newStore(t, dir), alice); got != want+1 {
					t.Errorf("entry %d after the next update, expected %d", got, want+1)
				}
				if names := list(t, filepath.Join(dir, "users")); len(names) != 1 {
					t.Errorf("files %q, expected alice alone", names)
				}
			})
		}
	}
}

// killAt gives by how much the entry is to be ahead afterwards.
func killAt(t *testing.T, dir, step string, large bool) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killVariable+"="+dir, stepVariable+"="+step)
	if large {
		cmd.Env = append(cmd.Env, sizeVariable+"=1")
	}
	output, err := cmd.CombinedOutput()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if ok && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		if step == "slot written" {
			return 1
		}
		return 0
	}
	// The first kill may have left the second nothing to do at this step.
	if !strings.Contains(string(output), "not killed: <nil>") {
		t.Fatalf("child: %v: %s", err, output)
	}
	return 1
}

// TestFailedAtEveryStep has each step fail instead: the error comes out, the
// old entry stays, and no file is left behind.
func TestFailedAtEveryStep(t *testing.T) {
	errFault := errors.New("fault")
	for _, before := range []int{0, 2} {
		for _, step := range append(makeSteps, "slot locked", "slot written") {
			if before > 0 && step == "directories synced" {
				continue
			}
			t.Run(fmt.Sprintf("%d/%s", before, step), func(t *testing.T) {
				dir := t.TempDir()
				store := newStore(t, dir)
				for range before {
					update(t, store, alice, addOne)
				}
				store.SetFault(func(name string) error {
					if name == step {
						return errFault
					}
					return nil
				})
				err := store.Update(t.Context(), alice, addLarge)
				if !errors.Is(err, errFault) || !strings.Contains(err.Error(), dir+"/users/alice") {
					t.Errorf("error is %v, expected the fault, with the path", err)
				}
				if got := wrong(t, store, alice); got != before {
					t.Errorf("entry %d after the fault, %d before", got, before)
				}
				for _, name := range list(t, filepath.Join(dir, "users")) {
					if name != "alice" {
						t.Errorf("%s is left behind", name)
					}
				}
				store.SetFault(func(string) error { return nil })
				update(t, store, alice, addLarge)
				if got := wrong(t, store, alice); got != before+1 {
					t.Errorf("entry %d after the next update, expected %d", got, before+1)
				}
			})
		}
	}
}
