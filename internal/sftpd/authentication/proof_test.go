package authentication

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
	"github.com/otpgate/otpgate/internal/sftpd/sftpdtest"
)

// enrollingFront is a front that is taken over: it claims that a key of somebody
// who has not enrolled was proven, enrolls a phone of its own, and gives a code of
// that.
func enrollingFront(t *testing.T, front *seqpacket.Conn, key []byte) (outcome uint8) {
	t.Helper()
	buffer := make([]byte, messages.MaxSize)
	next := fields.Message(messages.AskProve).Text(sftpdtest.Anybody).Blob(key).Text(kindOf(key)).Blob(nil).Text("rsa-sha2-512")
	var secret string
	for range 20 {
		if err := front.Send(next.Bytes); err != nil {
			return outcome
		}
		n, _, err := front.Receive(buffer)
		if err != nil {
			return outcome
		}
		r := fields.NewReader(buffer[:n])
		if r.U8() == messages.AnswerOutcome {
			if outcome = r.U8(); outcome != messages.Partial {
				return outcome
			}
			next = fields.Message(messages.AskInteractive).Text(sftpdtest.Anybody)
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
		next = fields.Message(messages.AskAnswer).Bool(true).Text(answer)
	}
	return outcome
}

// A key that only the front has seen proven enrolls nobody: the code would be the
// front's word as well.
func TestUnprovenKeyEnrollsNobody(t *testing.T) {
	key := sftpdtest.PublicKey("ssh-rsa")
	keys, _ := keysCommandOf(t, authorizedLine(key))
	for setting, believed := range map[string]bool{"with-code": false, "allow": true} {
		l, front := testLogin(t, "[policy]\nrequire = [\"@all\"]\nunenrolled = \"enroll\"\n"+keys+"unproven_keys = \""+setting+"\"\n")
		file := filepath.Join(l.engine.(*gate.Gate).Config.Paths.Users, sftpdtest.Anybody+".toml")
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		served := make(chan struct{})
		go func() { serve(l); close(served) }()
		outcome := enrollingFront(t, front, key)
		front.Close()
		<-served
		if in := l.Entered() != nil; in != believed {
			t.Errorf("%s: in %v, outcome %d", setting, in, outcome)
		}
		if _, err := os.Stat(file); (err == nil) != believed {
			t.Errorf("%s: the secret file: %v", setting, err)
		}
	}
}

// Somebody's public key is no secret: offering it again and again has an end.
func TestOffersOfARightKeyHaveAnEnd(t *testing.T) {
	key := sftpdtest.PublicKey(kindED25519)
	policy, asked := keysCommandOf(t, authorizedLine(key))
	l, front := testLogin(t, policy)
	var sent []*fields.Writer
	for range 2 * maxOffered {
		sent = append(sent, fields.Message(messages.AskOffer).Text(sftpdtest.Anybody).Blob(key))
	}
	serveScript(l, front, sent...)
	if n := strings.Count(asked(), "\n"); n != maxOffered || l.Failures() == 0 {
		t.Errorf("the command was asked %d times, expected %d", n, maxOffered)
	}
}

func TestProofsAreGoodOnce(t *testing.T) {
	const alice, bob = 1000, 1001
	var s replays
	id := func(n int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }
	for n := range maxReplays + 1 {
		if !s.fresh(alice, id(n)) {
			t.Fatalf("session %d was there already", n)
		}
	}
	for n := 1; n <= maxReplays; n++ {
		if s.fresh(alice, id(n)) {
			t.Fatalf("session %d was forgotten", n)
		}
	}
	if len(s.of[alice].ids) != maxReplays {
		t.Errorf("%d are remembered", len(s.of[alice].ids))
	}
	if !s.fresh(bob, id(5)) {
		t.Error("one person's sessions are another's")
	}
}
