package e2e

import (
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// systemd runs one of systemd's tools on a file that is shipped, with the
// site's paths in place of the usual ones.
func systemd(t testing.TB, here machine.Site, file string, tool ...string) {
	t.Helper()
	shipped, err := os.ReadFile(filepath.Join(machine.Files, "systemd", file))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("/etc/otpgate/users", here.Users, "/etc/otpgate/secrets", secretsOf(here), "/var/lib/otpgate-keys", keysOf(here), "/var/lib/otpgate", here.State,
		"/run/otpgate", filepath.Dir(here.Socket)).Replace(string(shipped))
	path := filepath.Join(t.TempDir(), filepath.Base(file))
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	machine.Account(t, "", tool[0], append(tool[1:], path)...)
}

// secretsOf is the site's directory of passwords.
func secretsOf(here machine.Site) string { return filepath.Join(filepath.Dir(here.Config), "secrets") }

// own makes the shipped user and gives the site to it, as the unit does.
func own(t *testing.T, here machine.Site) *syscall.Credential {
	t.Helper()
	systemd(t, here, "sysusers.d/otpgate.conf", "systemd-sysusers")
	systemd(t, here, "own.conf", "systemd-tmpfiles", "--create")
	account, err := user.Lookup("otpgate")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// ownTimes is how often the three work in turns. Where one of them makes a file as root,
// the first turn fails.
const ownTimes = 20

// Root's forked core, a verifier without any of root's rights, and root's
// otpctl work on the same files in turns, twenty times. None of them finds
// a file that it may not use, and a code that one took is used for the others.
func TestOwnUser(t *testing.T) {
	t.Parallel()
	// Wide enough for the three codes to last while a step ends.
	here := machine.NewSite(t, "own", "[totp]\nwindow = 3\n")
	as := own(t, here)
	systemd(t, here, "tmpfiles.d/otpgate.conf", "systemd-tmpfiles", "--create")
	machine.StartVerifier(t, here, machine.VerifierOptions{Credential: as, Activated: true})
	services := [2]string{"own-forked", "own-resident"}
	for i, path := range machine.Paths {
		here.Over(path).CodeOnly(t, services[i], "protocol=ssh")
	}
	t.Run("turns", func(t *testing.T) {
		for n := range ownTimes {
			t.Run(strconv.Itoa(n), func(t *testing.T) {
				t.Parallel()
				ownTurns(t, here, as, [2]string{services[n%2], services[1-n%2]})
			})
		}
	})
	for _, dir := range []string{here.Users, here.State} {
		expectOwned(t, dir, as.Uid)
	}
}

// ownTurns has somebody log in by one way, then the other, then the first.
func ownTurns(t *testing.T, here machine.Site, as *syscall.Credential, services [2]string) {
	p := machine.WithoutUser("own")
	p.Period = 300 // so that three codes last
	p.Enroll(t, here.Users)
	file := filepath.Join(here.Users, p.Name+".toml")
	if err := os.Chown(file, int(as.Uid), int(as.Gid)); err != nil {
		t.Fatal(err)
	}
	codes := []string{p.Code(t, -1), p.Code(t, 0), p.Code(t, 1)}
	for turn, code := range codes {
		service, then := services[turn%2], services[1-turn%2]
		if verdict := plainLogin(t, service, p, code); verdict != hosts.PAMSuccess {
			t.Errorf("%s: expected PAM_SUCCESS, found %d", service, verdict)
		}
		if verdict := plainLogin(t, then, p, code); verdict == hosts.PAMSuccess {
			t.Errorf("%s: the code that %s took is good again", then, service)
		}
		// These write the secret file, and the ledger's record.
		for _, command := range []string{"disable", "enable", "unlock"} {
			cmd := exec.Command(machine.Files+"/otpctl", "--config", here.Config, command, p.Name)
			if output, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("otpctl %s: %v: %s", command, err, output)
			}
		}
	}
	if faults := machine.Log.Lines("user="+p.Name+" ", "verdict=fault"); len(faults) > 0 {
		t.Errorf("expected no fault, found\n%s", machine.Text(faults))
	}
}

// expectOwned looks that uid owns all below dir, alone.
func expectOwned(t *testing.T, dir string, uid uint32) {
	t.Helper()
	found := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		found++
		if owner := info.Sys().(*syscall.Stat_t).Uid; owner != uid || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: expected it to be uid %d's alone, found uid %d %v", path, uid, owner, info.Mode())
		}
		return nil
	})
	if err != nil || found < ownTimes {
		t.Errorf("looked at %d files of %s, %v", found, dir, err)
	}
}

// A file that root put there by hand is refused on both paths until it is the
// directory's owner's: it may be one that the owner has linked there. What the
// verifier's service does when it starts mends it.
func TestOwnUserByHand(t *testing.T) {
	t.Parallel()
	here := machine.NewSite(t, "own-hand", "")
	as := own(t, here)
	// Without systemd's socket the user needs a directory for its own.
	socket := filepath.Dir(here.Socket)
	if err := os.MkdirAll(socket, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(socket, int(as.Uid), int(as.Gid)); err != nil {
		t.Fatal(err)
	}
	machine.StartVerifier(t, here, machine.VerifierOptions{Credential: as})
	for _, path := range machine.Paths {
		t.Run(string(path), func(t *testing.T) {
			service := "own-hand-" + string(path)
			here.Over(path).CodeOnly(t, service, "protocol=ssh")
			p := machine.WithoutUser("han").Enroll(t, here.Users)
			code := p.Code(t, 0)
			if verdict := plainLogin(t, service, p, code); verdict == hosts.PAMSuccess {
				t.Error("expected that root's file is refused, found PAM_SUCCESS")
			}
			expectAudit(t, p, "verdict=fault", filepath.Join(here.Users, p.Name+".toml"), "expected", strconv.Itoa(int(as.Uid)), "run chown")
			systemd(t, here, "own.conf", "systemd-tmpfiles", "--create")
			if verdict := plainLogin(t, service, p, code); verdict != hosts.PAMSuccess {
				t.Errorf("expected PAM_SUCCESS, found %d", verdict)
			}
		})
	}
}
