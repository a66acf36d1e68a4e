package transport

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/wneessen/go-mail/smtp"

	"github.com/otpgate/otpgate/internal/bounded"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
)

// tokenFrom runs the command that prints a token, for one message, as whoever
// sends that. All that it started is killed when ctx ends.
func tokenFrom(ctx context.Context, command []string) (string, error) {
	token, complaint := &bounded.Output{Most: config.MaxToken + 2}, &bounded.Output{Most: maxComplaint, Discard: true}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = token, complaint, "/"
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		err = fmt.Errorf("it did not end in time: %w", ctx.Err())
	case token.Truncated():
		err = fmt.Errorf("it printed more than %d bytes", config.MaxToken)
	}
	if err != nil {
		return "", fmt.Errorf("token_command: %s: %w; it said: %s", command[0], err, deliver.Clean(string(complaint.Bytes()), maxReason))
	}
	line, problem := config.ParseToken(token.Bytes())
	if problem != "" {
		return "", fmt.Errorf("token_command: %s: expected that it prints %s", command[0], problem)
	}
	return line, nil
}

// bearer logs in with a token: OAUTHBEARER (RFC 7628), or XOAUTH2, which is
// older and all that some servers have.
type bearer struct {
	username, token string
	server          config.Server
	mechanism       string
	// said is what the server gave as its reason before it refused.
	said string
}

const (
	oauthBearer = "OAUTHBEARER"
	xoauth2     = "XOAUTH2"
)

var errNoBearer = errors.New("the server offers neither OAUTHBEARER nor XOAUTH2, by which a token logs in")

// Start implements smtp.Auth.
func (b *bearer) Start(server *smtp.ServerInfo) (mechanism string, response []byte, err error) {
	auth := "auth=Bearer " + b.token + "\x01\x01"
	switch {
	case !server.TLS:
		return "", nil, errors.New("a token is for connections with TLS alone")
	case slices.Contains(server.Auth, oauthBearer):
		// RFC 5801 section 4: what these two stand for ends the name.
		name := strings.NewReplacer("=", "=3D", ",", "=2C").Replace(b.username)
		b.mechanism = oauthBearer
		return oauthBearer, fmt.Appendf(nil, "n,a=%s,\x01host=%s\x01port=%d\x01%s", name, b.server.Host, b.server.Port, auth), nil
	case slices.Contains(server.Auth, xoauth2):
		b.mechanism = xoauth2
		return xoauth2, []byte("user=" + b.username + "\x01" + auth), nil
	}
	return "", nil, fmt.Errorf("%w, only: %s", errNoBearer, strings.Join(server.Auth, " "))
}

// Next implements smtp.Auth. Who refuses says why before, and waits for an answer
// without a meaning.
func (b *bearer) Next(fromServer []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	if b.said != "" {
		return nil, errors.New("the server goes on asking")
	}
	b.said = deliver.Clean(string(fromServer), maxReason)
	if b.said == "" {
		b.said = "nothing"
	}
	if b.mechanism == oauthBearer {
		return []byte("\x01"), nil
	}
	return []byte{}, nil
}
