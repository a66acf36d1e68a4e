package main

import (
	"io"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket/seqpackettest"
)

// asWorker is a worker's end of a connection that is answered.
func asWorker(t *testing.T, homes bool) *seqpacket.Conn {
	t.Helper()
	ours, worker := seqpackettest.Pair(t)
	ended := make(chan struct{})
	go func() {
		answerNames(ours, homes)
		close(ended)
	}()
	t.Cleanup(func() { worker.Close(); <-ended })
	return worker
}

// Nothing but names comes back, and homes where they can be seen.
func TestAnswerNames(t *testing.T) {
	for _, test := range []struct {
		kind  uint8
		about string
		homes bool
		want  string
	}{
		{messages.NameOfUser, "0", true, "root"},
		{messages.NameOfGroup, "0", true, "root"},
		{messages.HomeOfUser, "root", true, "/root"},
		{messages.HomeOfUser, "root", false, ""},
		{messages.HomeOfUser, "no such\x00user", true, ""},
		{messages.NameOfUser, "root", true, ""},
		{messages.NameOfUser, "", true, ""},
		{messages.NameOfUser, "3999999", true, ""},
		{messages.NameOfGroup, "../../etc/shadow", true, ""},
		{0, "0", true, ""},
		{9, "root", true, ""},
	} {
		worker := asWorker(t, test.homes)
		for range 2 {
			if err := worker.Send(fields.Message(test.kind).Text(test.about).Bytes); err != nil {
				t.Fatal(err)
			}
			buffer := make([]byte, messages.MaxNameAnswer)
			n, _, err := worker.Receive(buffer)
			if err != nil {
				t.Fatal(err)
			}
			r := fields.NewReader(buffer[:n])
			if answer := r.Text(); answer != test.want || r.Done() != nil {
				t.Errorf("%d of %q: expected %q, found %q", test.kind, test.about, test.want, answer)
			}
		}
	}
}

// A worker that somebody has taken over is not answered what it makes up, and
// its descriptors are not kept.
func TestAnswerGarbage(t *testing.T) {
	var long fields.Writer
	long.U8(messages.NameOfUser).Text(strings.Repeat("0", messages.MaxNameQuestion))
	for _, message := range []string{"\x01", "\x01\x00\x00\x00\x05", "\x01\xff\xff\xff\xffx", "\x01\x00\x00\x00\x010more", string(long.Bytes)} {
		worker := asWorker(t, true)
		if err := worker.Send([]byte(message), 0); err != nil {
			t.Fatal(err)
		}
		if _, _, err := worker.Receive(make([]byte, 100)); err != io.EOF {
			t.Errorf("%q: expected the end, found %v", message, err)
		}
	}
}
