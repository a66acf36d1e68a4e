package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/wneessen/go-mail"

	"github.com/otpgate/otpgate/internal/deliver"
)

// newServer returns what gives a message to the SMTP server.
func (m *mailer) newServer() (func(context.Context, *mail.Msg) error, error) {
	server, problem := m.settings.Server()
	if problem != "" {
		return nil, fmt.Errorf("smtp: %s", problem)
	}
	trust, err := tlsConfig(server.Host, m.settings.CAFile)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, letter *mail.Msg) error {
		line := &connection{ctx: ctx}
		if server.TLS {
			line.tls = trust
		}
		defer line.close()
		options := []mail.Option{
			mail.WithPort(server.Port), mail.WithTLSConfig(trust), mail.WithTLSPolicy(m.policy(server.TLS)),
			mail.WithTimeout(m.settings.Timeout.Duration), mail.WithDialContextFunc(line.dial), mail.WithoutNoop(),
			// The addresses are ASCII; with it some servers could not pass the message on.
			mail.WithoutSMTPUTF8(),
		}
		login := &bearer{username: m.settings.Username, token: m.token, server: server}
		switch {
		case m.settings.HasToken():
			options = append(options, mail.WithSMTPAuthCustom(login))
		case m.settings.Username != "":
			options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover),
				mail.WithUsername(m.settings.Username), mail.WithPassword(m.password))
		}
		client, err := mail.NewClient(server.Host, options...)
		if err != nil {
			return err
		}
		err = client.DialAndSendWithContext(ctx, letter)
		if letter.IsDelivered() {
			return nil // and the good-bye went wrong
		}
		known := !mayBeTaken(err)
		if login.said != "" {
			err = fmt.Errorf("%w; of the token the server said: %s", brief(err), login.said)
		}
		err = fmt.Errorf("%s: %w%s", m.settings.SMTP, unreachable(brief(err)), hint(err, m.settings.SMTP))
		if known {
			err = deliver.NotSent(err)
		}
		return err
	}, nil
}

// mayBeTaken says whether the server may have the message: it had the whole of it, and has
// not refused it.
func mayBeTaken(err error) bool {
	var failed *mail.SendError
	return errors.As(err, &failed) && failed.Reason == mail.ErrSMTPDataClose && failed.ErrorCode() < 400
}

// hint says what to do about what mail libraries only name.
func hint(err error, url string) string {
	text := err.Error()
	var name x509.HostnameError
	var unknown x509.UnknownAuthorityError
	switch {
	case strings.Contains(text, "STARTTLS mode set to"):
		return `; the server offers no STARTTLS: for one on this machine, starttls = "off"`
	case strings.Contains(text, "SMTP Auth autodiscover"):
		return "; the server offers no way to log in that is safe on this connection"
	case errors.As(err, &name), errors.As(err, &unknown), strings.Contains(text, "x509: "):
		return fmt.Sprintf(`; name the server in smtp as its certificate does, give ca_file its issuer, or for one on this machine say starttls = "off" (found %s)`, url)
	}
	return ""
}

// brief leaves out what the library adds about the message.
func brief(err error) error {
	if text, _, found := strings.Cut(err.Error(), ", affected "); found {
		return errors.New(text)
	}
	return err
}

// policy is about STARTTLS. Within TLS there is none to ask for, RFC 3207
// section 4.2; the library then only looks whether the connection has TLS.
func (m *mailer) policy(already bool) mail.TLSPolicy {
	switch {
	case already:
		return mail.TLSOpportunistic
	case m.settings.StartTLS == "off":
		return mail.NoTLS
	}
	return mail.TLSMandatory
}

// connection is one to a server. The library leaves it open after an error, and
// knows the context only until it is made.
type connection struct {
	ctx  context.Context
	tls  *tls.Config
	raw  net.Conn
	stop func() bool
}

func (c *connection) dial(ctx context.Context, network, address string) (net.Conn, error) {
	raw, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c.raw = raw
	c.stop = context.AfterFunc(c.ctx, func() { raw.Close() })
	heard := &boundedConn{Conn: raw, left: maxSaid}
	if c.tls == nil {
		return heard, nil
	}
	secured := tls.Client(heard, c.tls)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS with %s: %w", address, err)
	}
	return secured, nil
}

// maxSaid is what a mail server may say in all, in bytes, far above what one
// has to. The library keeps a line until it ends, also before the server has
// shown a certificate.
const maxSaid = 256 << 10

// boundedConn is a connection that somebody else may not fill the memory by.
type boundedConn struct {
	net.Conn
	left int
}

func (b *boundedConn) Read(data []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the server said more than %d bytes", maxSaid)
	}
	n, err := b.Conn.Read(data[:min(len(data), b.left)])
	b.left -= n
	return n, err
}

func (c *connection) close() {
	if c.raw != nil {
		c.stop()
		c.raw.Close()
	}
}

// unreachable adds what an admin cannot see in EPERM: systemd's filter.
func unreachable(err error) error {
	if errors.Is(err, syscall.EPERM) {
		return fmt.Errorf("%w; if this is the service otpgate-verifierd, its unit needs IPAddressAllow= in a drop-in", err)
	}
	return err
}
