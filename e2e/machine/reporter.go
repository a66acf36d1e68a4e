package machine

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"
)

// T is the part of testing.T that the machine needs, so that a program that
// is no test can use it too.
type T interface {
	Helper()
	Name() string
	Failed() bool
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// Patience is how long anything may take that should take moments. It is long
// because the processors may be busy.
const Patience = 3 * time.Minute

var errDeadline = errors.New("deadline passed")

// Seconds is a time for a client's command line.
func Seconds(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }

// Until calls done until it returns true and fails t after Patience.
func Until(t T, what string, done func() bool) {
	t.Helper()
	if err := until(Patience, done); err != nil {
		t.Fatalf("expected within %v: %s", Patience, what)
	}
}

func until(patience time.Duration, done func() bool) error {
	deadline := time.Now().Add(patience)
	for pause := time.Millisecond; !done(); pause = min(2*pause, 50*time.Millisecond) {
		if time.Now().After(deadline) {
			return errDeadline
		}
		time.Sleep(pause)
	}
	return nil
}

// Buffer is a bytes.Buffer that a process fills while a test reads it.
type Buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
