package nss

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const soon, never = 10 * time.Millisecond, time.Hour

// A question that is never answered is an error for who asks it, and for nobody
// else; it takes one thread, and the service is asked again later.
func TestNeverAnswered(t *testing.T) {
	t.Parallel()
	d := newAsker(soon, 100)
	stuck := make(chan struct{})
	var asked atomic.Int32
	hang := func() (string, bool, error) {
		asked.Add(1)
		<-stuck
		return "late", true, nil
	}
	for range 3 {
		if answer, found, err := askOnce(d, nil, "user alice", hang); answer != "" || found || !errors.Is(err, errLate) || !strings.Contains(err.Error(), "look up user alice") {
			t.Errorf("alice: %q, %v, %v", answer, found, err)
		}
	}
	patient := newAsker(never, 100)
	patient.slots = d.slots
	if answer, found, err := askOnce(patient, nil, "user bob", func() (string, bool, error) { return "bob", true, nil }); answer != "bob" || !found || err != nil {
		t.Errorf("bob: %q, %v, %v", answer, found, err)
	}
	// Asked again and again; how often is for TestAskedEverLessOften.
	for asked.Load() < 4 {
		_, _, err := askOnce(d, nil, "user alice", hang)
		if !errors.Is(err, errLate) {
			t.Fatal(err)
		}
	}
	close(stuck)
	for {
		answer, found, err := askOnce(d, nil, "user alice", func() (string, bool, error) { return "early", true, nil })
		if err == nil {
			if !found || answer == "" {
				t.Errorf("alice, later: %q, %v", answer, found)
			}
			break
		}
	}
}

// A question that is late is asked again after twice the time, and then again.
func TestAskedEverLessOften(t *testing.T) {
	t.Parallel()
	about := subject{about: "user alice"}
	for late := range 4 {
		d := newAsker(never, 100)
		old := &question{late: late, began: time.Now().Add(-never<<late - time.Second)}
		if !old.expired(never) || old.expired(never+time.Minute) {
			t.Errorf("late for the time %d: not over right after %v", late, never<<late)
		}
		d.open[about] = old
		again := 0
		if _, _, err := askOnce(d, nil, about.about, func() (int, bool, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			again = d.open[about].late
			return 0, false, nil
		}); err != nil || again != late+1 {
			t.Errorf("asked again as one that was late %d times, expected %d; %v", again, late+1, err)
		}
	}
}

// Those who ask the same have one question under way.
func TestSameQuestion(t *testing.T) {
	t.Parallel()
	d := newAsker(never, 100)
	began, stuck := make(chan struct{}), make(chan struct{})
	answers := make(chan string)
	ask := func(about func() (string, bool, error)) {
		answer, _, err := askOnce(d, nil, "user alice", about)
		answers <- fmt.Sprint(answer, err)
	}
	go ask(func() (string, bool, error) { close(began); <-stuck; return "alice", true, nil })
	<-began
	for range 20 {
		go ask(func() (string, bool, error) {
			select {
			case <-stuck:
			default:
				t.Error("asked beside the first")
			}
			return "alice", true, nil
		})
	}
	close(stuck)
	for range 21 {
		if got := <-answers; got != "alice<nil>" && got != "alice <nil>" {
			t.Error(got)
		}
	}
	if len(d.open) != 0 || len(d.slots) != 0 {
		t.Errorf("%d open, %d under way", len(d.open), len(d.slots))
	}
}

// There is a bound on what is under way, and who finds no place is in doubt.
func TestBound(t *testing.T) {
	t.Parallel()
	d := newAsker(soon, 3)
	stuck := make(chan struct{})
	// On a busy machine one may have been late before it had a place.
	for i := 0; len(d.slots) < 3; i++ {
		_, _, err := askOnce(d, nil, fmt.Sprint("user ", i), func() (int, bool, error) { <-stuck; return i, true, nil })
		if !errors.Is(err, errLate) {
			t.Error(err)
		}
	}
	_, found, err := askOnce(d, nil, "one more", func() (int, bool, error) {
		select {
		case <-stuck: // a place came free at the last moment
		default:
			t.Error("asked beyond the bound")
		}
		return 3, true, nil
	})
	if found || !errors.Is(err, errLate) {
		t.Errorf("beyond the bound: %v, %v", found, err)
	}
	close(stuck)
	for {
		if answer, found, err := askOnce(d, nil, "the last", func() (int, bool, error) { return 4, true, nil }); err == nil {
			if answer != 4 || !found {
				t.Errorf("in the end: %v, %v", answer, found)
			}
			break
		}
	}
}

// A program that asks for others has a bound of its own: what it asks takes no
// place beyond that, and who asks the same beside it waits for none of its.
func TestLimit(t *testing.T) {
	t.Parallel()
	d, limit := newAsker(soon, 3), NewLimit(2)
	stuck := make(chan struct{})
	hang := func() (string, bool, error) { <-stuck; return "", false, nil }
	// On a busy machine one may have been late before it was asked, with a place of the
	// limit's or without.
	for i := 0; i < 4 || len(d.slots) < 2; i++ {
		if _, _, err := askOnce(d, limit, fmt.Sprint("user ", i), hang); !errors.Is(err, errLate) {
			t.Error(err)
		}
	}
	if len(d.slots) != 2 || limit.UnderWay() != 2 {
		t.Errorf("%d under way, %d of them within the limit; want 2", len(d.slots), limit.UnderWay())
	}
	patient := newAsker(never, 3)
	patient.slots = d.slots
	go func() { _, _, _ = askOnce(patient, limit, "user alice", hang) }()
	if answer, found, err := askOnce(patient, nil, "user alice", func() (string, bool, error) { return "alice", true, nil }); answer != "alice" || !found || err != nil {
		t.Errorf("beside the limit: %q, %v, %v", answer, found, err)
	}
	close(stuck)
	if _, _, err := askOnce(patient, limit, "user bob", func() (string, bool, error) { return "bob", true, nil }); err != nil {
		t.Errorf("once the service answers: %v", err)
	}
}

// Nobody waits for somebody else's groups, whichever kind of service there is.
func TestSlowGroupsOfOne(t *testing.T) {
	for _, services := range []string{"files probe", "files extrausers probe"} {
		t.Run(strings.ReplaceAll(services, " ", "-"), func(t *testing.T) {
			if !alone(t, "passwd: files probe\ngroup: "+services) {
				return
			}
			probe(t, "passwd", people)
			probe(t, "group", "robots:6001:\n")
			probe(t, "initgroups", "alice:6001\nbob:6001\n")
			write(t, "/var/lib/extrausers/passwd", "")
			write(t, "/var/lib/extrausers/group", "other:x:6100:\n")
			held := newFIFO(t)
			probe(t, "rules", "initgroups alice hang "+string(held)+"\n")
			done := make(chan string)
			go func() {
				gids, err := initgroups("alice", 5000)
				done <- fmt.Sprint(gids, err)
			}()
			release := held.held(t)
			for range 3 {
				if in, err := IsMember("bob", "robots"); !in || err != nil {
					t.Errorf("bob meanwhile: %v, %v", in, err)
				}
			}
			select {
			case got := <-done:
				t.Errorf("alice did not wait: %s", got)
			default:
			}
			release()
			if got := <-done; got != "[5000 6001]<nil>" && got != "[5000 6001] <nil>" {
				t.Errorf("alice in the end: %s", got)
			}
		})
	}
}
