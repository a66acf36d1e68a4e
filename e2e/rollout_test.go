package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/testwait"
)

// otpctl runs the command as from a login of its own, which ends with it.
func otpctl(t *testing.T, want int, args ...string) string {
	t.Helper()
	return inSession(t, want, exec.Command(machine.Files+"/otpctl", args...))
}

func inSession(t *testing.T, want int, cmd *exec.Cmd) string {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	output, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != want {
		t.Fatalf("%q: expected status %d, found %v:\n%s", cmd.Args, want, err, output)
	}
	return string(output)
}

func expectFile(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s: %v, expected\n%s\nfound\n%s", path, err, want, got)
	}
}

// rollout is an sshd and its PAM service, before an admin touches them.
type rollout struct {
	sshd   *hosts.SSHD
	p      *machine.Person
	before string
}

const (
	sshdService = "/etc/pam.d/sshd"
	ourModule   = "--module=" + machine.Module
)

// An admin rolls the code out on a real sshd: not confirmed, it is undone by
// itself; confirmed, it stays; disabled, the file is as it was. It changes the
// service sshd itself, so no other test runs meanwhile.
func TestRollOut(t *testing.T) {
	before, err := os.ReadFile(sshdService)
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		"/etc/ssh/sshd_config.d/10-otpgate.conf": strings.Join(append(hosts.WithCode, "UsePAM yes"), "\n") + "\n",
		"/etc/otpgate/otpgate.toml":              "[totp]\nwindow = 3\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Remove(path) })
	}
	r := rollout{p: machine.NewPerson(t, "roll").Enroll(t, machine.Users), before: string(before)}
	r.sshd = hosts.StartSSHD(t, "sshd", hosts.WithCode...)
	expectIn(t, r.p, r.sshd.Login(t, r.p, answers(r.p)), 0)
	t.Run("tried only", func(t *testing.T) {
		said := otpctl(t, 0, "pam", "enable", "sshd", ourModule, "--dry-run")
		if !strings.Contains(said, "+auth required "+machine.Module) || !strings.Contains(said, "the right code gets in") {
			t.Errorf("expected the change and the dry logins, found\n%s", said)
		}
		expectFile(t, sshdService, r.before)
	})
	t.Run("not confirmed", r.notConfirmed)
	t.Run("confirmed", r.confirmed)
	t.Run("disabled", func(t *testing.T) {
		otpctl(t, 0, "pam", "disable", "sshd")
		expectFile(t, sshdService, r.before)
		expectIn(t, r.p, r.sshd.Login(t, r.p, answers(r.p)), 0)
	})
	t.Run("refused", r.refused)
}

func (r rollout) notConfirmed(t *testing.T) {
	otpctl(t, 0, "pam", "enable", "sshd", ourModule, "--confirm-within=15s")
	// What undoes it waits until somebody has logged in, however long that takes.
	waiting := watchdog(t, "sshd")
	testwait.Stop(t, waiting)
	expectIn(t, r.p, r.sshd.Login(t, r.p, answers(r.p, r.p.Code(t, 0))), 1)
	must(t, syscall.Kill(waiting, syscall.SIGCONT))
	machine.Until(t, "the file is put back", func() bool {
		now, err := os.ReadFile(sshdService)
		return err == nil && string(now) == r.before
	})
	expectIn(t, r.p, r.sshd.Login(t, r.p, answers(r.p)), 0)
	machine.Log.Expect(t, "otpctl pam restore", "service=sshd")
}

