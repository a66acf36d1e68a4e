package keylock

import (
	"context"
	"errors"
	"testing"

	"github.com/otpgate/otpgate/internal/testwait"
)

// Those who wait for a lock go when their time is over, and leave nothing behind.
func TestLocks(t *testing.T) {
	all := Locks{MaxWaiting: 1}
	leave, err := all.Lock(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	ctx, giveUp := context.WithCancel(t.Context())
	gaveUp := make(chan error)
	go func() {
		_, err := all.Lock(ctx, "alice")
		gaveUp <- err
	}()
	testwait.Until(t, "one waits", func() bool { return all.Users("alice") == 2 })
	if _, err := all.Lock(t.Context(), "alice"); !errors.Is(err, ErrFull) {
		t.Errorf("a third one: %v", err)
	}
	giveUp()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Errorf("it gave up: %v", err)
	}
	// Nobody else is why somebody is late who need not wait.
	for range 100 {
		other, err := all.Lock(ctx, "bob")
		if err != nil {
			t.Fatal(err)
		}
		other()
	}
	leave()
	if len(all.all) != 0 {
		t.Errorf("%d locks are left", len(all.all))
	}
}

// One works at a time, also of many.
func TestOneAtATime(t *testing.T) {
	var all Locks
	working, done := 0, make(chan error)
	for range 50 {
		go func() {
			leave, err := all.Lock(t.Context(), "alice")
			if err == nil {
				if working++; working != 1 {
					err = errors.New("two at a time")
				}
				working--
				leave()
			}
			done <- err
		}()
	}
	for range 50 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
