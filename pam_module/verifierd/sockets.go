package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/coreos/go-systemd/v22/activation"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/daemon"
	"github.com/otpgate/otpgate/internal/safefile"
	"github.com/otpgate/otpgate/pam_module/fronts"
)

// portalName is what the socket unit calls the page's socket (FileDescriptorName=).
const portalName = "portal"

// sockets are where logins and the page are answered. One of them may be nil.
type sockets struct {
	logins *fronts.Socket
	page   net.Listener
	// activated says that systemd passed them, and starts a verifier when it is needed.
	activated bool
}

// listen takes the sockets that systemd passes (sd_listen_fds(3)), or makes those that
// the settings name. Whoever is passed only one leaves the other to another verifier.
// Without a socket for the page, which gets a line by report, there still are logins.
func listen(settings config.Config, report func(reason string)) (s sockets, err error) {
	var passed []*os.File
	for _, file := range activation.Files(true) {
		s.activated = true
		if file.Name() != portalName {
			passed = append(passed, file)
			continue
		}
		if s.page, err = listenerOf(file); err != nil {
			return s, err
		}
	}
	switch {
	case len(passed) > 0:
		s.logins, err = fronts.Passed(passed)
	case !s.activated:
		if s.logins, err = fronts.ListenAt(settings.Paths.Socket); err == nil && settings.Portal != nil {
			var fault error
			if s.page, fault = listenForPage(settings.Portal.Socket); fault != nil {
				report(fault.Error() + "; logins are answered, and the page is not until this is mended and the verifier is started again")
			}
		}
	}
	return s, err
}

func listenerOf(file *os.File) (net.Listener, error) {
	defer file.Close()
	listener, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("take systemd's socket for the page: %w", err)
	}
	if _, ok := listener.(*net.UnixListener); !ok {
		_ = listener.Close()
		return nil, errors.New("systemd passed another kind of socket for the page, expected a unix stream socket that listens; see ListenStream= of the socket unit")
	}
	return listener, nil
}

// listenForPage makes the page's socket. Everybody may connect to one that systemd does
// not make: who is answered is decided by the kernel's word on who it is.
func listenForPage(path string) (net.Listener, error) {
	parent := filepath.Dir(path)
	if err := os.Mkdir(parent, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("portal.socket: %w", err)
	}
	dir, err := safefile.OpenDir(parent)
	if err != nil {
		return nil, fmt.Errorf("portal.socket: %w", err)
	}
	defer dir.Close()
	if err := daemon.RemoveStale(path); err != nil {
		return nil, fmt.Errorf("portal.socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("portal.socket: %w", err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		return nil, errors.Join(fmt.Errorf("portal.socket: %w", err), listener.Close())
	}
	return listener, nil
}
