package e2e

import (
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/e2e/machine"
)

// Strangers who take all the places keep nobody out from where somebody was in before.
func TestSFTPPlacesOfThoseWhoWereIn(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-places", noCodes, patient+"limits.max_startups = 4\nlimits.startups_per_source = 1\n")
	known, other := machine.NewPerson(t, "sfu"), machine.NewPerson(t, "sfu")
	knownKey, _ := newKey(t, known)
	otherKey, _ := newKey(t, other)
	_, f := files(t, s, known, knownKey)
	for range 4 {
		defer idle(t, s, machine.NewPerson(t, "sfu")).Close()
	}
	if _, err := (&sshClient{person: other, server: s}).connect(t, ssh.PublicKeys(otherKey)); err == nil {
		t.Error("somebody who was never here is let in beside four who wait")
	}
	if _, err := (&sshClient{person: known, server: s}).connect(t, ssh.PublicKeys(knownKey)); err != nil {
		t.Errorf("somebody who is in is kept out by strangers: %v", err)
	}
	if _, err := f.Getwd(); err != nil {
		t.Error(err)
	}
}
