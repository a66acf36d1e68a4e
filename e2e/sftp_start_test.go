package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// startedIn are people who are locked in, by what their start directory is.
func startedIn(t *testing.T, roots string) map[string]*machine.Person {
	t.Helper()
	people := map[string]*machine.Person{}
	for _, files := range []string{"mine", "missing", "closed", "link out"} {
		p := machine.NewPerson(t, "stt")
		people[files] = p
		dir := filepath.Join(roots, p.Name, "files")
		must(t, os.MkdirAll(filepath.Dir(dir), 0o755))
		switch files {
		case "mine":
			must(t, os.Mkdir(dir, 0o700))
			must(t, os.Chown(dir, p.UID, p.GID))
		case "closed":
			must(t, os.Mkdir(dir, 0o700))
		case "link out":
			must(t, os.Symlink("/home/"+p.Name, dir))
		}
	}
	return people
}

// Who is locked in begins where sshd's would with "-d". Who cannot begins at
// the top, with one line for the admin.
func TestSFTPStartDirectory(t *testing.T) {
	t.Parallel()
	roots := "/run/sftp-start"
	people := startedIn(t, roots)
	machine.WriteService(t, "sftp-start", "@include common-auth\n@include common-account\nsession required pam_unix.so\n")
	sshd := hosts.StartSSHD(t, "sftp-start", "Subsystem sftp internal-sftp -d /files\nChrootDirectory "+roots+"/%u")
	for worker, table := range map[string]string{"session": "", "user": "worker = \"user\"\n"} {
		s := startSFTPD(t, "sftp-start-"+worker, noCodes, patient+"root = \""+roots+"/%u\"\nstart_directory = \"/files\"\n"+table)
		for files, p := range people {
			c := &scene{t: t, person: p, dir: t.TempDir(), key: writeKey(t, p)}
			c.write("commands", "pwd\n-mkdir "+worker+"\n-put commands\n-ls -1\n", 0o644)
			said := map[int]string{}
			for _, port := range []int{s.Port, sshd.Port} {
				args := append(hosts.SSHOptions(port, p, "IdentityFile="+c.key, "BatchMode=yes"), "-b", "commands", p.Name+"@127.0.0.1")
				said[port] = c.run("sftp", args...)
				_ = os.RemoveAll(filepath.Join(roots, p.Name, "files", worker))
			}
			if said[s.Port] != said[sshd.Port] {
				t.Errorf("%s, worker per %s: sshd said\n%s\nwe said\n%s", files, worker, said[sshd.Port], said[s.Port])
			}
			want := "Remote working directory: /files\n"
			if files != "mine" {
				want = "Remote working directory: /\n"
				machine.Log.Expect(t, "user="+p.Name+" service="+s.Service(), "rule=sftp.start_directory", "chdir /files: ")
			}
			if !strings.Contains(said[s.Port], want) {
				t.Errorf("%s, worker per %s: expected %q, found\n%s", files, worker, want, said[s.Port])
			}
		}
	}
}

// Without a root a relative one is below the home directory, and a shared
// worker says once that it is missing.
func TestSFTPStartBelowHome(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-start-home", noCodes, patient+"start_directory = \"%u/in\"\nworker = \"user\"\n")
	p := machine.NewPerson(t, "sth")
	signer, _ := newKey(t, p)
	in := func(want string) {
		t.Helper()
		_, f := files(t, s, p, signer)
		if dir, err := f.Getwd(); err != nil || dir != want {
			t.Errorf("expected %s, found %s, %v", want, dir, err)
		}
	}
	home := "/home/" + p.Name
	in(home)
	in(home)
	machine.Log.Expect(t, "user="+p.Name+" ", "rule=sftp.start_directory", "chdir "+p.Name+"/in: no such file or directory")
	if lines := machine.Log.Lines("rule=sftp.start_directory"); strings.Count(machine.Text(lines), "user="+p.Name+" ") != 1 {
		t.Errorf("expected one line, found\n%s", machine.Text(lines))
	}
	other := machine.NewPerson(t, "sth")
	signer, _ = newKey(t, other)
	p, home = other, "/home/"+other.Name
	dir := filepath.Join(home, other.Name, "in")
	must(t, os.MkdirAll(dir, 0o755))
	in(dir)
}
