package turns

import (
	"context"
	"errors"
	"testing"

	"github.com/otpgate/otpgate/internal/testwait"
)

// Those who wait for their turn go when their time is over, and leave nothing behind.
func TestTurns(t *testing.T) {
	all := Turns{Waiting: 1}
	leave, err := all.Take(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	ctx, giveUp := context.WithCancel(t.Context())
	gaveUp := make(chan error)
	go func() {
		_, err := all.Take(ctx, "alice")
		gaveUp <- err
	}()
	testwait.Until(t, "one waits", func() bool { return all.Users("alice") == 2 })
	if _, err := all.Take(t.Context(), "alice"); !errors.Is(err, ErrFull) {
		t.Errorf("a third one: %v", err)
	}
	giveUp()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Errorf("it gave up: %v", err)
	}
	// Nobody else is why somebody is late who need not wait.
	for range 100 {
		other, err := all.Take(ctx, "bob")
		if err != nil {
			t.Fatal(err)
		}
		other()
	}
	leave()
	if len(all.all) != 0 {
		t.Errorf("%d turns are left", len(all.all))
	}
}

// One works at a time, also of many.
func TestOneAtATime(t *testing.T) {
	var all Turns
	working, done := 0, make(chan error)
	for range 50 {
		go func() {
			leave, err := all.Take(t.Context(), "alice")
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
