// Command verifierd is the resident verifier: the engine behind a Unix socket,
// for hosts that cannot fork a core or cannot read root's secrets, and for
// speed.
//
// It promises that the kernel's word alone says who asks (SO_PEERCRED), that a
// change of configuration or secret file holds from the next login on, and
// that a peer which lies, stalls, floods or sends garbage costs the others
// little. A front that finds no verifier forks a core, so a dead one locks
// nobody out.
package main

import (
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/daemon"
	"github.com/otpgate/otpgate/pam_module/fronts"
)

// version is set when a release is built.
var version = "unknown"

func main() {
	var o options
	p := daemon.New("otpgate-verifierd", version, usage)
	p.PathVar(&o.config, "config", "", "configuration `FILE` (default "+config.DefaultPath+", which may be missing)")
	p.DurationVar(&o.idle, "idle", 10*time.Minute, "end after this time without a login, if systemd started it and no server is to connect to it; 0 for never")
	p.Main(func() error { return run(o) })
}

type options struct {
	config string
	idle   time.Duration
}

const usage = `Usage: otpgate-verifierd [--config FILE] [--idle DURATION]

Answers the PAM module over the socket that paths.socket names and, with [portal], the
page for people over that which portal.socket names; or over those that systemd passes,
of which the page's is called portal. On SIGHUP it reads its configuration again and looks
up the users in verifier.allow; on SIGTERM it takes no new logins and ends when
people who type have finished.

Examples:
  otpgate-verifierd                        with /etc/otpgate/otpgate.toml
  otpgate-verifierd --config /srv/o.toml   with another file
  systemctl enable --now otpgate-verifierd.socket

Options:
`

// firstLookup is how long the start waits for a name service, so that the users
// in verifier.allow are known when the first front is taken. A front waits for two
// seconds.
const firstLookup = time.Second

// run serves until a signal or idleness ends it.
func run(o options) error {
	// A thread that waits for fronts holds a processor of Go's until the runtime
	// notices. Those who work would wait for one: under load one login in a
	// hundred took twice as long.
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + fronts.Spare)
	// Garbage is collected once it comes to half of what is in use. With Go's usual
	// measure, as much as is in use, a busy machine had more than 38 MiB in memory in one run
	// of ten.
	debug.SetGCPercent(50)
	settings, err := config.Load(o.config)
	if err != nil {
		return err
	}
	log := audit.Syslog{Fallback: audit.NewStream(int(os.Stderr.Fd()))}
	if err := log.Keep(); err != nil {
		return err
	}
	sink := counting{Sink: log, metrics: newMetrics()}
	engines := newEngines(o.config, sink, system{})
	if err := engines.reload(); err != nil {
		return err
	}
	engines.allow.settle(firstLookup)
	engines.gateway.settle(firstLookup)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT)
	at, err := listen(settings, func(reason string) {
		sink.Write(audit.Record{Verdict: "fault", Rule: "portal", Reason: reason})
	})
	if err != nil {
		return err
	}
	who := &directory{self: uint32(os.Geteuid()), names: system{}}
	server := newServer(engines, who, sink, usual)
	serving, err := begin(server, at, settings)
	if err != nil {
		return err
	}
	defer serving.closeMetrics()
	daemon.NotifyReady()
	idle := o.idle
	if !at.activated {
		idle = 0
	}
	wait(serving, engines, signals, idle)
	serving.leaving.begin()
	daemon.NotifyStopping()
	return serving.drain()
}

// wait returns when it is time to end.
func wait(server *serving, engines *engines, signals <-chan os.Signal, idle time.Duration) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if idle > 0 && mayEnd(server, engines, idle) {
				return
			}
		case s := <-signals:
			if s != syscall.SIGHUP {
				return
			}
			daemon.NotifyReloading()
			if err := engines.reload(); err != nil {
				server.report("configuration", err.Error())
			}
			daemon.NotifyReady()
		}
	}
}

// mayEnd says whether nobody would miss it until systemd starts it again for the next
// login. Servers that connect to this machine would: nobody starts it for them.
func mayEnd(server *serving, engines *engines, idle time.Duration) bool {
	return server.idle() >= idle && !server.splitBudget.Counting(time.Now()) && !engines.listens()
}
