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

func TestProcBelow(t *testing.T) {
	const mounts = `22 1 0:20 / / rw - ext4 /dev/vda rw
23 22 0:21 / /proc rw,nosuid shared:5 - proc proc rw
24 22 0:22 / /srv/a/data rw - tmpfs proc rw
25 22 0:21 / /srv/b/in/proc rw master:1 - proc proc rw
26 22 0:21 / /srv/c\040d rw - proc proc rw
`
	for root, want := range map[string]string{
		"/": "/proc", "/srv/a": "", "/srv/b": "/srv/b/in/proc", "/srv/bb": "", "/srv/b/in/proc": "/srv/b/in/proc", "/srv/c d": "/srv/c d", "/srv/c": "",
	} {
		if found, err := procBelow(root, strings.NewReader(mounts)); err != nil || found != want {
			t.Errorf("%s: %q %v, expected %q", root, found, err, want)
		}
	}
}
