package main

import (
	"context"
	"errors"
	"testing"
)

// One session of a connection copies at a time. Who waits ends with the
// connection.
func TestCopiesTakeTurns(t *testing.T) {
	copying := make(turns, 1)
	release, err := copying.begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := copying.begin(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("a second one began, %v", err)
	}
	release()
	if release, err = copying.begin(t.Context()); err != nil {
		t.Errorf("none began after the first was released: %v", err)
	}
	release()
}
