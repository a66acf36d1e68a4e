// Package e2e drives real daemons with the built PAM module in a private
// machine, see package machine.
package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/machine"
)

func TestMain(m *testing.M) {
	os.Exit(machine.Run(prepare, func() int {
		// Logins wait (for a client, for pam_unix's delay after a failure)
		// far more than they compute.
		flag.Parse()
		if err := flag.Set("test.parallel", "32"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if err := machine.UseExtraNames(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		// As make install makes them.
		for _, dir := range []string{machine.Users, "/var/lib/otpgate"} {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		}
		machine.RemoteFleet = fleetOf
		status := m.Run()
		if !endFleet() {
			status = 1
		}
		// Only now has every login been seen.
		if leaks := machine.Leaks("/var/lib", "/var/log"); len(leaks) > 0 {
			fmt.Fprintf(os.Stderr, "FAIL: a password, secret or code can be read in\n  %s\n", strings.Join(leaks, "\n  "))
			return 1
		}
		return status
	}))
}

// prepare builds what the tests need beside the module.
func prepare(dir string) error {
	if err := os.CopyFS(filepath.Join(dir, "systemd"), os.DirFS("../packaging/systemd")); err != nil {
		return err
	}
	pamhost, err := filepath.Glob("../pam_module/front/test/pamhost/*.c")
	if err != nil {
		return err
	}
	const pamclock, exported = "../pam_module/front/test/pamclock.c", "-Wl,--export-dynamic-symbol=clock_gettime,--export-dynamic-symbol=syscall"
	for _, command := range [][]string{
		{"gcc", "-Wall", "-O1", "-o", filepath.Join(dir, "pamlogin"), "testdata/pamlogin.c", pamclock, exported, "-lpam", "-lpthread"},
		slices.Concat([]string{"gcc", "-D_GNU_SOURCE", "-Wall", "-O1", "-o", filepath.Join(dir, "pamhost"), pamclock, exported}, pamhost, []string{"-lpam", "-lpthread", "-ldl"}),
		{"gcc", "-Wall", "-O1", "-shared", "-fPIC", "-o", filepath.Join(dir, "items.so"), "../pam_module/front/test/items.c", "-lpam"},
		{"gcc", "-Wall", "-O1", "-shared", "-fPIC", "-o", filepath.Join(dir, "evil.so"), "testdata/evil.c"},
		{"gcc", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-o", filepath.Join(dir, "libnss_probe.so.2"), "testdata/nss_probe.c"},
		{"gcc", "-Wall", "-Wextra", "-Werror", "-O1", "-o", filepath.Join(dir, "libssh"), "testdata/libssh.c", "-lssh"},
		// With the flags of the build, whose compiled packages then serve here too.
		{"env", "CGO_ENABLED=0", "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", dir + "/", "./hostile", "./flood"},
		{"go", "build", "-trimpath", "-buildmode=c-shared", "-ldflags", "-s -w", "-o", filepath.Join(dir, "pam_naive.so"), "./naive"},
	} {
		if output, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, output)
		}
	}
	return nil
}

// go test gives an old result again while nothing has changed that the tests
// looked at. The build and what prepare compiles are looked at before it takes
// note, so here is where it does.
func TestResultDependsOnBuild(t *testing.T) {
	dir := os.Getenv("OTPGATE_BUILD")
	if dir == "" {
		dir = "../build"
	}
	pamhost, err := filepath.Glob("../pam_module/front/test/pamhost/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(pamhost,
		dir+"/pam_otpgate.so", dir+"/pam_otpgate_core.so", dir+"/otpctl", dir+"/otpgate-verifierd", dir+"/otpgate-gateway", dir+"/otpgate-ledgerd", dir+"/otpgate-portal", dir+"/otpgate-send",
		dir+"/otpgate-sftpd", dir+"/otpgate-sftpd-front", dir+"/otpgate-sftpd-login", dir+"/otpgate-sftpd-worker", "hostile/main.go",
		"../packaging/systemd/own.conf", "../pam_module/front/test/items.c", "../pam_module/front/test/pamclock.c", "../pam_module/front/test/pamclock.h", "testdata/pamlogin.c", "testdata/evil.c", "testdata/nss_probe.c", "testdata/libssh.c",
		"naive/main.go", "flood/main.go",
	) {
		// The real machine's /home, and what is in it, may be hidden here.
		_, _ = os.Stat(path)
	}
}

// onAllPaths is onBothPaths, and runs test a third time for logins on a client of the
// fleet, which servers decide.
func onAllPaths(t *testing.T, name, config string, test func(t *testing.T, here machine.Site)) {
	t.Helper()
	t.Parallel()
	for _, path := range append(slices.Clone(machine.Paths), machine.Remote) {
		t.Run(string(path), func(t *testing.T) { test(t, path.NewSite(t, name, config)) })
	}
}

// byVerifier are the paths that hosts take which have no rights, or limits in which no
// core starts.
var byVerifier = []machine.Path{machine.Resident, machine.Remote}

// accepted are the lines of whoever decided p's logins that were accepted. A client's
// line, which names the server, stands beside the server's.
func accepted(p *machine.Person) (lines []machine.Line) {
	for _, line := range machine.Log.Lines("otpgate", "user="+p.Name+" ", "verdict=accepted") {
		if !strings.Contains(line.Text, " server=") {
			lines = append(lines, line)
		}
	}
	return lines
}

// onBothPaths runs test for logins that fork a core and for those that a
// resident verifier answers, each at a site of its own. The two run one after
// the other unless test begins with t.Parallel.
func onBothPaths(t *testing.T, name, config string, test func(t *testing.T, here machine.Site)) {
	t.Helper()
	t.Parallel()
	for _, path := range machine.Paths {
		t.Run(string(path), func(t *testing.T) { test(t, path.NewSite(t, name, config)) })
	}
}

// answers are the person's password and codes.
func answers(p *machine.Person, codes ...string) machine.Answers {
	return machine.Answers{Passwords: []string{p.Password}, Codes: codes}
}

// expectIn fails t unless p is in after that many prompts for a code.
func expectIn(t *testing.T, p *machine.Person, d machine.Dialogue, codes int) {
	t.Helper()
	if !d.In(p) || d.Codes != codes {
		t.Errorf("expected %s in after %d prompts for a code, found status %d after %d:\n%s\n%s",
			p.Name, codes, d.Status, d.Codes, d.Transcript, machine.Text(machine.Log.Lines("otpgate", "user="+p.Name+" ")))
	}
}

// expectOut fails t unless p is out after that many prompts for a code.
func expectOut(t *testing.T, p *machine.Person, d machine.Dialogue, codes int) {
	t.Helper()
	if d.In(p) || d.Hung || d.Codes != codes {
		t.Errorf("expected %s out after %d prompts for a code, found status %d, hung %v, after %d:\n%s\n%s",
			p.Name, codes, d.Status, d.Hung, d.Codes, d.Transcript, machine.Text(machine.Log.Lines("otpgate", "user="+p.Name+" ")))
	}
}

// expectDecided is expectAudit for a login at that site. On the path Remote it waits for the
// server's line, which names the client, and for the client's, which names the server: a
// client that decides by itself has no such lines.
func expectDecided(t *testing.T, here machine.Site, p *machine.Person, texts ...string) {
	t.Helper()
	if here.Path != machine.Remote {
		expectAudit(t, p, texts...)
		return
	}
	for _, other := range []string{" client=", " server="} {
		expectAudit(t, p, append([]string{other}, texts...)...)
	}
}

// expectAudit waits for p's audit line with the texts and checks where it was
// sent: authpriv, informational for who is let in, notice for who is not.
func expectAudit(t *testing.T, p *machine.Person, texts ...string) {
	t.Helper()
	const authpriv, failure, notice, informational = 10, 3, 5, 6
	line := machine.Log.Expect(t, append([]string{"otpgate", "user=" + p.Name + " "}, texts...)...)
	severity := informational
	switch {
	case strings.Contains(line.Text, "verdict=denied"):
		severity = notice
	case strings.Contains(line.Text, "verdict=fault"):
		severity = failure
	}
	if line.Facility != authpriv || line.Severity != severity {
		t.Errorf("expected facility %d severity %d, found %d %d: %s", authpriv, severity, line.Facility, line.Severity, line.Text)
	}
}
