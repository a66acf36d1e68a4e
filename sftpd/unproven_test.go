package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
)

// enrollingFront is a front that is taken over: it claims that a key of somebody
// who has not enrolled was proven, enrolls a phone of its own, and gives a code of
// that.
func enrollingFront(t *testing.T, front *seqpacket.Conn, key []byte) (outcome uint8) {
	t.Helper()
	buffer := make([]byte, messages.MaxSize)
	next := message(messages.AskProve).Text(anybody).Blob(key).Text(kindOf(key)).Blob(nil).Text("rsa-sha2-512")
	var secret string
	for range 20 {
		if err := front.Send(next.Bytes); err != nil {
			return outcome
		}
		n, _, err := front.Receive(buffer)
		if err != nil {
			return outcome
		}
		r := seqpacket.NewReader(buffer[:n])
		if r.U8() == messages.AnswerOutcome {
			if outcome = r.U8(); outcome != messages.Partial {
				return outcome
			}
			next = message(messages.AskInteractive).Text(anybody)
			continue
		}
		for _, told := range r.Texts() {
			if _, shown, found := strings.Cut(told, "Key: "); found {
				secret = strings.ReplaceAll(shown, " ", "")
			}
		}
		answer := "key"
		if secret != "" {
			if answer, err = totp.GenerateCode(secret, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		next = message(messages.AskAnswer).Bool(true).Text(answer)
	}
	return outcome
}

// A key that only the front has seen proven enrolls nobody: the code would be the
// front's word as well.
func TestUnprovenKeyEnrollsNobody(t *testing.T) {
	key := publicKey("ssh-rsa")
	keys, _ := keysCommandOf(t, authorizedLine(key))
	for setting, believed := range map[string]bool{"with-code": false, "allow": true} {
		b := testBroker(t, "[policy]\nrequire = [\"@all\"]\nunenrolled = \"enroll\"\n"+keys+"unproven_keys = \""+setting+"\"\n")
		file := filepath.Join(b.settings().Paths.Users, anybody+".toml")
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		v, front := testConnection(t, b)
		served := make(chan struct{})
		go func() {
			v.serve(func() {})
			v.end()
			close(served)
		}()
		outcome := enrollingFront(t, front, key)
		front.Close()
		<-served
		if v.in != believed {
			t.Errorf("%s: in %v, outcome %d", setting, v.in, outcome)
		}
		if _, err := os.Stat(file); (err == nil) != believed {
			t.Errorf("%s: the secret file: %v", setting, err)
		}
	}
}
