package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/internal/sftpd/admission"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/sftpdtest"
)

// A connection's host keys are those of its beginning: whoever is in when others
// are put in their place goes on with the one that the client knows, and those
// that come after get the new one.
func TestHostKeysUnderARunningConnection(t *testing.T) {
	b := testBroker(t, "")
	old := b.keys
	c, front := testConnection(t, b)
	go func() { c.serve(func() {}); c.end() }()
	defer front.Close()
	ask := func(key hostKey, data string) bool {
		t.Helper()
		buffer := make([]byte, messages.MaxSize)
		if err := front.Send(fields.Message(messages.AskSign).Blob(key.public).Text("ssh-ed25519").Blob([]byte(data)).Bytes); err != nil {
			t.Fatal(err)
		}
		n, _, err := front.Receive(buffer)
		if err != nil {
			return false
		}
		r := fields.NewReader(buffer[:n])
		r.U8()
		return key.signer.PublicKey().Verify([]byte(data), &ssh.Signature{Format: r.Text(), Blob: r.Blob()}) == nil
	}
	if !ask(old[0], strings.Repeat("a", 32)) {
		t.Fatal("the first exchange is not signed")
	}
	found, err := loadHostKeys([]string{filepath.Join(t.TempDir(), "ssh_host_ed25519_key")}, true)
	if err != nil {
		t.Fatal(err)
	}
	fresh := found.keys
	b.mu.Lock()
	b.keys = fresh
	b.mu.Unlock()
	if !ask(old[0], strings.Repeat("b", 32)) {
		t.Error("the next exchange is not signed by the key of the connection")
	}
	if ask(fresh[0], strings.Repeat("c", 32)) {
		t.Error("signed by a key that the client does not know")
	}
}

// A stranger has the server exchange keys a few times at most.
func TestKeyExchangesBeforeTheLogin(t *testing.T) {
	b, records := recordingBroker(t, "")
	c, front := testConnection(t, b)
	var sent []*fields.Writer
	for n := range byte(3 * maxExchanges) {
		sent = append(sent, fields.Message(messages.AskSign).Blob(b.keys[0].public).Text("ssh-ed25519").Blob([]byte(strings.Repeat(string('a'+n), 32))))
	}
	say(c, front, sftpdtest.Script(sent...))
	if c.exchanges != maxExchanges+1 || string(c.sessionID) != strings.Repeat("a", 32) {
		t.Errorf("%d exchanges, session %q", c.exchanges, c.sessionID)
	}
	if len(*records) != 1 || (*records)[0].Rule != admission.ByKeyExchange || (*records)[0].Reason != "more than 4 key exchanges before the login" {
		t.Errorf("%+v", *records)
	}
	if c.result() != (admission.Result{Penalty: admission.PenaltyNothing}) {
		t.Errorf("%+v", c.result())
	}
	// Who is in may exchange keys for as long as the connection lasts.
	c, front = testConnection(t, testBroker(t, noCodes))
	for _, m := range sent {
		m.Bytes = bytes.Replace(m.Bytes, b.keys[0].public, c.keys[0].public, 1)
	}
	sent = append([]*fields.Writer{fields.Message(messages.AskPassword).Text(sftpdtest.Anybody).Text(sftpdtest.RightPassword)}, sent...)
	if say(c, front, sftpdtest.Script(sent...)); !in(c) || c.exchanges != len(sent)-1 {
		t.Errorf("in %v, %d of %d exchanges after the login", in(c), c.exchanges, len(sent)-1)
	}
}

// Who is in has the broker sign now and then, and not as fast as it can: the time is that
// of others who log in.
func TestSignaturesAfterTheLogin(t *testing.T) {
	b := testBroker(t, noCodes)
	start := time.Now()
	b.now = func() time.Time { return start }
	var paused atomic.Int64
	b.authenticator.Pause = func(d time.Duration) { paused.Add(int64(d)) }
	c, front := testConnection(t, b)
	go func() { c.serve(func() {}); c.end() }()
	defer front.Close()
	buffer := make([]byte, messages.MaxSize)
	signs := func(message *fields.Writer) bool {
		t.Helper()
		if err := front.Send(message.Bytes); err != nil {
			t.Fatal(err)
		}
		n, _, err := front.Receive(buffer)
		if err != nil {
			t.Fatal(err)
		}
		r := fields.NewReader(buffer[:n])
		return r.U8() == messages.AnswerSignature && r.Text() != ""
	}
	signs(fields.Message(messages.AskPassword).Text(sftpdtest.Anybody).Text(sftpdtest.RightPassword))
	paused.Store(0) // what was of the login
	for n := range exchangesPerMinute + 2 {
		if !signs(fields.Message(messages.AskSign).Blob(b.keys[0].public).Text("ssh-ed25519").Blob([]byte(strings.Repeat("a", 32)))) {
			t.Fatalf("exchange %d is not signed", n)
		}
	}
	if found := time.Duration(paused.Load()); found != 2*time.Minute/exchangesPerMinute {
		t.Errorf("held up for %v, want two times a second", found)
	}
	prove := func() bool { return signs(fields.Message(messages.AskHostKey).Blob(b.keys[0].public)) }
	if !prove() || prove() {
		t.Error("expected that a host key is proven once")
	}
}
