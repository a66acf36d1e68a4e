package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"

	"github.com/otpgate/otpgate/internal/daemon"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
	"github.com/otpgate/otpgate/internal/ledger/ledgersocket"
	"github.com/otpgate/otpgate/internal/safefile"
)

// server answers questions.
type server struct {
	registers casledger.Registers
	report    func(reason string)
	all       sync.WaitGroup
}

// most is how many questions are answered at once. The verifier has no more dialogues.
const most = 4096

// accept takes connections until listener is closed.
func (s *server) accept(listener net.Listener) {
	places := make(chan struct{}, most)
	daemon.Accept(listener, func(conn net.Conn) {
		places <- struct{}{}
		s.all.Go(func() {
			// Who went away meanwhile is not told, and nobody but root and the
			// verifier's user could say something wrong.
			_ = ledgersocket.Answer(conn.(ledgersocket.Conn), s.registers)
			<-places
		})
	}, s.report)
}

// listen takes the socket that systemd passes (sd_listen_fds(3)), or makes the one at
// path, which is for root and the user that this program runs as.
func listen(path string) (net.Listener, error) {
	passed, err := activation.Listeners()
	switch {
	case err != nil:
		return nil, fmt.Errorf("take systemd's socket: %w", err)
	case len(passed) > 1:
		return nil, fmt.Errorf("systemd passed %d sockets, expected one", len(passed))
	case len(passed) == 1:
		return passed[0], nil
	}
	parent := filepath.Dir(path)
	if err := os.Mkdir(parent, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("ledger.socket: %w", err)
	}
	dir, err := safefile.OpenDir(parent)
	if err != nil {
		return nil, fmt.Errorf("ledger.socket: %w", err)
	}
	defer dir.Close()
	if err := daemon.RemoveStale(path); err != nil {
		return nil, fmt.Errorf("ledger.socket: %w", err)
	}
	// The mode is there before anybody can connect. Nothing else runs yet.
	before := syscall.Umask(0o177)
	defer syscall.Umask(before)
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("ledger.socket: %w", err)
	}
	return listener, nil
}
