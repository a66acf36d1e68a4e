package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/testprogram"
)

// owned puts a file of somebody's into the person's home.
func owned(t *testing.T, p *machine.Person, name string, uid, gid int) {
	t.Helper()
	path := filepath.Join("/home", p.Name, name)
	must(t, os.WriteFile(path, nil, 0o644))
	must(t, os.Chown(path, uid, gid))
}

// batch runs commands in OpenSSH's sftp and returns what it said.
func batch(t *testing.T, s *hosts.SFTPD, p *machine.Person, key string, commands ...string) string {
	t.Helper()
	c := &scene{t: t, server: s, in: s.Site.In, person: p, key: key, dir: t.TempDir()}
	c.write("commands", strings.Join(commands, "\n")+"\n", 0o644)
	return c.run("sftp", append(c.ssh("BatchMode=yes"), "-b", "commands", p.Name+"@127.0.0.1")...)
}

// owners are the users and groups in a long listing, by the file's name.
func owners(listing string) map[string][2]string {
	found := map[string][2]string{}
	for line := range strings.Lines(listing) {
		if fields := strings.Fields(line); len(fields) == 9 {
			found[filepath.Base(fields[8])] = [2]string{fields[2], fields[3]}
		}
	}
	return found
}

// Ids that only another name service knows have names too, in long listings
// and in answers to users-groups-by-id@openssh.com, in a chroot as well.
func TestSFTPNamesOfAllServices(t *testing.T) {
	t.Parallel()
	for name, table := range map[string]string{"plain": "", "shared": "worker = \"user\"\n", "chroot": "root = \"/home\"\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startSFTPD(t, "sftp-names-"+name, noCodes, patient+table)
			p := machine.NewPerson(t, "nam")
			key := writeKey(t, p)
			uid, gid := p.UID+3000000, machine.ExtraGroup(t, "farg"+p.Name, p)
			long := machine.ExtraGroup(t, strings.Repeat("l", 200), p)
			machine.ExtraUser(t, "far"+p.Name, uid, "/usr")
			owned(t, p, "theirs", uid, gid)
			owned(t, p, "unknown", 3999999, 3999998)
			owned(t, p, "long", 0, long)
			dir := "."
			if name == "chroot" {
				dir = "/" + p.Name
			}
			want := map[string][2]string{
				"theirs": {"far" + p.Name, "farg" + p.Name}, "unknown": {"3999999", "3999998"}, "long": {"root", fmt.Sprint(long)},
				".bashrc": {p.Name, p.Name},
			}
			var out string
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("expected %q, found\n%s", want, out)
				}
			})
			// A listing waits for names for a second, in which a busy machine may have none.
			machine.Until(t, "the names are told", func() bool {
				out = batch(t, s, p, key, "ls -la "+dir)
				all := owners(out)
				for file, names := range want {
					if all[file] != names {
						return false
					}
				}
				return true
			})
			if name == "chroot" {
				return
			}
			c := &scene{t: t, server: s, in: s.Site.In, person: p, key: key, dir: t.TempDir()}
			c.run("scp", append(c.ssh("BatchMode=yes"), p.Name+"@127.0.0.1:~far"+p.Name+"/lib/os-release", "got")...)
			c.there(c.dir+"/got", true)
		})
	}
}

// A name service that hangs leaves a listing with numbers, and what it says at last is
// told. That it holds a listing up for a second, and not for every id, is tested by
// sftpd/worker TestSlowNames.
func TestSFTPSlowNames(t *testing.T) {
	t.Parallel()
	const first, count = 5000000, 300
	dir := t.TempDir()
	hangs := filepath.Join(dir, "hangs")
	must(t, syscall.Mkfifo(hangs, 0o644))
	// For this server alone the name service opens a FIFO that nobody writes.
	machine.ExtraUser(t, "before", first-1, "/")
	wrapper := fmt.Sprintf("#!/bin/sh\nexec unshare --mount sh -c 'mount --bind %s %s && exec %s/otpgate-sftpd \"$@\"' sh \"$@\"\n", hangs, machine.ExtraUsers, machine.Files)
	must(t, testprogram.Write(filepath.Join(dir, "otpgate-sftpd"), []byte(wrapper)))
	text := noCodes
	s := hosts.StartSFTPDFrom(t, dir, machine.NewSite(t, "sftp-slownames", text), text, patient+"worker = \"user\"\n")
	p := machine.NewPerson(t, "slo")
	key := writeKey(t, p)
	for i := range count {
		owned(t, p, fmt.Sprint("f", i), first+i, p.GID)
	}
	data, err := os.ReadFile(key)
	must(t, err)
	signer, err := ssh.ParsePrivateKey(data)
	must(t, err)
	_, f := files(t, s, p, signer) // the worker stays
	_, err = f.ReadDir(".")
	must(t, err)
	out := batch(t, s, p, key, "ls -la")
	if found := owners(out)["f7"]; found != [2]string{fmt.Sprint(first + 7), p.Name} {
		t.Errorf("expected numbers, found %v in\n%s", found, out)
	}
	if found := owners(out)[".."]; found != [2]string{"root", "root"} {
		t.Errorf("expected root's name, which is local, found %v", found)
	}
	// Now it answers again; the question that it hangs at finds nobody.
	for i := range count {
		machine.ExtraUser(t, fmt.Sprint("far", i), first+i, "/")
	}
	must(t, exec.Command("nsenter", "--mount", "--root", "--target", fmt.Sprint(s.PID()), "umount", "--lazy", machine.ExtraUsers).Run())
	fifo, err := os.OpenFile(hangs, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	must(t, err)
	must(t, fifo.Close())
	machine.Until(t, "the names that came late are told", func() bool {
		out = batch(t, s, p, key, "ls -la")
		return strings.Count(out, " far") >= count-1
	})
}
