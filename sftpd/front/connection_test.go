package main

import (
	"errors"
	"slices"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
)

// testConnection is a connection, and the broker's end of its socket, which answers
// each message with the next of answers.
func testConnection(t *testing.T, answers ...[]byte) (c *connection, asked func() [][]byte) {
	t.Helper()
	ours, _ := pair(t)
	socket, theirs, err := seqpacket.Pair()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(int(theirs.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	broker, err := seqpacket.New(fd)
	if err != nil {
		t.Fatal(err)
	}
	var received [][]byte
	over := make(chan struct{})
	go func() {
		defer close(over)
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
	stop := func() { socket.Close(); <-over; broker.Close() }
	t.Cleanup(stop)
	return &connection{conn: ours, broker: &brokerConn{conn: socket}}, func() [][]byte { socket.Close(); <-over; return received }
}

func outcome(outcome uint8, told ...string) []byte {
	var w seqpacket.Writer
	return w.U8(messages.AnswerOutcome).U8(outcome).Texts(told).Bytes
}

type metadata struct{ ssh.ConnMetadata }

func (metadata) User() string { return "alice" }

// Once the broker has said yes the code is spent. A client that answers the
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
	}{"accepted": {messages.Accepted, true}, "denied": {messages.Denied, false}, "over": {messages.Ended, false}} {
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
