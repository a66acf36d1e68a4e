// Command portal is the page on which people set up codes by a link.
//
// It faces the network, so it has no rights and no secrets: its user owns nothing but,
// where no web server is in front, the certificate. It promises that what it shows is
// the verifier's answer to that one request, that strangers who hold connections keep
// nobody out for good, and that a certificate which is renewed is used from then on, once
// its files are the page's user's. What a link is good for is decided by the verifier.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/daemon"
	"github.com/otpgate/otpgate/internal/portal"
	"github.com/otpgate/otpgate/internal/portalwire"
)

// version is set when a release is built.
var version = "unknown"

func main() {
	var path string
	p := daemon.New("otpgate-portal", version, usage)
	p.PathVar(&path, "config", "", "configuration `FILE` (default "+config.DefaultPath+", which must have [portal])")
	p.Main(func() error { return run(path) })
}

const usage = `Usage: otpgate-portal [--config FILE]

Shows the page on which people set up codes by a link, at the address or the socket in
[portal] listen, or at those that systemd passes. It asks the verifier at [portal]
socket. The certificate is read again when it changes; a change of [portal] takes a
restart. On SIGTERM it answers what it was asked and ends.

Examples:
  otpgate-portal                        with /etc/otpgate/otpgate.toml
  otpgate-portal --config /srv/o.toml   with another file

Options:
`

// What a connection can make the others wait for.
const (
	headerTime = 5 * time.Second
	readTime   = 15 * time.Second
	idleTime   = time.Minute
	// answerTime is longer than the verifier is waited for: recovery codes are shown once.
	answerTime = portalwire.Patience + 10*portalwire.Transfer
	maxHeader  = 16 << 10
	// mostOpen is how many connections are open at once. One more ends the one for which
	// the verifier has not been asked for longest.
	mostOpen = 1024
	// mostStreams is how many requests one connection of HTTP/2 has at once: a browser
	// sends two or three.
	mostStreams = 8
	// memoryLimit is when garbage is collected whatever else is so: otherwise it would be
	// as large as what those connections need, and the unit's MemoryMax= is 128M.
	memoryLimit = 96 << 20
)

// run serves until a signal ends it.
func run(path string) error {
	debug.SetMemoryLimit(memoryLimit)
	settings, err := config.Load(path)
	if err != nil {
		return err
	}
	if settings.Portal == nil {
		return errors.New("the configuration has no [portal]; add it where people enroll by links, see otpgate.toml(5)")
	}
	if os.Geteuid() == 0 {
		return errors.New("running as root, who has rights that a program which faces the network must not have; start it by systemctl start otpgate-portal.socket")
	}
	syslog := audit.Syslog{Fallback: audit.NewStream(int(os.Stderr.Fd()))}
	if err := syslog.Keep(); err != nil {
		return err
	}
	sink := audit.NewLimiter(syslog.Write)
	pair, err := newKeyPair(*settings.Portal, sink)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	listeners, err := listen(settings.Portal.Listen, pair)
	if err != nil {
		return err
	}
	handler, err := newPage(*settings.Portal, sink)
	if err != nil {
		return err
	}
	ended := make(chan error, len(listeners))
	server := newServer(handler, sink)
	for _, l := range listeners {
		go func() { ended <- server.Serve(l) }()
	}
	daemon.NotifyReady()
	select {
	case <-signals:
	case err := <-ended:
		return err
	}
	daemon.NotifyStopping()
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	return server.Shutdown(ctx)
}

func newPage(p config.Portal, sink audit.Sink) (http.Handler, error) {
	own, err := url.Parse(p.URL)
	if err != nil {
		return nil, fmt.Errorf("portal.url: %w", err)
	}
	return portal.New(portal.Settings{
		URL: own, Proxies: p.Proxies, Now: time.Now, Zone: time.Local, Manage: p.Manage,
		Ask: func(ctx context.Context, request portalwire.Request) (portalwire.Answer, error) {
			defer asks(ctx)()
			return portalwire.Ask(ctx, p.Socket, request)
		},
		Report: func(remote, reason string) {
			sink.Write(audit.Record{Remote: remote, Verdict: "fault", Rule: "portal", Reason: reason})
		},
	})
}

func newServer(handler http.Handler, sink audit.Sink) *http.Server {
	open := newConnections(mostOpen)
	return &http.Server{
		Handler: handler, ConnState: open.state, ConnContext: open.context,
		ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: answerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: mostStreams}, ErrorLog: log.New(faults{sink}, "", 0),
	}
}

// faults is where package http writes of panics, and of strangers whose handshakes fail.
type faults struct{ sink audit.Sink }

// Write implements [io.Writer].
func (f faults) Write(text []byte) (int, error) {
	// Behind the first line of a panic are those of its stack.
	line, _, _ := strings.Cut(string(text), "\n")
	stranger, ok := strings.CutPrefix(line, "http: TLS handshake error from ")
	switch {
	case !ok:
		f.sink.Write(audit.Record{Verdict: "fault", Rule: "portal.http", Reason: line})
	case !strings.HasSuffix(line, "EOF"): // who goes without a word is not told of
		from, why, _ := strings.Cut(stranger, ": ")
		f.sink.Write(audit.Record{Remote: from, Verdict: "turned-away", Rule: "portal.handshake", Reason: why})
	}
	return len(text), nil
}
