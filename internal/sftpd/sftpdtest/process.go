// Package sftpdtest gives tests of the SFTP server what they need of its other
// processes: a login process that leaves PAM out, and what a front sends.
package sftpdtest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
)

// RightPassword is what the login process takes for right.
const RightPassword = "right"

// Main is for a TestMain: the test is also the login process that it starts.
func Main(m *testing.M) {
	if filepath.Base(os.Args[0]) == "otpgate-sftpd-login" {
		serveLogin()
		return
	}
	os.Exit(m.Run())
}

func serveLogin() {
	conn, err := seqpacket.New(3)
	if err != nil {
		os.Exit(1)
	}
	buffer := make([]byte, seqpacket.MaxSize)
	receive := func() (op uint8, r *seqpacket.Reader) {
		n, _, err := conn.Receive(buffer)
		if err != nil {
			os.Exit(0)
		}
		r = seqpacket.NewReader(buffer[:n])
		return r.U8(), r
	}
	done := func(good bool) {
		_ = conn.Send(seqpacket.Message(messages.PAMDone).Text(map[bool]string{false: "no"}[good]).Bytes)
	}
	for {
		switch op, r := receive(); op {
		case messages.PAMStart, messages.PAMAccount:
			done(true)
		case messages.PAMPassword:
			done(r.Text() == RightPassword)
		case messages.PAMInteractive:
			_ = conn.Send(seqpacket.Message(messages.PAMAsks).U8(messages.AskHidden).Text("Password: ").Bytes)
			_, r := receive()
			given, text := r.Bool(), r.Text()
			done(given && text == RightPassword)
		case messages.PAMOpen:
			done(false) // there is no worker here
		default:
			return
		}
	}
}
