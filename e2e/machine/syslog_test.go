package machine

import (
	"slices"
	"testing"
)

// Whatever is looked for, the lines are those that a search of all would find.
func TestLinesOfAUser(t *testing.T) {
	log := &Syslog{caughtUp: map[string]chan struct{}{}}
	for _, text := range []string{
		"<86>otpgate: user=amy verdict=accepted", "<86>otpgate: user=amy-2 verdict=denied", "<86>pam_unix: ruser= rhost=::1 user=amy",
		"<86>pam_unix: ruser=amy rhost=::1 user=bob x", "<86>otpgate: user=bob user=amy user=bob verdict=fault", "<86>user=", "<86>user= ", "<86>nobody",
	} {
		log.take(text)
	}
	for _, texts := range [][]string{
		{}, {"user=amy"}, {"user=amy "}, {"ruser=amy "}, {"user=bob "}, {"user=bob user=amy "}, {"verdict", "user=amy "},
		{"user=amy ", "user=bob "}, {"user="}, {"user= "}, {"user=carol "}, {"user=amy v"}, {"verdict"},
	} {
		var want []Line
		for _, line := range log.lines {
			if holdsAll(line.Text, texts) {
				want = append(want, line)
			}
		}
		if got := log.held(texts); !slices.Equal(got, want) {
			t.Errorf("%q: found %v, expected %v", texts, got, want)
		}
	}
}
