package remotelogin

import (
	"crypto/tls"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/remotewire"
)

// full says that the client has too much open.
func full(f *fake, conn *tls.Conn) {
	for {
		if _, err := remotewire.ReadTake(conn); err != nil {
			return
		}
		f.takes.Add(1)
		if remotewire.WriteAnswer(conn, remotewire.Answer{Busy: "web1 has 1 logins open", Full: true}) != nil {
			return
		}
	}
}

// Break-glass codes are asked for after this error: where nobody decides, and never
// where somebody would, or has said that it does.
func TestUnreachable(t *testing.T) {
	with := func(do func(*fake, *tls.Conn)) func(t *testing.T) *fake {
		return func(t *testing.T) *fake { return newFake(t, do) }
	}
	for name, test := range map[string]struct {
		servers     []func(t *testing.T) *fake
		spoil       func(t *testing.T, s *Servers)
		unreachable bool
	}{
		"nobody listens":       {[]func(*testing.T) *fake{newGone, newGone}, nil, true},
		"they hang":            {[]func(*testing.T) *fake{with(hangs), with(mute)}, nil, true},
		"they die":             {[]func(*testing.T) *fake{with(dies), with(diesAtTake)}, nil, true},
		"they cannot decide":   {[]func(*testing.T) *fake{with(busy), with(busy)}, nil, true},
		"full":                 {[]func(*testing.T) *fake{with(full)}, nil, false},
		"full, and one closed": {[]func(*testing.T) *fake{newGone, with(full)}, nil, false},
		"full, and one dies":   {[]func(*testing.T) *fake{with(full), with(dies)}, nil, false},
		"strangers": {[]func(*testing.T) *fake{with(accepts)}, func(_ *testing.T, s *Servers) {
			s.settings.ServerKeys = []config.KeyHash{{1}}
		}, true},
		"no key here": {[]func(*testing.T) *fake{with(accepts)}, func(t *testing.T, s *Servers) {
			if err := os.Remove(s.settings.Key); err != nil {
				t.Fatal(err)
			}
		}, true},
		"ledgers that differ": {[]func(*testing.T) *fake{with(accepts), newGone}, func(_ *testing.T, s *Servers) {
			s.all[1].ledger = "two"
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var all []*fake
			for _, make := range test.servers {
				all = append(all, make(t))
			}
			timeout := patience
			if name == "they hang" {
				timeout = time.Second
			}
			s := newServers(t, timeout, all...)
			s.next = time.Millisecond
			if test.spoil != nil {
				test.spoil(t, s)
			}
			taken, err := s.Take(t.Context(), remotewire.Take{ID: remotewire.NewID()})
			var unreachable UnreachableError
			if taken != nil || err == nil || errors.As(err, &unreachable) != test.unreachable {
				t.Errorf("%v, %v", taken, err)
			}
		})
	}
}
