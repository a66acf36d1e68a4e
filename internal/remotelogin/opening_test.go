package remotelogin

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/otpgate/otpgate/internal/remotewire"
	"github.com/otpgate/otpgate/internal/testwait"
)

// takesPrivileged is a server that answers no unprivileged login, and tells of each.
func takesPrivileged(unprivileged chan<- remotewire.ID) func(*fake, *tls.Conn) {
	return func(_ *fake, conn *tls.Conn) {
		take, err := remotewire.ReadTake(conn)
		switch {
		case err != nil:
		case take.Unprivileged:
			unprivileged <- take.ID
			_, _ = io.Copy(io.Discard, conn)
		default:
			_ = remotewire.WriteAnswer(conn, remotewire.Answer{Taken: true, Ledger: "one"})
		}
	}
}

// Logins that anybody can begin leave connections to be opened for the others, however
// many there are and however long the server takes; each place is given back.
func TestUnprivilegedLeaveConnectionsToOpen(t *testing.T) {
	const unprivileged = 3 * mostOpening
	come := make(chan remotewire.ID, unprivileged)
	s := newServers(t, patience, newFake(t, takesPrivileged(come)))
	errs := make(chan error, unprivileged)
	giveUp := map[remotewire.ID]func(){}
	for range unprivileged {
		id := remotewire.NewID()
		ctx, cancel := context.WithCancel(t.Context())
		giveUp[id] = cancel
		go func() {
			_, err := s.Take(ctx, remotewire.Take{ID: id, Unprivileged: true})
			errs <- err
		}()
	}
	connected := map[remotewire.ID]bool{}
	for range unprivilegedOpening {
		connected[<-come] = true
	}
	var all sync.WaitGroup
	for range 2 * mostOpening {
		all.Go(func() {
			taken, err := s.Take(context.Background(), remotewire.Take{ID: remotewire.NewID()})
			if err != nil {
				t.Error(err)
				return
			}
			taken.Drop()
		})
	}
	all.Wait()
	if n := len(come); n > 0 {
		t.Errorf("%d more unprivileged logins have a connection", n)
	}
	// Those that wait first: each place of the others' goes to one that still does.
	for _, ofConnected := range []bool{false, true} {
		for id, cancel := range giveUp {
			if connected[id] == ofConnected {
				cancel()
			}
		}
		for id := range giveUp {
			if connected[id] != ofConnected {
				continue
			}
			if err := <-errs; err == nil {
				t.Fatal("an unprivileged login was taken")
			}
		}
	}
	if n := len(come); n > 0 {
		t.Errorf("%d unprivileged logins had a connection once they were given up", n)
	}
	o := s.all[0].opening
	testwait.Until(t, "each place is given back", func() bool { return len(o.all)+len(o.unprivileged) == 0 })
}

// Who waits for others until it is too late says so.
func TestOthersWait(t *testing.T) {
	o := newOpening()
	for range unprivilegedOpening {
		if _, err := o.begin(t.Context(), true); err != nil {
			t.Fatal(err)
		}
	}
	late, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := o.begin(late, true); !errors.Is(err, errOthersWait) {
		t.Errorf("%v", err)
	}
	// So does who finds a place then.
	for range 100 {
		if _, err := newOpening().begin(late, true); !errors.Is(err, errOthersWait) {
			t.Fatalf("%v", err)
		}
	}
	end, err := o.begin(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	end()
}

// A login that could not ask a server, as others of this machine were ahead of it, is not
// one that no server can decide, unless the server answered none of them either.
func TestOthersAreAnswered(t *testing.T) {
	for name, isAnswered := range map[string]bool{"the others are answered": true, "nobody is answered": false} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, func(_ *fake, conn *tls.Conn) {
				for {
					if _, err := remotewire.ReadTake(conn); err != nil {
						return
					}
					if remotewire.WriteAnswer(conn, remotewire.Answer{Taken: true, Ledger: "one"}) != nil {
						return
					}
				}
			})
			s := newServers(t, patience, f)
			kept, err := s.Take(t.Context(), remotewire.Take{ID: remotewire.NewID()})
			if err != nil {
				t.Fatal(err)
			}
			o := s.all[0].opening
			for range mostOpening {
				if _, err := o.begin(t.Context(), false); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			given := make(chan error, 1)
			go func() {
				_, err := s.Take(ctx, remotewire.Take{ID: remotewire.NewID(), Unprivileged: true})
				given <- err
			}()
			testwait.Until(t, "the login waits for the others", func() bool { return len(o.unprivileged) > 0 })
			s.all[0].pool.Put(kept.conn)
			if isAnswered {
				other, err := s.Take(t.Context(), remotewire.Take{ID: remotewire.NewID()})
				if err != nil {
					t.Fatal(err)
				}
				defer other.Drop()
			}
			cancel()
			err = <-given
			var unreachable UnreachableError
			if err == nil || !strings.Contains(err.Error(), errOthersWait.Error()) || errors.As(err, &unreachable) == isAnswered {
				t.Errorf("%v", err)
			}
		})
	}
}
