package main

import (
	"context"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/remotelogin"
	"github.com/otpgate/otpgate/internal/remotewire"
)

// Many logins that begin at once on a client find the server: it is not out of reach as
// they need more connections than may be at their handshake.
func TestManyLoginsOfOneClientAtOnce(t *testing.T) {
	r := newRig(t, unhurried, nil, func(conn net.Conn) {
		if _, err := remotewire.ReadTake(conn); err == nil {
			_ = remotewire.WriteAnswer(conn, remotewire.Answer{Taken: true, Ledger: "one"})
			_, _ = remotewire.ReadBegin(conn)
		}
	})
	path := filepath.Join(t.TempDir(), "client.key")
	r.key = newKey(t, path)
	r.save(t, nil)
	settings := config.Remote{Servers: []string{r.address}, ServerKeys: []config.KeyHash{r.server}, Key: path, Timeout: config.Duration{Duration: patience}}
	servers := remotelogin.New(settings, r.log)
	defer servers.Close()
	var all sync.WaitGroup
	for range 3 * usual.handshakes.PerSource {
		all.Go(func() {
			taken, err := servers.Take(context.Background(), remotewire.Take{ID: remotewire.NewID()})
			if err != nil {
				t.Error(err)
				return
			}
			taken.Drop()
		})
	}
	all.Wait()
}
