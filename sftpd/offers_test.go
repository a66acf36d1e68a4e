package main

import (
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/sftpd/admission"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
	"github.com/otpgate/otpgate/internal/sftpd/session"
)

// A connection in which keys are offered that let nobody in is penalized as one
// that names nobody: offering costs a stranger nothing, and the server a look at
// files and a program. One that failed otherwise is penalized for that alone.
func TestOffersThatComeToNothing(t *testing.T) {
	for name, test := range map[string]struct {
		sent []byte
		want admission.Result
	}{
		"nobody": {script(message(messages.AskPassword)), admission.Result{Penalty: admission.PenaltyNothing}},
		"a key":  {script(message(messages.AskOffer).Text(anybody).Blob(publicKey(kindED25519))), admission.Result{Penalty: admission.PenaltyNothing}},
		"a key and a password": {script(message(messages.AskOffer).Text(anybody).Blob(publicKey(kindED25519)),
			message(messages.AskPassword).Text(anybody).Text("wrong")), admission.Result{Penalty: admission.PenaltyFailed}},
		"left at the question": {script(message(messages.AskInteractive).Text(anybody)), admission.Result{Penalty: admission.PenaltyNothing}},
	} {
		v, front := testConnection(t, testBroker(t, ""))
		if say(v, front, test.sent); v.ending() != test.want {
			t.Errorf("%s: expected %+v, found %+v", name, test.want, v.ending())
		}
	}
}

// A stranger has the server exchange keys a few times at most.
func TestKeyExchangesBeforeTheLogin(t *testing.T) {
	b, records := turnedBroker(t)
	v, front := testConnection(t, b)
	var sent []*seqpacket.Writer
	for n := range byte(3 * maxExchanges) {
		sent = append(sent, message(messages.AskSign).Blob(b.keys[0].public).Text("ssh-ed25519").Blob([]byte(strings.Repeat(string('a'+n), 32))))
	}
	say(v, front, script(sent...))
	if v.signed != maxExchanges+1 || string(v.sessionID) != strings.Repeat("a", 32) {
		t.Errorf("%d exchanges, session %q", v.signed, v.sessionID)
	}
	if len(*records) != 1 || (*records)[0].Rule != admission.ByKeyExchange || (*records)[0].Reason != "more than 4 key exchanges before the login" {
		t.Errorf("%+v", *records)
	}
	if v.ending() != (admission.Result{Penalty: admission.PenaltyNothing}) {
		t.Errorf("%+v", v.ending())
	}
	// Who is in may exchange keys for as long as the connection lasts.
	v, front = testConnection(t, b)
	v.in, v.user, v.person = true, anybody, &session.Person{}
	if !b.sessions.Enter(v.person.UID, 0) {
		t.Fatal("no room")
	}
	if say(v, front, script(sent...)); v.signed != len(sent) {
		t.Errorf("%d of %d exchanges after the login", v.signed, len(sent))
	}
}

// Somebody's public key is no secret: offering it again and again has an end.
func TestOffersOfARightKeyHaveAnEnd(t *testing.T) {
	key := publicKey(kindED25519)
	policy, asked := keysCommandOf(t, authorizedLine(key))
	v, front := testConnection(t, testBroker(t, policy))
	var sent []*seqpacket.Writer
	for range 2 * maxOffered {
		sent = append(sent, message(messages.AskOffer).Text(anybody).Blob(key))
	}
	say(v, front, script(sent...))
	if n := strings.Count(asked(), "\n"); n != maxOffered || v.failures == 0 {
		t.Errorf("the command was asked %d times, expected %d", n, maxOffered)
	}
}
