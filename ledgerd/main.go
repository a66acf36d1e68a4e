// Command ledgerd reaches the ledger that several servers share in etcd, for the
// programs of its machine: the verifier, forked cores, otpgate-sftpd, otpctl.
//
// They ask at a Unix socket, see package ledgersocket. It is a program of its own
// because etcd's client is larger than all of theirs together, and because it speaks
// with the network: it never sees a secret or a code, and decides nothing. It keeps
// nothing either, so it may be ended and started at any time; whoever waits for an
// answer asks again.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/daemon"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdledger"
)

// version is set when a release is built.
var version = "unknown"

func main() {
	var path string
	p := daemon.New("otpgate-ledgerd", version, usage)
	p.PathVar(&path, "config", "", "configuration `FILE` (default "+config.DefaultPath+", which must have [ledger])")
	p.Main(func() error { return run(path) })
}

const usage = `Usage: otpgate-ledgerd [--config FILE]

Reaches the ledger in etcd for the programs of this machine, which ask at the socket
in [ledger] socket, or at the one that systemd passes. Certificates are read again at
each connection to etcd; a change of [ledger] takes a restart. On SIGTERM it answers
what it was asked and ends.

Examples:
  otpgate-ledgerd                        with /etc/otpgate/otpgate.toml
  otpgate-ledgerd --config /srv/o.toml   with another file

Options:
`

// run serves until a signal ends it.
func run(path string) error {
	settings, err := config.Load(path)
	if err != nil {
		return err
	}
	if settings.Ledger == nil {
		return fmt.Errorf("the configuration has no [ledger]; add it where servers share a ledger in etcd, see otpgate.toml(5)")
	}
	log := audit.Syslog{Fallback: audit.NewStream(int(os.Stderr.Fd()))}
	if err := log.Keep(); err != nil {
		return err
	}
	cluster, err := etcdledger.NewCluster(settingsOf(*settings.Ledger))
	if err != nil {
		return err
	}
	defer cluster.Close()
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	listener, err := listen(settings.Ledger.Socket)
	if err != nil {
		return err
	}
	s := server{registers: casledger.NewRecent(cluster), report: func(reason string) {
		log.Write(audit.Record{Verdict: "fault", Rule: "ledger", Reason: reason})
	}}
	s.all.Go(func() { s.accept(listener) })
	daemon.NotifyReady()
	<-signals
	daemon.NotifyStopping()
	err = listener.Close()
	s.all.Wait()
	return err
}

func settingsOf(l config.Ledger) etcdledger.Settings {
	return etcdledger.Settings{
		Endpoints: l.Etcd, CAFile: l.CAFile, CertificateFile: l.CertificateFile, KeyFile: l.KeyFile,
		Prefix: l.Prefix, Limits: casledger.LimitsOf(l.Timeout.Duration),
	}
}
