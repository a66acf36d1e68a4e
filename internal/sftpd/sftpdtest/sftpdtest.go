// Package sftpdtest gives tests of the SFTP server what they need of its other
// processes: a login process that leaves PAM out, and what a front sends.
package sftpdtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
)

// RightPassword is what the login process takes for right.
const RightPassword = "right"

// HangingPassword is what the login process never answers.
const HangingPassword = "hang"

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
	receive := func() (op uint8, r *fields.Reader) {
		n, _, err := conn.Receive(buffer)
		if err != nil {
			os.Exit(0)
		}
		r = fields.NewReader(buffer[:n])
		return r.U8(), r
	}
	done := func(good bool) {
		_ = conn.Send(fields.Message(messages.PAMDone).Text(map[bool]string{false: "no"}[good]).Bytes)
	}
	for {
		switch op, r := receive(); op {
		case messages.PAMStart, messages.PAMAccount:
			done(true)
		case messages.PAMPassword:
			if given := r.Text(); given != HangingPassword {
				done(given == RightPassword)
			}
		case messages.PAMInteractive:
			_ = conn.Send(fields.Message(messages.PAMAsks).U8(messages.StyleHidden).Text("Password: ").Bytes)
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

// Anybody has an account on each machine, and a secret file in the tests.
const Anybody = "nobody"

// Config writes a configuration with a policy.
func Config(tb testing.TB, policy string) (path string) {
	tb.Helper()
	dir := tb.TempDir()
	path = filepath.Join(dir, "otpgate.toml")
	text := fmt.Sprintf("[paths]\nusers = %q\nstate = %q\n%s", dir+"/users", dir+"/state", policy)
	secret := fmt.Sprintf("version = 1\nuser = %q\n[[factor]]\nid = \"phone\"\nkind = \"totp\"\nsecret = \"JBSWY3DPEHPK3PXP\"\ndigits = 8\nconfirmed = 2026-11-22T10:00:00Z\n", Anybody)
	if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Mkdir(dir+"/users", 0o700),
		os.WriteFile(dir+"/users/"+Anybody+".toml", []byte(secret), 0o600)); err != nil {
		tb.Fatal(err)
	}
	return path
}

// PublicKey is a key as on the wire, which nobody has.
func PublicKey(kind string) []byte {
	var w fields.Writer
	return w.Text(kind).Blob(make([]byte, 32)).Bytes
}

// Script puts messages together, for Send.
func Script(sent ...*fields.Writer) []byte {
	var w fields.Writer
	for _, m := range sent {
		w.Blob(m.Bytes)
	}
	return w.Bytes
}

// Send sends what a front sent, each message behind its length, reads all
// answers, and hangs up.
func Send(front *seqpacket.Conn, sent []byte) {
	defer front.Close()
	buffer := make([]byte, messages.MaxSize)
	for r := fields.NewReader(sent); ; {
		message := r.Blob()
		if len(message) == 0 || front.Send(message) != nil {
			return
		}
		if message[0] != messages.TellOperations {
			if _, _, err := front.Receive(buffer); err != nil {
				return
			}
		}
	}
}