func (r rollout) confirmed(t *testing.T) {
	otpctl(t, 0, "pam", "enable", "sshd", ourModule, "--confirm-within=1h")
	untried := func(when string) {
		t.Helper()
		// Whatever session, terminal or login it is run from.
		if said := otpctl(t, 1, "pam", "confirm", "sshd"); !strings.Contains(said, "nobody has logged in with a code through sshd") {
			t.Errorf("%s: expected that a login with a code is wanted, found\n%s", when, said)
		}
	}
	untried("before any login")
	expectOut(t, r.p, r.sshd.Login(t, r.p, answers(r.p, r.p.Wrong(t), r.p.Wrong(t), r.p.Wrong(t))), 3)
	untried("after wrong codes")
	expectIn(t, r.p, r.sshd.Login(t, r.p, answers(r.p, r.p.Code(t, 1))), 1)
	watchdog := fmt.Sprintf("/proc/%d", watchdog(t, "sshd"))
	if _, err := os.Stat(watchdog); err != nil {
		t.Errorf("expected a process that waits: %v", err)
	}
	otpctl(t, 0, "pam", "confirm", "sshd")
	machine.Until(t, "nothing waits any longer to undo it", func() bool {
		_, err := os.Stat(watchdog)
		return errors.Is(err, os.ErrNotExist)
	})
	expectIn(t, r.p, r.sshd.Login(t, r.p, answers(r.p, r.p.Code(t, 2))), 1)
	if said := otpctl(t, 0, "pam", "status"); !strings.Contains(said, "in force") {
		t.Errorf("expected it in force, found\n%s", said)
	}
	leaveServices(t, "sshd", "other")
	otpctl(t, 0, "doctor", "--service", "sshd", "--ignore", "clock-unsynchronised", "--ignore", "state-volatile")
}

// leaveServices takes all other PAM services away until the test ends: the machine
// may have any, and the doctor warns of those that belong beside one that asks.
func leaveServices(t *testing.T, names ...string) {
	t.Helper()
	services, err := os.ReadDir("/etc/pam.d")
	must(t, err)
	for _, service := range services {
		name := service.Name()
		if slices.Contains(names, name) || strings.HasPrefix(name, "common-") {
			continue
		}
		text, err := os.ReadFile(filepath.Join("/etc/pam.d", name))
		must(t, err)
		must(t, os.Remove(filepath.Join("/etc/pam.d", name)))
		t.Cleanup(func() { machine.WriteService(t, name, string(text)) })
	}
}

func (r rollout) refused(t *testing.T) {
	wrong := "auth sufficient pam_unix.so\n" + r.before
	machine.WriteService(t, "sshd", wrong)
	if said := otpctl(t, 1, "pam", "enable", "sshd", ourModule); !strings.Contains(said, "no place in it is right") {
		t.Errorf("expected a refusal, found\n%s", said)
	}
	expectFile(t, sshdService, wrong)
	machine.WriteService(t, "sshd", r.before)
	broken := filepath.Join(t.TempDir(), "pam_otpgate.so")
	if err := os.WriteFile(broken, []byte("no shared object"), 0o644); err != nil {
		t.Fatal(err)
	}
	if said := otpctl(t, 1, "pam", "enable", "sshd", "--module="+broken, "--force"); !strings.Contains(said, "dry login") {
		t.Errorf("expected that the dry login fails, found\n%s", said)
	}
	expectFile(t, sshdService, r.before)
}

// watchdog is the process that would undo a change.
func watchdog(t *testing.T, service string) (pid int) {
	t.Helper()
	data, err := os.ReadFile("/etc/otpgate/pending/" + service + ".json")
	var pending struct{ Watchdog int }
	if err := errors.Join(err, json.Unmarshal(data, &pending)); err != nil || pending.Watchdog == 0 {
		t.Fatalf("expected a change that waits, found %s: %v", data, err)
	}
	return pending.Watchdog
}

// To a server of one field the two lines are added around its password modules.
func TestRollOutFTP(t *testing.T) {
	t.Parallel()
	here := machine.Resident.NewSite(t, "rollout-ftp", "[totp]\nwindow = 3\n")
	const before = "auth required pam_shells.so\n@include common-auth\n@include common-account\n"
	machine.WriteService(t, here.Name, before)
	p := machine.NewPerson(t, "ftp").Enroll(t, here.Users)
	server := hosts.StartVSFTPD(t, here.Name)
	args := []string{"--config=" + here.Config, "pam", "enable", here.Name, "--module=" + machine.Module, "--confirm-within=0s"}
	for _, argument := range here.Arguments("protocol=ftp") {
		args = append(args, "--argument="+argument)
	}
	said := otpctl(t, 0, args...)
	if strings.Count(said, "\n+auth required") != 2 || !strings.Contains(said, " split ") {
		t.Errorf("expected two lines to be added, found\n%s", said)
	}
	if server.In(t, p, p.Password) || server.In(t, p, p.Password+p.Wrong(t)) {
		t.Error("expected that the password alone, and one with a wrong code, are refused")
	}
	if !server.In(t, p, p.Password+p.Code(t, 0)) {
		t.Errorf("expected that the password with a code gets in:\n%s", machine.Text(machine.Log.Lines("user="+p.Name+" ")))
	}
	otpctl(t, 0, "pam", "disable", here.Name)
	expectFile(t, "/etc/pam.d/"+here.Name, before)
	if !server.In(t, p, p.Password) {
		t.Error("expected that the password alone gets in again")
	}
}

