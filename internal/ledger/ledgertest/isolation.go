package ledgertest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
)

func countsAcrossGoroutines(t *testing.T, s suite) {
	const goroutines, times = 50, 4
	shared := s.store(t)
	ctx := t.Context()
	var group sync.WaitGroup
	for i := range goroutines {
		store := shared
		if i%2 == 0 {
			store = s.store(t)
		}
		group.Go(func() {
			for range times {
				if err := store.Update(ctx, alice, add); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	wantWrong(t, shared, alice, goroutines*times)
}

func countsAcrossProcesses(t *testing.T, s suite) {
	const processes, times = 4, 25
	var group sync.WaitGroup
	for range processes {
		cmd, output := s.worker("25")
		group.Go(func() {
			if err := cmd.Run(); err != nil {
				t.Errorf("worker: %v: %s", err, output)
			}
		})
	}
	group.Wait()
	wantWrong(t, s.store(t), alice, processes*times)
}

// growsAcrossGoroutines has an entry outgrow what a store may have set aside
// for it while others wait for it and read it.
func growsAcrossGoroutines(t *testing.T, s suite) {
	const goroutines, times = 10, 30
	ctx := t.Context()
	var group sync.WaitGroup
	for range goroutines {
		store := s.store(t)
		group.Go(func() {
			for want := 1; want <= times; want++ {
				err := store.Update(ctx, alice, func(entry *ledger.Entry) error {
					entry.UsedHashes = append(entry.UsedHashes, strings.Repeat("x", 64))
					return nil
				})
				if err != nil {
					t.Error(err)
				}
				if entry, err := store.View(ctx, alice); err != nil || len(entry.UsedHashes) < want {
					t.Errorf("%d of at least %d codes are there, %v", len(entry.UsedHashes), want, err)
				}
			}
		})
	}
	group.Wait()
	if entry := view(t, s.store(t), alice); len(entry.UsedHashes) != goroutines*times {
		t.Errorf("%d codes are there, expected %d", len(entry.UsedHashes), goroutines*times)
	}
}

// oneWins is what the ledger is for: fifty logins with the same code.
func oneWins(t *testing.T, s suite) {
	const step = 59
	errUsed := errors.New("used")
	ctx := t.Context()
	var won atomic.Int32
	var group sync.WaitGroup
	for range 50 {
		store := s.store(t)
		group.Go(func() {
			err := store.Update(ctx, alice, func(entry *ledger.Entry) error {
				if entry.Used["phone"].Step >= step {
					return errUsed
				}
				entry.Used = map[string]ledger.Use{"phone": {Step: step}}
				return nil
			})
			if err == nil {
				won.Add(1)
			} else if err != errUsed {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if won.Load() != 1 {
		t.Errorf("%d logins used the same code, expected 1", won.Load())
	}
}

// backToZeroWhileOthersWait has entries go back to zero, which a store may take as a
// reason to forget the key, while others add to them: no addition gets lost.
func backToZeroWhileOthersWait(t *testing.T, s suite) {
	const goroutines, times = 10, 20
	ctx := t.Context()
	for _, kind := range kinds {
		key := ledger.Key{Kind: kind, Name: "alice"}
		var taken atomic.Int64
		var group sync.WaitGroup
		for i := range goroutines {
			store := s.store(t)
			group.Go(func() {
				for range times {
					if i%2 == 0 {
						if err := store.Update(ctx, key, add); err != nil {
							t.Error(err)
						}
						continue
					}
					var had int
					err := store.Update(ctx, key, func(entry *ledger.Entry) error {
						had = entry.Attempts.Wrong
						return toZero(entry)
					})
					if err != nil {
						t.Error(err)
					}
					taken.Add(int64(had))
				}
			})
		}
		group.Wait()
		if all := int(taken.Load()) + view(t, s.store(t), key).Attempts.Wrong; all != goroutines/2*times {
			t.Errorf("kind %d: %d additions are known, expected %d", kind, all, goroutines/2*times)
		}
	}
}

// busyKey holds one key in the middle of an Update and looks who waits.
func busyKey(t *testing.T, s suite) {
	store, other := s.store(t), s.store(t)
	ctx := t.Context()
	mustUpdate(t, store, alice, add)
	entered, leave, done := make(chan bool), make(chan bool), make(chan error, 1)
	enter := sync.OnceFunc(func() { close(entered) })
	go func() {
		done <- store.Update(ctx, alice, func(entry *ledger.Entry) error {
			enter()
			<-leave
			return add(entry)
		})
	}()
	<-entered

	want := 2
	mustUpdate(t, other, bob, add)
	mustUpdate(t, other, network, add)
	wantWrong(t, other, bob, 1)
	wantWrong(t, other, alice, 1)

	soon, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	most := want
	switch err := other.Update(soon, alice, add); {
	case err == nil: // a store that tries again instead of waiting
		want++
		most++
	case errors.Is(err, context.DeadlineExceeded):
		most++ // where the answer alone was late
	default:
		t.Errorf("waiting ended with %v, expected the context's error", err)
	}
	close(leave)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := view(t, other, alice).Attempts.Wrong; got < want || got > most {
		t.Errorf("%d wrong attempts, expected %d to %d", got, want, most)
	}
}

// viewIsNeverStaleNorAhead reads while others write. A reader must see every
// Update that returned before it asked, none that had not begun when it got
// its answer, and never an older entry than before.
func viewIsNeverStaleNorAhead(t *testing.T, s suite) {
	const writes = 150
	ctx := t.Context()
	writer := s.store(t)
	var begun, returned atomic.Int64
	var group sync.WaitGroup
	group.Go(func() {
		for range writes {
			begun.Add(1)
			if err := writer.Update(ctx, alice, add); err != nil {
				t.Error(err)
				returned.Store(writes)
				return
			}
			returned.Add(1)
		}
	})
	for range 4 {
		reader := s.store(t)
		group.Go(func() {
			for last := 0; returned.Load() < writes; {
				least := max(int(returned.Load()), last)
				entry, err := reader.View(ctx, alice)
				if err != nil {
					t.Error(err)
					return
				}
				most := int(begun.Load())
				if last = entry.Attempts.Wrong; last < least || last > most {
					t.Errorf("view shows entry %d, expected %d to %d", last, least, most)
					return
				}
			}
		})
	}
	group.Wait()
}
