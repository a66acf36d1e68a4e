package deliver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/bounded"
	"github.com/otpgate/otpgate/internal/safefile"
)

// SenderPaths are where an installation puts the command otpgate-send: make install,
// and a distribution's package.
var SenderPaths = []string{"/usr/local/libexec/otpgate/otpgate-send", "/usr/libexec/otpgate/otpgate-send"}

// Program sends by running otpgate-send, so that its caller need not link what
// speaks to the network. The message goes over its standard input: arguments
// and environment are for others to see.
type Program struct {
	// Path is the command, absolute; "" is the first of Places that is there.
	Path string
	// Config is the configuration file it reads, absolute; "" is the default.
	Config string
}

// Request is what otpgate-send reads, as JSON.
type Request struct {
	Config  string  `json:"config"`
	Message Message `json:"message"`
}

// Answer is what otpgate-send prints, as JSON.
type Answer struct {
	Delivery Delivery `json:"delivery"`
	Error    string   `json:"error"` // "" if it was sent
}

const (
	// MaxRequest bounds the JSON that otpgate-send reads, in bytes.
	MaxRequest = 64 << 10
	// maxAnswer bounds what it may print, maxReason what is shown of that.
	maxAnswer, maxReason = 16 << 10, 1000
	// afterKill is how long a killed command's output is waited for.
	afterKill = time.Second
)

// Send runs the command. It is killed when ctx ends.
func (p Program) Send(ctx context.Context, message Message) (Delivery, error) {
	path, err := p.find()
	if err != nil {
		return Delivery{}, err
	}
	request, err := json.Marshal(Request{Config: p.Config, Message: message})
	if err != nil {
		return Delivery{}, fmt.Errorf("send: %w", err)
	}
	output := &bounded.Output{Most: maxAnswer}
	cmd := exec.CommandContext(ctx, path)
	cmd.Stdin, cmd.Stdout = bytes.NewReader(request), output
	// Empty, and not nil, which would be the caller's own.
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.WaitDelay = afterKill
	ended := cmd.Run()
	if ctx.Err() != nil {
		return Delivery{}, fmt.Errorf("send: %s did not end in time: %w", path, ctx.Err())
	}
	return understand(path, output, ended, message)
}

// understand takes the answer that the command gave before it ended.
func understand(path string, output *bounded.Output, ended error, message Message) (Delivery, error) {
	var answer Answer
	decoder := json.NewDecoder(bytes.NewReader(output.Bytes()))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&answer)
	if err == nil {
		if _, more := decoder.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("more than one answer")
		}
	}
	reason := answer.Error
	for _, secret := range []string{message.Code, message.Link} {
		if secret != "" {
			reason = strings.ReplaceAll(reason, secret, hidden)
		}
	}
	switch {
	case output.Truncated() || err != nil:
		return Delivery{}, fmt.Errorf("send: %s gave no answer that can be understood (%v)", path, state(ended))
	case reason != "":
		return Delivery{}, errors.New(Clean(reason, maxReason))
	case ended != nil:
		return Delivery{}, fmt.Errorf("send: %s failed after its answer (%v)", path, state(ended))
	case answer.Delivery.Channel != Email && answer.Delivery.Channel != SMS:
		return Delivery{}, fmt.Errorf("send: %s does not say what it has done", path)
	}
	answer.Delivery.To = Clean(answer.Delivery.To, maxReason)
	answer.Delivery.Failed = Clean(answer.Delivery.Failed, maxReason)
	return answer.Delivery, nil
}

func state(ended error) string {
	if ended == nil {
		return "exit status 0"
	}
	return ended.Error()
}

// Check says why Send could not run the command, if it could not.
func (p Program) Check() error {
	_, err := p.find()
	return err
}

// find returns a command that nobody but root, or who runs this, can have put
// there.
func (p Program) find() (string, error) {
	path, err := p.look()
	if err != nil {
		return "", fmt.Errorf("the command that sends codes: %w", err)
	}
	return path, nil
}

func (p Program) look() (string, error) {
	if p.Path != "" {
		return p.Path, safefile.CheckProgram(p.Path)
	}
	for _, path := range SenderPaths {
		if err := safefile.CheckProgram(path); !errors.Is(err, fs.ErrNotExist) {
			return path, err
		}
	}
	return "", fmt.Errorf("expected it at %s; install it, or name it with paths.sender", strings.Join(SenderPaths, " or "))
}
