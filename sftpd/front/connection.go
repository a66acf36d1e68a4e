package main

import (
	"crypto/ed25519"
	"errors"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/internal/sftpd/algorithms"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
)

// connection is one client as the front knows it: what it sends and is sent, and
// the broker that decides on it.
type connection struct {
	front    *front
	settings messages.Settings
	open     *openLimit
	conn     *bufferedConn
	broker   *brokerConn
	remote   string
	client   string // how it identifies itself
	preAuth  ssh.ServerPreAuthConn
	channels activity
	copying  semaphore
	rotated  bool // the client has had host keys proven

	operations *operations
}

// errDenied is what a client hears as a failure.
var errDenied = errors.New("denied")

func (c *connection) serve() {
	defer c.broker.conn.Close()
	defer c.conn.Close()
	defer c.operations.flush()
	config, err := c.config()
	if err != nil {
		return
	}
	client, ciphers, err := c.conn.chooseCiphers(c.settings.Version)
	if err != nil {
		return
	}
	if ciphers != nil {
		config.Ciphers = ciphers
	}
	conn, channels, requests, err := ssh.NewServerConn(c.conn, config)
	if err != nil {
		c.tellUnmatched(client, err)
		return
	}
	defer conn.Close()
	c.conn.quickAck.Store(false)
	c.client = string(conn.ClientVersion())
	c.serveChannels(conn, channels, requests)
}

// lists are the library's names for those of a key exchange.
var lists = map[string]uint8{
	"key exchange": messages.ListKeyExchange, "host key": messages.ListHostKey,
	"client to server cipher": messages.ListCipher, "server to client cipher": messages.ListCipher,
	"client to server MAC": messages.ListMAC, "server to client MAC": messages.ListMAC,
	"client to server compression": messages.ListCompression, "server to client compression": messages.ListCompression,
}

// tellUnmatched has the broker write which list had nothing in common, if that
// is why there was no handshake.
func (c *connection) tellUnmatched(client string, err error) {
	var failed *ssh.AlgorithmNegotiationError
	if !errors.As(err, &failed) || lists[failed.What] == 0 {
		return
	}
	theirs := strings.Join(failed.RequestedAlgorithms, ",")
	w := fields.Message(messages.TellUnmatched).U8(lists[failed.What]).Text(clip(client, maxVersion)).Text(clip(theirs, messages.MaxText))
	_ = c.broker.note(w.Bytes) // the broker is gone
}

func (c *connection) config() (*ssh.ServerConfig, error) {
	config := &ssh.ServerConfig{
		Config:                  ssh.Config{KeyExchanges: algorithms.KeyExchanges(), Ciphers: algorithms.Ciphers(), MACs: algorithms.MACs()},
		PublicKeyAuthAlgorithms: algorithms.UserSignatures(),
		ServerVersion:           c.settings.Version,
		MaxAuthTries:            maxTries,
		PreAuthConnCallback:     func(conn ssh.ServerPreAuthConn) { c.preAuth = conn },
		BannerCallback:          func(ssh.ConnMetadata) string { return c.settings.Banner },
	}
	if c.settings.Passwords {
		config.PasswordCallback = c.password
		config.KeyboardInteractiveCallback = c.interactive
	}
	if c.settings.PublicKeys {
		config.PublicKeyCallback = c.offered
		config.VerifiedPublicKeyCallback = c.proven
	}
	for _, key := range c.settings.HostKeys {
		public, err := ssh.ParsePublicKey(key)
		if err != nil {
			return nil, err
		}
		config.AddHostKey(signer{c.broker, public})
	}
	return config, nil
}

// maxTries is as in sshd. The broker counts too.
const maxTries = 6

// outcome turns the broker's word into what x/crypto/ssh wants. After a partial
// success keyboard-interactive alone goes on.
func (c *connection) outcome(outcome uint8, told []string, err error) (*ssh.Permissions, error) {
	if err != nil {
		c.hangUp()
		return nil, err
	}
	switch outcome {
	case messages.Accepted:
		c.banner(told)
		return &ssh.Permissions{}, nil
	case messages.Partial:
		c.banner(told)
		return nil, &ssh.PartialSuccessError{Next: ssh.ServerAuthCallbacks{KeyboardInteractiveCallback: c.interactive}}
	case messages.Ended:
		c.banner(told)
		c.hangUp()
	default:
		c.banner(told)
	}
	return nil, errDenied
}