// What keeps logins from being recorded is found on real disks, and what no
// longer does is not.
func TestDoctorSeesDisk(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(*testing.T, machine.Site) func(){"state-full": fill, "state-read-only": readOnly} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here := machine.NewSite(t, "doctor-"+name, "")
			smallDisk(t, here)
			machine.NewPerson(t, "dis").Enroll(t, here.Users)
			here.AddToService(t, "sshd", here.Name, "protocol=ssh")
			ids := []string{"--ignore=clock-unsynchronised", "--ignore=state-volatile", "--ignore=state-nearly-full"}
			heal := harm(t, here)
			said := otpctl(t, 4, append([]string{"--config=" + here.Config, "doctor", "--service=" + here.Name}, ids...)...)
			if !strings.Contains(said, "id:       "+name) {
				t.Errorf("expected %s, found\n%s", name, said)
			}
			heal()
			otpctl(t, 0, append([]string{"--config=" + here.Config, "doctor", "--service=" + here.Name}, ids...)...)
		})
	}
}

// A verifier that was killed leaves a socket that nobody answers.
func TestDoctorSeesVerifier(t *testing.T) {
	t.Parallel()
	here := machine.Resident.NewSite(t, "doctor-verifier", "")
	machine.NewPerson(t, "ver").Enroll(t, here.Users)
	machine.WriteService(t, here.Name, "@include common-auth\n"+machine.ModuleLine(here.Arguments("protocol=ssh")...)+"\n")
	args := []string{"--config=" + here.Config, "doctor", "--service=" + here.Name, "--ignore=clock-unsynchronised", "--ignore=state-volatile"}
	otpctl(t, 0, args...)
	stale := machine.NewSite(t, "doctor-stale", "")
	machine.NewPerson(t, "ver").Enroll(t, stale.Users)
	if err := os.MkdirAll(filepath.Dir(stale.Socket), 0o755); err != nil {
		t.Fatal(err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: stale.Socket})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	t.Cleanup(func() { _ = os.Remove(stale.Socket) })
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	machine.WriteService(t, stale.Name, "@include common-auth\n"+machine.ModuleLine("protocol=ssh", "config="+stale.Config)+"\n")
	said := otpctl(t, 3, "--config="+stale.Config, "doctor", "--service="+stale.Name, "--ignore=clock-unsynchronised", "--ignore=state-volatile")
	if !strings.Contains(said, "id:       verifier-stale") {
		t.Errorf("expected a stale socket, found\n%s", said)
	}
}

// copyProgram copies what is then run. By another program, as one that this one
// had written could not be run while a test beside forks with the file open.
func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// After an upgrade the old verifier runs on until somebody restarts it.
func TestDoctorSeesOldVerifier(t *testing.T) {
	t.Parallel()
	here := machine.NewSite(t, "doctor-old", "")
	machine.NewPerson(t, "old").Enroll(t, here.Users)
	machine.WriteService(t, here.Name, "@include common-auth\n"+machine.ModuleLine("protocol=ssh", "config="+here.Config)+"\n")
	program := filepath.Join(t.TempDir(), "otpgate-verifierd")
	copyProgram(t, machine.Files+"/otpgate-verifierd", program)
	verifier := exec.Command(program, "--config", here.Config)
	if err := verifier.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = verifier.Process.Kill()
		_ = verifier.Wait()
	})
	// The socket's file is there a moment before somebody listens.
	machine.Until(t, "the verifier listens", func() bool {
		conn, err := net.Dial("unix", here.Socket)
		return err == nil && conn.Close() == nil
	})
	args := []string{"--config=" + here.Config, "doctor", "--service=" + here.Name, "--ignore=clock-unsynchronised", "--ignore=state-volatile"}
	otpctl(t, 0, args...)
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	if said := otpctl(t, 3, args...); !strings.Contains(said, "id:       verifier-old") {
		t.Errorf("expected an old verifier, found\n%s", said)
	}
}
