package main

import (
	"crypto/ed25519"
	"errors"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/internal/sftpd/algorithms"
	"github.com/otpgate/otpgate/internal/sftpd/packet"
	"github.com/otpgate/otpgate/internal/sftpd/talk"
)

// visit is one connection.
type visit struct {
	front    *front
	settings talk.Settings
	room     *room
	conn     *conn
	line     *brokerLine
	remote   string
	client   string // how it identifies itself
	preAuth  ssh.ServerPreAuthConn
	channels activity
	copying  turns
}

// errDenied is what a client hears as a failure.
var errDenied = errors.New("denied")

func (v *visit) serve() {
	defer v.line.conn.Close()
	defer v.conn.Close()
	config, err := v.config()
	if err != nil {
		return
	}
	client, steered, err := v.conn.steer(v.settings.Version)
	if err != nil {
		return
	}
	if steered != nil {
		config.Ciphers = steered
	}
	conn, channels, requests, err := ssh.NewServerConn(v.conn, config)
	if err != nil {
		v.tellUnmatched(client, err)
		return
	}
	defer conn.Close()
	v.conn.quick.Store(false)
	v.client = string(conn.ClientVersion())
	v.serveChannels(conn, channels, requests)
}

// lists are the library's names for those of a key exchange.
var lists = map[string]uint8{
	"key exchange": talk.ListKeyExchange, "host key": talk.ListHostKey,
	"client to server cipher": talk.ListCipher, "server to client cipher": talk.ListCipher,
	"client to server MAC": talk.ListMAC, "server to client MAC": talk.ListMAC,
	"client to server compression": talk.ListCompression, "server to client compression": talk.ListCompression,
}

// tellUnmatched has the broker write which list had nothing in common, if that
// is why there was no handshake.
func (v *visit) tellUnmatched(client string, err error) {
	var failed *ssh.AlgorithmNegotiationError
	if !errors.As(err, &failed) || lists[failed.What] == 0 {
		return
	}
	theirs := strings.Join(failed.RequestedAlgorithms, ",")
	var w packet.Writer
	w.U8(talk.AskUnmatched).U8(lists[failed.What]).Text(clip(client, maxVersion)).Text(clip(theirs, talk.MaxNote))
	_ = v.line.note(w.Bytes) // the broker is gone
}

func (v *visit) config() (*ssh.ServerConfig, error) {
	config := &ssh.ServerConfig{
		Config:                  ssh.Config{KeyExchanges: algorithms.KeyExchanges(), Ciphers: algorithms.Ciphers(), MACs: algorithms.MACs()},
		PublicKeyAuthAlgorithms: algorithms.UserSignatures(),
		ServerVersion:           v.settings.Version,
		MaxAuthTries:            maxTries,
		PreAuthConnCallback:     func(conn ssh.ServerPreAuthConn) { v.preAuth = conn },
		BannerCallback:          func(ssh.ConnMetadata) string { return v.settings.Banner },
	}
	if v.settings.Passwords {
		config.PasswordCallback = v.password
		config.KeyboardInteractiveCallback = v.interactive
	}
	if v.settings.PublicKeys {
		config.PublicKeyCallback = v.offered
		config.VerifiedPublicKeyCallback = v.proven
	}
	for _, key := range v.settings.HostKeys {
		public, err := ssh.ParsePublicKey(key)
		if err != nil {
			return nil, err
		}
		config.AddHostKey(signer{v.line, public})
	}
	return config, nil
}

// maxTries is as in sshd. The broker counts too.
const maxTries = 6

// outcome turns the broker's word into what x/crypto/ssh wants. After a partial
// success keyboard-interactive alone goes on.
func (v *visit) outcome(outcome uint8, told []string, err error) (*ssh.Permissions, error) {
	if err != nil {
		v.hangUp()
		return nil, err
	}
	switch outcome {
	case talk.Accepted:
		v.banner(told)
		return &ssh.Permissions{}, nil
	case talk.Partial:
		v.banner(told)
		return nil, &ssh.PartialSuccessError{Next: ssh.ServerAuthCallbacks{KeyboardInteractiveCallback: v.interactive}}
	case talk.Over:
		v.banner(told)
		v.hangUp()
	default:
		v.banner(told)
	}
	return nil, errDenied
}

// hangUp ends the connection once what is being answered is sent.
func (v *visit) hangUp() {
	// The next read fails; what is written goes out before.
	_ = v.conn.SetReadDeadline(time.Now())
}

// banner shows lines where there is no prompt to show them with.
func (v *visit) banner(told []string) {
	if len(told) > 0 && v.preAuth != nil {
		_ = v.preAuth.SendAuthBanner(strings.Join(told, "\r\n") + "\r\n") // nobody is left to tell
	}
}

func (v *visit) password(conn ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
	var w packet.Writer
	return v.outcome(v.line.step(w.U8(talk.AskPassword).Text(conn.User()).Blob(password).Bytes))
}

// offered says whether a key may be proven. Nothing of it is kept for later:
// a client may sign with another (CVE-2024-45337).
func (v *visit) offered(conn ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	var w packet.Writer
	outcome, _, err := v.line.step(w.U8(talk.AskOffer).Text(conn.User()).Blob(key.Marshal()).Bytes)
	if err != nil {
		v.hangUp()
		return nil, err
	}
	if outcome != talk.Partial {
		if outcome == talk.Over {
			v.hangUp()
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
func (v *visit) proven(conn ssh.ConnMetadata, key ssh.PublicKey, _ *ssh.Permissions, format string) (*ssh.Permissions, error) {
	var w packet.Writer
	w.U8(talk.AskProve).Text(conn.User()).Blob(key.Marshal()).Text(key.Type()).Blob(signatureBehind(key)).Text(format)
	return v.outcome(v.line.step(w.Bytes))
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
	r := packet.NewReader(bytes[ed25519.PublicKeySize:cap(bytes)])
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
func skipCertificate(r *packet.Reader) {
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

// tellPatience is how long somebody may look at what a client shows.
const tellPatience = 2 * time.Minute

// interactive has the broker ask what it wants to.
func (v *visit) interactive(conn ssh.ConnMetadata, challenge ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
	var w packet.Writer
	outcome, told, err := v.line.stepOrAsk(w.U8(talk.AskInteractive).Text(conn.User()).Bytes, func(p prompt) (string, error) {
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
	if err == nil && len(told) > 0 && outcome != talk.Partial {
		// A round without questions shows what is left to say. The outcome stands:
		// some clients answer it with what they answered before, and the code is
		// spent. One that answers nothing is not waited for without end.
		_ = v.conn.SetReadDeadline(time.Now().Add(tellPatience))
		_, _ = challenge("", strings.Join(told, "\n"), nil, nil)
		_ = v.conn.SetReadDeadline(time.Time{})
		told = nil
	}
	return v.outcome(outcome, told, err)
}
