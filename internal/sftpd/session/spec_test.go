package session

import (
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/config"
)

// A directory that is missing is the commonest thing wrong with sftp.root.
func TestLogSaysHowToMakeTheRoot(t *testing.T) {
	_, err := SpecOf("alice", &Person{Home: "/home/alice"}, config.SFTP{Root: "/no-such-directory/%u"})
	if want := "make it with install -d -m 755 /no-such-directory/alice"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, expected %s", err, want)
	}
}
