// Command gateway is where clients reach a server: it listens, or dials those that
// cannot, finds out by its key which client asks, and hands the login to the machine's
// verifier.
//
// It faces the network, so it has no rights and no secrets: its user owns nothing but
// the key that clients know it by. It promises that who is not listed gets no further
// than the handshake, that a client has no more logins under way than its file says,
// and that connections which stall cost the others little. What a client may ask for
// is decided by the verifier, which reads the client's file itself.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/daemon"
	"github.com/otpgate/otpgate/internal/nss"
	"github.com/otpgate/otpgate/internal/wire"
)

// version is set when a release is built.
var version = "unknown"

func main() {
	var path string
	p := daemon.New("otpgate-gateway", version, usage)
	p.PathVar(&path, "config", "", "configuration `FILE` (default "+config.DefaultPath+", which must have [gateway])")
	p.Main(func() error { return run(path) })
}

const usage = `Usage: otpgate-gateway [--config FILE]

Takes the logins of clients at the addresses in [gateway] listen, or at the sockets
that systemd passes, and over connections that it makes to those in [gateway] dial.
It hands them to the verifier. Keys and the clients' files are read again when they
change; a change of [gateway] takes a restart. On SIGTERM it takes no new logins and
ends when people who type have finished.

Examples:
  otpgate-gateway                        with /etc/otpgate/otpgate.toml
  otpgate-gateway --config /srv/o.toml   with another file

Options:
`

// run serves until a signal ends it.
func run(path string) error {
	settings, err := config.Load(path)
	if err != nil {
		return err
	}
	if settings.Gateway == nil {
		return fmt.Errorf("the configuration has no [gateway]; add it on a server, see otpgate.toml(5)")
	}
	if err := checkUser(settings.Gateway.User, os.Geteuid()); err != nil {
		return err
	}
	log := audit.Syslog{Fallback: audit.NewStream(int(os.Stderr.Fd()))}
	if err := log.Keep(); err != nil {
		return err
	}
	g := newGateway(settings, usual, log)
	// A key that cannot be used is said at the start, not to the first client.
	if _, err := g.key.Key(); err != nil {
		return fmt.Errorf("gateway.key: %w; otpctl client init makes one", err)
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	listeners, err := daemon.ListenTCP("gateway.listen", settings.Gateway.Listen)
	if err != nil {
		return err
	}
	if len(listeners)+len(settings.Gateway.Dial) == 0 {
		return errors.New("gateway.listen: no address and no client to dial; name one in [gateway] listen or dial")
	}
	for _, l := range listeners {
		go g.accept(l)
	}
	ctx, stopDialling := context.WithCancel(context.Background())
	defer stopDialling()
	for _, address := range settings.Gateway.Dial {
		g.all.Go(func() { newDialler(g, address, log).run(ctx) })
	}
	daemon.NotifyReady()
	<-signals
	daemon.NotifyStopping()
	stopDialling()
	for _, l := range listeners {
		l.Close()
	}
	// Whoever is typing a code may finish.
	return g.drain(wire.MaxTimeout)
}

// checkUser refuses to run as anybody whom the verifier would not believe, and as
// root, who has rights that a program which faces the network must not have.
func checkUser(name string, uid int) error {
	user, found, err := nss.UserByName(name)
	if err != nil {
		return fmt.Errorf("gateway.user: %w", err)
	}
	if !found {
		return fmt.Errorf("gateway.user: there is no user %q; the package makes otpgate-gateway, or run useradd --system", name)
	}
	if int(user.UID) != uid {
		return fmt.Errorf("running as uid %d, expected %d, the user %s of gateway.user; start it by systemctl start otpgate-gateway", uid, user.UID, name)
	}
	return nil
}
