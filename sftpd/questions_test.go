package main

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftpd/packet"
	"github.com/otpgate/otpgate/internal/sftpd/talk"
)

// A module that asks for ever is not answered for ever, and one that gets no
// answer asks nobody else.
func TestQuestionsAreBounded(t *testing.T) {
	line, theirs, err := packet.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	duplicate, err := unix.Dup(int(theirs.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	front, err := packet.New(duplicate)
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()
	go func() {
		buffer := make([]byte, talk.MaxLine)
		for {
			if _, _, err := front.Receive(buffer); err != nil {
				return
			}
			var w packet.Writer
			if front.Send(w.U8(talk.AskAnswer).Bool(true).Text("x").Bytes) != nil {
				return
			}
		}
	}()
	q := questions{visit: &visit{line: line}}
	for range maxQuestions {
		if answer, err := q.answer(talk.AskHidden, "New password:"); err != nil || answer != "x" {
			t.Fatalf("%q, %v", answer, err)
		}
	}
	if _, err := q.answer(talk.AskHidden, "New password:"); err == nil {
		t.Errorf("answered more than %d questions", maxQuestions)
	}
	gone := questions{visit: &visit{line: line}}
	_ = line.Close()
	if _, err := gone.answer(talk.AskHidden, "New password:"); err == nil || gone.broken == nil {
		t.Errorf("expected that the front is gone, found %v, %v", err, gone.broken)
	}
}
