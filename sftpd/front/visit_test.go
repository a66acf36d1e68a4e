package main

import (
	"errors"
	"slices"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftpd/packet"
	"github.com/otpgate/otpgate/internal/sftpd/talk"
)

// testVisit is a connection, and the broker's end of its line, which answers
// each message with the next of answers.
func testVisit(t *testing.T, answers ...[]byte) (v *visit, asked func() [][]byte) {
	t.Helper()
	ours, _ := pair(t)
	line, theirs, err := packet.Pair()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(int(theirs.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	broker, err := packet.New(fd)
	if err != nil {
		t.Fatal(err)
	}
	var messages [][]byte
	over := make(chan struct{})
	go func() {
		defer close(over)
		buffer := make([]byte, talk.MaxLine)
		for {
			n, _, err := broker.Receive(buffer)
			if err != nil {
				return
			}
			messages = append(messages, slices.Clone(buffer[:n]))
			if len(answers) > 0 {
				_ = broker.Send(answers[0])
				answers = answers[1:]
			}
		}
	}()
	stop := func() { line.Close(); <-over; broker.Close() }
	t.Cleanup(stop)
	return &visit{conn: ours, line: &brokerLine{conn: line}}, func() [][]byte { line.Close(); <-over; return messages }
}

func outcome(outcome uint8, told ...string) []byte {
	var w packet.Writer
	return w.U8(talk.AnswerOutcome).U8(outcome).Texts(told).Bytes
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
	}{"accepted": {talk.Accepted, true}, "denied": {talk.Denied, false}, "over": {talk.Over, false}} {
		v, _ := testVisit(t, outcome(test.outcome, "your password expires in 3 days"))
		permissions, err := v.interactive(metadata{}, odd)
		if (err == nil) != test.in || (permissions != nil) != test.in {
			t.Errorf("%s: in %v, %v", name, permissions, err)
		}
		if !test.in && !errors.Is(err, errDenied) {
			t.Errorf("%s: expected that the broker's outcome is told, found %v", name, err)
		}
	}
}