// hangUp ends the connection once what is being answered is sent.
func (c *connection) hangUp() {
	// The next read fails; what is written goes out before.
	_ = c.conn.SetReadDeadline(time.Now())
}

// banner shows lines where there is no prompt to show them with.
func (c *connection) banner(told []string) {
	if len(told) > 0 && c.preAuth != nil {
		_ = c.preAuth.SendAuthBanner(strings.Join(told, "\r\n") + "\r\n") // nobody is left to tell
	}
}

func (c *connection) password(conn ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
	return c.outcome(c.broker.step(fields.Message(messages.AskPassword).Text(conn.User()).Blob(password).Bytes))
}

// offered says whether a key may be proven. Nothing of it is kept for later:
// a client may sign with another (CVE-2024-45337).
func (c *connection) offered(conn ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	outcome, _, err := c.broker.step(fields.Message(messages.AskOffer).Text(conn.User()).Blob(key.Marshal()).Bytes)
	if err != nil {
		c.hangUp()
		return nil, err
	}
	if outcome != messages.Partial {
		if outcome == messages.Ended {
			c.hangUp()
		}
		return nil, errDenied
	}
	if key.Type() == ssh.KeyAlgoSKED25519 || key.Type() == ssh.CertAlgoSKED25519v01 {
		// The broker sees whether it was touched, and whether it has to be.
		return &ssh.Permissions{Extensions: map[string]string{"no-touch-required": ""}}, nil
	}
	return nil, nil
}

// proven passes on the key whose signature was right, with the signature if it
// can be had.
func (c *connection) proven(conn ssh.ConnMetadata, key ssh.PublicKey, _ *ssh.Permissions, format string) (*ssh.Permissions, error) {
	w := fields.Message(messages.AskProve).Text(conn.User()).Blob(key.Marshal()).Text(key.Type()).Blob(signatureBehind(key)).Text(format)
	return c.outcome(c.broker.step(w.Bytes))
}

// signatureBehind is the signature that came with an ed25519 key. The library
// checks signatures and shows them to nobody, but such a key is a part of the
// message that it came in, and the signature follows. If that changes one day
// the broker lets nobody in by such a key, and a test says so.
func signatureBehind(key ssh.PublicKey) []byte {
	cert, certified := key.(*ssh.Certificate)
	if certified {
		key = cert.Key
	}
	public, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return nil
	}
	bytes, ok := public.CryptoPublicKey().(ed25519.PublicKey)
	if !ok || len(bytes) != ed25519.PublicKeySize {
		return nil
	}
	r := fields.NewReader(bytes[ed25519.PublicKeySize:cap(bytes)])
	if key.Type() == ssh.KeyAlgoSKED25519 {
		r.Blob() // the application
	}
	if certified {
		skipCertificate(r)
	}
	return r.Blob()
}

// skipCertificate takes what follows the key in a certificate, see
// PROTOCOL.certkeys of OpenSSH.
func skipCertificate(r *fields.Reader) {
	r.U64() // serial
	r.U32() // type
	r.Blob()
	r.Blob() // principals
	r.U64()  // valid after
	r.U64()  // valid before
	for range 5 {
		r.Blob() // options, extensions, reserved, authority, signature
	}
}

// tellTimeout is how long somebody may look at what a client shows.
const tellTimeout = 2 * time.Minute

// interactive has the broker ask what it wants to.
func (c *connection) interactive(conn ssh.ConnMetadata, challenge ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
	outcome, told, err := c.broker.stepOrAsk(fields.Message(messages.AskInteractive).Text(conn.User()).Bytes, func(p prompt) (string, error) {
		instruction, text := asking(p.told, p.text)
		answers, err := challenge("", instruction, []string{text}, []bool{p.shown})
		if err != nil {
			return "", err
		}
		if len(answers) != 1 {
			return "", errDenied
		}
		return answers[0], nil
	})
	if err == nil && len(told) > 0 && outcome != messages.Partial {
		// A round without questions shows what is left to say. The outcome stands:
		// some clients answer it with what they answered before, and the code is
		// used up. One that answers nothing is not waited for without end.
		_ = c.conn.SetReadDeadline(time.Now().Add(tellTimeout))
		_, _ = challenge("", strings.Join(told, "\n"), nil, nil)
		_ = c.conn.SetReadDeadline(time.Time{})
		told = nil
	}
	return c.outcome(outcome, told, err)
}
