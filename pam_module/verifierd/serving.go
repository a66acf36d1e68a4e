package main

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/daemon"
	"github.com/otpgate/otpgate/internal/wire"
	"github.com/otpgate/otpgate/pam_module/fronts"
)

// serving is what the process answers.
type serving struct {
	*server
	portal       *portal
	page         net.Listener // nil if another verifier has it
	logins       *fronts.Acceptors
	closeMetrics func()
	// activated says that systemd keeps the sockets.
	activated bool
}

// begin answers at the sockets that are there.
func begin(server *server, at sockets, settings config.Config) (*serving, error) {
	s := &serving{server: server, portal: newPortal(server, usual), page: at.page, closeMetrics: func() {}, activated: at.activated}
	var err error
	if at.logins != nil {
		if s.closeMetrics, err = daemon.ServeMetrics(settings.Verifier.Metrics, server.sink.metrics.write); err != nil {
			return nil, fmt.Errorf("verifier.metrics: %w", err)
		}
		if s.logins, err = server.serve(at.logins); err != nil {
			return nil, err
		}
	}
	if at.page != nil {
		server.engines.answerPage()
		s.portal.accepting.Go(func() {
			server.engines.portal.settle(firstLookup) // no login waits for this
			s.portal.serve(at.page)
		})
	}
	return s, nil
}

// drain waits until whoever is typing a code has finished. It takes nobody new, or few,
// see [leaving].
func (s *serving) drain() error {
	var closed, page, logins error
	if s.page != nil {
		closed = s.page.Close()
	}
	var both sync.WaitGroup
	both.Go(func() { page = s.portal.drain(portalEnding) })
	if s.logins != nil {
		most := wire.MaxTimeout
		if s.activated {
			_ = s.leaving.wait(leaveWithin)
			most = leftTime
		}
		logins = s.logins.Drain(most)
	}
	both.Wait()
	return errors.Join(closed, page, logins)
}

// idle says for how long nobody has asked anything, and nothing was to be done.
func (s *serving) idle() time.Duration {
	if s.portal.later.Waits() {
		return 0
	}
	return min(s.admission.idle(), s.portal.admission.idle())
}
