package e2e

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// Which first factor a code is asked after.
func TestSFTPCodeAfter(t *testing.T) {
	for setting, codes := range map[string]map[string]int{
		`"password"`:              {"password": 1, "publickey": 0},
		`"publickey"`:             {"password": 0, "publickey": 1},
		`"password", "publickey"`: {"password": 1, "publickey": 1},
	} {
		t.Run(setting, func(t *testing.T) {
			name := "sftp-after-" + strings.NewReplacer(`"`, "", ", ", "-").Replace(setting)
			onSFTPPaths(t, name, "", patient+"code_after = ["+setting+"]\n", func(t *testing.T, s *hosts.SFTPD) {
				for first, want := range codes {
					p := machine.NewPerson(t, "sfq").Enroll(t, s.Site.Users)
					signer, _ := newKey(t, p)
					v := &sshClient{person: p, server: s, codes: []string{p.Code(t, 0)}}
					if !v.in(t, v.methods([]string{first, "keyboard-interactive"}, signer, 1)...) || v.asked != want {
						t.Errorf("%s: expected in after %d codes, found %d: %s", first, want, v.asked, v.told)
					}
				}
			})
		})
	}
}

// A code is remembered for the person, this protocol and the address, until
// the factors change.
func TestSFTPRemembered(t *testing.T) {
	onSFTPPaths(t, "sftp-remembered", remembered, patient, remembersSFTP)
}

func remembersSFTP(t *testing.T, s *hosts.SFTPD) {
	p := machine.NewPerson(t, "sfu").Enroll(t, s.Site.Users)
	signer, _ := newKey(t, p)
	login := func(codes ...string) (bool, int) {
		v := &sshClient{person: p, server: s, codes: codes}
		return v.in(t, ssh.PublicKeys(signer), ssh.KeyboardInteractive(v.challenge)), v.asked
	}
	for _, want := range []int{1, 0, 0} {
		if in, asked := login(p.Code(t, 0)); !in || asked != want {
			t.Errorf("expected in after %d codes, found %v after %d", want, in, asked)
		}
	}
	elsewhere := *p
	elsewhere.Address = "127.88.0.1"
	v := &sshClient{person: &elsewhere, server: s, keyOnly: true}
	if v.in(t, ssh.PublicKeys(signer), ssh.KeyboardInteractive(v.challenge)) {
		t.Error("remembered for another address")
	}
	p.Secret = machine.WithoutUser("sfu").Secret
	p.Enroll(t, s.Site.Users)
	if in, _ := login(); in {
		t.Error("remembered although the factor is another")
	}
}

// Files above 4 GiB are resumed both ways; many entries and odd names come
// whole. Only the last MiB of the large ones has to be carried.
func TestSFTPLargeAndOdd(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-large", noCodes, patient)
	c := newScene(t, s, "sfe")
	const size = 5 << 30
	end := c.data[:1<<20]
	sparse := func(path string, size int64, tail []byte) {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
		must(t, err)
		must(t, file.Truncate(size))
		if tail != nil {
			_, err = file.WriteAt(tail, size-int64(len(tail)))
			must(t, err)
		}
		must(t, file.Close())
		must(t, os.Chown(path, c.person.UID, c.person.GID))
	}
	sparse(c.home("there"), size, end)
	sparse(c.dir+"/there", size-int64(len(end)), nil)
	sparse(c.dir+"/here", size, end)
	sparse(c.home("here"), size-int64(len(end)), nil)
	must(t, os.Mkdir(c.home("many"), 0o755))
	for i := range 20000 {
		must(t, os.WriteFile(fmt.Sprintf("%s/%05d", c.home("many"), i), nil, 0o644))
	}
	c.write("commands", "reget there\nreput here\nls -1 many\n", 0o644)
	out := c.run("sftp", append(c.ssh("BatchMode=no"), "-b", "commands", c.person.Name+"@127.0.0.1")...)
	for _, path := range []string{c.dir + "/there", c.home("here")} {
		file, err := os.Open(path)
		must(t, err)
		info, err := file.Stat()
		must(t, err)
		got := make([]byte, len(end))
		if _, err := file.ReadAt(got, size-int64(len(end))); err != nil || info.Size() != size || !bytes.Equal(got, end) {
			t.Errorf("%s: %d bytes, %v", path, info.Size(), err)
		}
		file.Close()
	}
	if n := strings.Count(out, "many/"); n != 20000 {
		t.Errorf("%d entries were listed", n)
	}
	_, f := files(t, s, c.person, c.signer)
	for _, name := range []string{"a b", "-rf", "new\nline", "\xff\xfe", "quote\"'", strings.Repeat("n", 255), "tab\t", "ünï", "*?[", "\\", " "} {
		file, err := f.Create(name)
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		_, err = io.WriteString(file, name)
		must(t, err)
		must(t, file.Close())
		if data, err := os.ReadFile(c.home(name)); err != nil || string(data) != name {
			t.Errorf("%q: %q %v", name, data, err)
		}
		must(t, f.Rename(name, name[:len(name)-1]+"2"))
		must(t, f.Remove(name[:len(name)-1]+"2"))
	}
}
