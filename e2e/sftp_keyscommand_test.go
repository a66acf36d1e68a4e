package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/testprogram"
)

// keysCommand is a program that prints the keys of people, and writes down as
// whom and with what it was asked.
type keysCommand struct {
	t      *testing.T
	dir    string
	path   string
	runsAs *machine.Person
}

const keysCommandScript = `#!/bin/sh
cd DIR || exit 1
{ echo "uid $(id -u) groups $(id -G) in $PWD"; for argument; do echo "<$argument>"; done; } >>"asked/$1"
test -z "$OTPGATE_TEST$SSH_CLIENT$NOTIFY_SOCKET" || echo "an environment" >>"asked/$1"
test ! -e "says/$1" || cat "says/$1"
test ! -e "fails/$1" || { cat "fails/$1" >&2; exit 3; }
`

func newKeysCommand(t *testing.T, name string) *keysCommand {
	t.Helper()
	k := &keysCommand{t: t, dir: filepath.Join(machine.Root, name), runsAs: machine.NewPerson(t, "kcu")}
	for _, dir := range []string{"", "says", "fails", "asked"} {
		must(t, os.MkdirAll(filepath.Join(k.dir, dir), 0o755))
	}
	must(t, os.Chown(filepath.Join(k.dir, "asked"), k.runsAs.UID, k.runsAs.GID))
	k.path = filepath.Join(k.dir, "command")
	must(t, testprogram.Write(k.path, []byte(strings.ReplaceAll(keysCommandScript, "DIR", k.dir))))
	return k
}

// asked is what the command noted of a person since it was last asked about.
func (k *keysCommand) asked(p *machine.Person) string {
	k.t.Helper()
	path := filepath.Join(k.dir, "asked", p.Name)
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return ""
	}
	must(k.t, err)
	must(k.t, os.Remove(path))
	// Each server asks when a key is offered and again when it is proven.
	times := strings.Split(strings.TrimSuffix(string(text), "\n"), "\nuid ")
	times[0] = strings.TrimPrefix(times[0], "uid ")
	return strings.Join(slices.Compact(times), "\n")
}

func (k *keysCommand) settings(tokens string) (ours string, sshd []string) {
	arguments := fmt.Sprintf("%q", k.path)
	for _, token := range strings.Fields(tokens) {
		arguments += fmt.Sprintf(", %q", token)
	}
	return fmt.Sprintf("keys_command = [%s]\nkeys_command_user = %q\n", arguments, k.runsAs.Name),
		[]string{"AuthorizedKeysCommand " + k.path + " " + tokens, "AuthorizedKeysCommandUser " + k.runsAs.Name}
}

// Keys that a command prints count as in sshd, which is asked the same with the
// same command.
func TestSFTPKeysCommand(t *testing.T) {
	t.Parallel()
	k := newKeysCommand(t, "keys-command")
	ours, theirs := k.settings("%u %U %h %t %k %f 100%%")
	s := startSFTPD(t, "sftp-keys-command", noCodes, patient+ours)
	sshd := beside(t, "sshd-keys-command", theirs...)
	key, other, ca := keyPair(t, "ed25519"), keyPair(t, "ed25519"), keyPair(t, "ed25519")
	public := read(t, key+".pub")
	for _, test := range []struct {
		name              string
		file, says, fails string
		cert, in, asked   bool
		fault             string
	}{
		{name: "printed", says: "# the directory's\n\n" + public, in: true, asked: true},
		{name: "in a file", file: public, says: public, in: true},
		{name: "nothing", asked: true},
		{name: "another's", says: read(t, other+".pub"), asked: true},
		{name: "for elsewhere", says: `from="192.0.2.1" ` + public, asked: true},
		{name: "garbage", says: "\x00\xff not a key\n", asked: true},
		{name: "failed", says: public, fails: "the directory\nis down", asked: true, fault: `exit status 3; it said: \"the directory\\nis down\"`},
		{name: "by an authority", says: "cert-authority " + read(t, ca+".pub"), cert: true, in: true, asked: true},
		{name: "the authority's plain key", says: read(t, ca+".pub"), cert: true, asked: true},
	} {
		p := machine.NewPerson(t, "kcp")
		if test.file != "" {
			authorize(t, p, test.file)
		}
		if test.says != "" {
			write(t, filepath.Join(k.dir, "says", p.Name), test.says)
		}
		if test.fails != "" {
			write(t, filepath.Join(k.dir, "fails", p.Name), test.fails)
		}
		cert := "none"
		if test.cert {
			cert = certify(t, ca, key, "-n", p.Name)
		}
		var asked []string
		for name, server := range map[string]*hosts.SFTPD{"sshd": sshd, "ours": s} {
			if in, output := byCertificate(t, server, p, key, cert); in != test.in {
				t.Errorf("%s, %s: expected in %v, found %v: %s\n%s", test.name, name, test.in, in, output, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
			}
			asked = append(asked, k.asked(p))
		}
		if asked[0] != asked[1] || (asked[0] != "") != test.asked {
			t.Errorf("%s: expected asked %v and both the same, found\n%s\nand\n%s", test.name, test.asked, asked[0], asked[1])
		}
		if test.fault != "" {
			machine.Log.Expect(t, "user="+p.Name+" ", "verdict=fault", "rule=sftp.keys_command", test.fault)
		}
	}
}

// A command that somebody else can write is not run, and the log says so at the
// start and at each login.
func TestSFTPKeysCommandOfOthers(t *testing.T) {
	t.Parallel()
	k := newKeysCommand(t, "keys-command-others")
	must(t, os.Chmod(k.path, 0o757))
	ours, theirs := k.settings("%u")
	s := startSFTPD(t, "sftp-keys-others", noCodes, patient+ours)
	machine.Log.Expect(t, "service=", "rule=sftp.keys_command", k.path, "0757")
	sshd := beside(t, "sshd-keys-others", theirs...)
	key := keyPair(t, "ed25519")
	p := machine.NewPerson(t, "kcp")
	write(t, filepath.Join(k.dir, "says", p.Name), read(t, key+".pub"))
	for name, server := range map[string]*hosts.SFTPD{"sshd": sshd, "ours": s} {
		if in, output := byCertificate(t, server, p, key, "none"); in || k.asked(p) != "" {
			t.Errorf("%s: in %v: %s", name, in, output)
		}
	}
	machine.Log.Expect(t, "user="+p.Name+" ", "verdict=fault", "rule=sftp.keys_command", k.path)
}
