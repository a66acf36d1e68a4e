package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/sftp"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
)

// teller is a broker that writes down what it is told, and a clock.
type teller struct {
	t     *testing.T
	at    time.Time
	lines []string // of each message
	due   time.Time
	late  func()
}

// gathered is what a front with that broker gathers.
func gathered(t *testing.T) (*teller, *operations) {
	told := &teller{t: t, at: time.Unix(1000, 0)}
	o := newOperations(told.take)
	o.now = func() time.Time { return told.at }
	o.after = func(wait time.Duration, do func()) { told.due, told.late = told.at.Add(wait), do }
	return told, o
}

func (l *teller) take(message []byte) error {
	if len(message) > messages.MaxOperations {
		l.t.Errorf("a message of %d bytes, expected at most %d", len(message), messages.MaxOperations)
	}
	r := fields.NewReader(message)
	if kind := r.U8(); kind != messages.TellOperations {
		l.t.Errorf("a message of kind %d", kind)
	}
	var line []string
	for r.More() {
		line = append(line, fmt.Sprint(r.Text(), " ", r.Text(), " ", r.Text(), " ", r.U64(), " ", r.U64(), " ", r.Text()))
	}
	if err := r.Done(); err != nil {
		l.t.Errorf("%q: %v", message, err)
	}
	l.lines = append(l.lines, strings.Join(line, "; "))
	return nil
}

// pass lets time pass, and what is due by then happen.
func (l *teller) pass(d time.Duration) {
	end := l.at.Add(d)
	if late := l.late; late != nil && !l.due.After(end) {
		l.at, l.late = l.due, nil
		late()
	}
	l.at = end
}

func (l *teller) expect(want ...string) {
	l.t.Helper()
	if got, want := strings.Join(l.lines, "\n"), strings.Join(want, "\n"); got != want {
		l.t.Errorf("expected:\n%s\nfound:\n%s", want, got)
	}
	l.lines = nil
}

// What comes after a pause is told at once; what follows is told together, and is
// never held for longer than it may be.
func TestOperationsAreGathered(t *testing.T) {
	told, o := gathered(t)
	o.add(sftp.Event{Op: "mkdir", Path: "/a"})
	told.expect("mkdir /a  0 0 ")
	told.pass(holdOperations - time.Millisecond)
	o.add(sftp.Event{Op: "transfer", Path: "/a/1", Written: 5})
	o.add(sftp.Event{Op: "rename", Path: "/a/1", Target: "/a/2", Err: errors.New("no")})
	told.expect()
	told.pass(time.Millisecond)
	told.expect("transfer /a/1  0 5 ; rename /a/1 /a/2 0 0 no")
	for at := range 3 * holdOperations / time.Millisecond {
		o.add(sftp.Event{Op: "remove", Path: fmt.Sprint(int(at))})
		before := len(told.lines)
		if held := told.at.Sub(o.told); len(o.held) > 0 && held >= holdOperations {
			t.Fatalf("held for %v", held)
		}
		told.pass(time.Millisecond)
		if len(told.lines) > before+1 {
			t.Fatalf("told %d times in a millisecond", len(told.lines)-before)
		}
	}
	if n := len(told.lines); n != 3 {
		t.Errorf("told %d times in three intervals", n)
	}
}

// A session's end is told at once, and so is what no longer fits into a message.
func TestOperationsFlush(t *testing.T) {
	told, o := gathered(t)
	o.add(sftp.Event{Op: "mkdir", Path: "/a"})
	o.add(sftp.Event{Op: "mkdir", Path: "/b"})
	o.flush()
	told.expect("mkdir /a  0 0 ", "mkdir /b  0 0 ")
	o.flush()
	told.expect()
	long := strings.Repeat("x", messages.MaxText)
	for range 3 {
		o.add(sftp.Event{Op: strings.Repeat("o", messages.MaxOp+1), Path: long + "y", Target: long + "y", Err: errors.New(strings.Repeat("p", messages.MaxProblem+1))})
	}
	o.flush()
	one := strings.Repeat("o", messages.MaxOp) + " " + long + " " + long + " 0 0 " + strings.Repeat("p", messages.MaxProblem)
	told.expect(one, one, one)
}
