package main

import (
	"crypto/tls"
	"fmt"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
)

// keyPair is a certificate and its key in two files, read again when one of them changes.
// While what they have does not fit together, as in the middle of a renewal, the last one
// that did is shown; so it is while a new key is root's still.
type keyPair struct {
	certificateFile, keyFile string
	sink                     audit.Sink
	now                      func() time.Time

	mu   sync.Mutex
	seen [2]config.State
	// settled says that any change from now on is one that seen shows.
	settled bool
	pair    *tls.Certificate
}

// newKeyPair is nil where the configuration names no files. Those that cannot be used are
// said at the start, not to the first browser.
func newKeyPair(p config.Portal, sink audit.Sink) (*keyPair, error) {
	if p.KeyFile == "" {
		return nil, nil
	}
	k := &keyPair{certificateFile: p.CertificateFile, keyFile: p.KeyFile, sink: sink, now: time.Now}
	return k, k.read()
}

// get is for [tls.Config].
func (k *keyPair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.read(); err != nil {
		k.sink.Write(audit.Record{Verdict: "fault", Rule: "portal.certificate", Reason: err.Error() + "; the one before is still shown"})
	}
	return k.pair, nil
}

// read reads the files if they have changed.
func (k *keyPair) read() error {
	var states [2]config.State
	settled := true
	for i, path := range []string{k.certificateFile, k.keyFile} {
		state, err := config.StateOf(path)
		if err != nil {
			return err
		}
		states[i], settled = state, settled && state.Settled(k.now())
	}
	if k.settled && states == k.seen {
		return nil
	}
	// A pair that cannot be used is said once, and looked at again when a file changes.
	k.seen, k.settled = states, settled
	certificate, err := config.ReadCertificates(k.certificateFile)
	if err != nil {
		return fmt.Errorf("portal.certificate_file: %w", err)
	}
	key, err := config.ReadKey(k.keyFile)
	if err != nil {
		return fmt.Errorf("portal.key_file: %w", err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return fmt.Errorf("%s with %s: %w", k.certificateFile, k.keyFile, err)
	}
	k.pair = &pair
	return nil
}
