package main

import (
	"errors"
	"slices"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket/seqpackettest"
)

// testConnection is a connection, and the broker's end of its socket, which answers
// each message with the next of answers.
func testConnection(t *testing.T, answers ...[]byte) (c *connection, asked func() [][]byte) {
	t.Helper()
	ours, _ := pair(t)
	socket, broker := seqpackettest.Pair(t)
	var received [][]byte
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buffer := make([]byte, messages.MaxSize)
		for {
			n, _, err := broker.Receive(buffer)
			if err != nil {
				return
			}
			received = append(received, slices.Clone(buffer[:n]))
			if len(answers) > 0 {
				_ = broker.Send(answers[0])
				answers = answers[1:]
			}
		}
	}()
	stop := func() [][]byte { socket.Close(); <-ended; return received }
	t.Cleanup(func() { stop() })
	return &connection{conn: ours, broker: &brokerConn{conn: socket}}, stop
}

func outcome(outcome uint8, told ...string) []byte {
	return fields.Message(messages.AnswerOutcome).U8(outcome).Texts(told).Bytes
}

type metadata struct{ ssh.ConnMetadata }

func (metadata) User() string { return "alice" }

// Once the broker has said yes the code is used up. A client that answers the
// round which shows the rest in a way of its own is in all the same, and one
// that was denied stays so.
func TestWhatCannotBeShownChangesNothing(t *testing.T) {
	odd := func(_, _ string, questions []string, _ []bool) ([]string, error) {
		if len(questions) == 0 {
			return nil, errors.New("one answer to no question")
		}
		return questions, nil
	}
	for name, test := range map[string]struct {
		outcome uint8
		in      bool
	}{"accepted": {messages.Accepted, true}, "denied": {messages.Denied, false}, "ended": {messages.Ended, false}} {
		c, _ := testConnection(t, outcome(test.outcome, "your password expires in 3 days"))
		permissions, err := c.interactive(metadata{}, odd)
		if (err == nil) != test.in || (permissions != nil) != test.in {
			t.Errorf("%s: in %v, %v", name, permissions, err)
		}
		if !test.in && !errors.Is(err, errDenied) {
			t.Errorf("%s: expected that the broker's outcome is told, found %v", name, err)
		}
	}
}
