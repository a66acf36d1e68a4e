package e2e

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/e2e/machine"
)

// A session that is shared does not grow with the logins that come and go in
// it: somebody's connections may follow each other for months.
func TestSFTPSharedSessionStaysSmall(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-shared", noCodes, patient+"worker = \"user\"\n")
	p := machine.NewPerson(t, "sfw")
	signer, _ := newKey(t, p)
	login := func() *sshClient {
		v := &sshClient{person: p, server: s}
		_, err := v.connect(t, ssh.PublicKeys(signer))
		if err != nil {
			t.Fatalf("%v: %s", err, v.told)
		}
		return v
	}
	must(t, login().conn.SetDeadline(time.Time{})) // stays, however long this takes
	process := oneChild(t, s, "otpgate-sftpd-login", 0)
	many := func(n int) int {
		for range n {
			login().conn.Close()
		}
		return ownMemory(t, process)
	}
	// Go's heap may grow to some 2 MiB before it is collected at all; names that
	// are kept would be twice that by then.
	first, last := many(100), many(2000)
	t.Logf("the login process had %d KiB, and %d after 2,000 logins", first, last)
	if grown := last - first; grown > 2300 {
		t.Errorf("the login process has grown by %d KiB in 2,000 logins, from %d", grown, first)
	}
}

// Clients open many connections at once, and all of them get in.
func TestSFTPManyAtOnce(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-atonce", noCodes, patient+"limits.max_startups = 200\nlimits.startups_per_source = 200\n")
	p := machine.NewPerson(t, "sfw")
	signer := ed25519Key(t)
	// So many that looking takes its time.
	authorize(t, p, strings.Repeat("# a key that was here before\n", 30000)+string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	var all sync.WaitGroup
	for range 60 {
		all.Go(func() {
			v := &sshClient{person: p, server: s}
			client, err := v.connect(t, ssh.PublicKeys(signer))
			if err != nil {
				t.Errorf("%v: %s", err, v.told)
				return
			}
			client.Close()
		})
	}
	all.Wait()
}

// ownMemory is what a process shares with no other, in KiB.
func ownMemory(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	found := regexp.MustCompile(`RssAnon:\s+(\d+) kB`).FindSubmatch(status)
	if found == nil {
		t.Fatalf("no RssAnon in %s", status)
	}
	memory, err := strconv.Atoi(string(found[1]))
	must(t, err)
	return memory
}
