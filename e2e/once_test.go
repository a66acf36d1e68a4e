package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// Fifty logins have their prompts; then all give the same code at once. One
// is in, in each round on each path and on both together, be it the first login of
// somebody or not.
func TestOnceOfFifty(t *testing.T) {
	t.Parallel()
	const limits = "[policy]\nattempts = { per_window = 1000, per_source = 100000 }\n"
	here := machine.Resident.NewSite(t, "fifty", limits)
	for name, paths := range map[string][2]machine.Path{
		"forked": {machine.Forked, machine.Forked}, "resident": {machine.Resident, machine.Resident},
		"both": {machine.Forked, machine.Resident},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			services := [2]string{"fifty-" + name + "-0", "fifty-" + name + "-1"}
			for i, path := range paths {
				here.Over(path).CodeOnly(t, services[i], "protocol=ssh")
			}
			for round := range 4 {
				t.Run(strconv.Itoa(round), func(t *testing.T) { onceOfFifty(t, here, services[:]...) })
				for _, first := range []bool{true, false} {
					t.Run(fmt.Sprintf("%d at the lock, first login %v", round, first), func(t *testing.T) { onceOfFiftyAtLock(t, here, first, services[:]...) })
				}
			}
		})
	}
}

// onceOfFifty has fifty logins, at these services in turn, give one code at once. It is
// the first of somebody of whom nothing is in the ledger.
func onceOfFifty(t *testing.T, here machine.Site, services ...string) {
	t.Helper()
	p := machine.WithoutUser("fay").Enroll(t, here.Users)
	fiftyAtOnce(t, p, services, "Verification code", p.Code(t, 0), nil)
}

// onceOfFiftyAtLock has all fifty be where one of them has to wait for another: the test
// has the lock until each of them has the file open that it is of. That is the person's
// record or, before the first login, the file that becomes it.
func onceOfFiftyAtLock(t *testing.T, here machine.Site, first bool, services ...string) {
	t.Helper()
	p := machine.WithoutUser("fay").Enroll(t, here.Users)
	path := filepath.Join(here.State, "users", p.Name)
	if first {
		path = filepath.Join(here.State, "users", ".new-"+p.Name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, nil, 0o600))
	} else if verdict := plainLogin(t, services[0], p, p.Code(t, 0)); verdict != hosts.PAMSuccess {
		t.Fatalf("the login that makes the record: expected PAM_SUCCESS, found %d", verdict)
	}
	record, err := os.Open(path)
	must(t, err)
	defer record.Close()
	must(t, unix.Flock(int(record.Fd()), unix.LOCK_EX))
	fiftyAtOnce(t, p, services, "Verification code", p.Code(t, 1), func(logins []*hosts.Host) {
		machine.Until(t, "fifty logins have "+path+" open", func() bool {
			waiting := timesOpen(here.Verifier.PID(), path)
			for _, host := range logins {
				if host.Said() {
					t.Fatalf("expected that nobody is told anything while the record is locked; %d logins have it open", waiting)
				}
				for _, child := range childrenOf(t, host.Cmd.Process.Pid) {
					waiting += timesOpen(child, path)
				}
			}
			return waiting == len(logins)
		})
		must(t, unix.Flock(int(record.Fd()), unix.LOCK_UN))
	})
}

// timesOpen is how often a process has a file open.
func timesOpen(pid int, path string) (count int) {
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	all, err := os.ReadDir(dir)
	if err != nil {
		return 0 // it has ended
	}
	for _, one := range all {
		if leads, err := os.Readlink(dir + one.Name()); err == nil && leads == path {
			count++
		}
	}
	return count
}

// fiftyAtOnce has fifty logins of p at the prompt, and then gives all one code. What
// given does, if it is not nil, comes before the verdicts.
func fiftyAtOnce(t *testing.T, p *machine.Person, services []string, prompt, code string, given func([]*hosts.Host)) {
	t.Helper()
	held, release, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	defer release.Close()
	var logins []*hosts.Host
	for n := range 50 {
		logins = append(logins, hosts.StartHost(t, services[n%len(services)], p.Name, hosts.HostOptions{Barrier: held, RemoteHost: p.Address}))
	}
	for _, host := range logins {
		host.Prompt(t, prompt)
		host.Answer(code)
	}
	release.Close()
	if given != nil {
		given(logins)
	}
	verdicts := map[int]int{}
	for _, host := range logins {
		verdicts[host.Verdict(t)]++
	}
	if verdicts[hosts.PAMSuccess] != 1 {
		t.Errorf("expected one login of 50 to be in, found %d; verdicts: %v\n%s",
			verdicts[hosts.PAMSuccess], verdicts, machine.Text(machine.Log.Lines("otpgate", "user="+p.Name+" ")))
	}
}

// The forked child is killed at any moment of a login: only that path has one.
// A code is still good
// for one login at most, the ledger is whole, and the host goes on.
func TestKilledChild(t *testing.T) {
	t.Parallel()
	here := machine.NewSite(t, "killed", "[policy]\nattempts = { per_window = 1000 }\n")
	here.CodeOnly(t, "killed", "protocol=ssh")
	var cut atomic.Int32
	logins := 0
	// Chance, and how busy the machine is, may have it that most hit nothing.
	for logins < 100 || cut.Load() < 20 && logins < 2000 {
		t.Run("logins", func(t *testing.T) {
			for n := range 100 {
				t.Run(strconv.Itoa(n), func(t *testing.T) {
					t.Parallel()
					if oneKilled(t, here, n%4 == 0) {
						cut.Add(1)
					}
				})
			}
		})
		logins += 100
	}
	t.Logf("%d of %d logins were cut off", cut.Load(), logins)
	if cut.Load() < 20 {
		t.Errorf("expected that at least 20 of %d logins were cut off by the kill, found %d", logins, cut.Load())
	}
}

// oneKilled is a login whose child is killed, and those of the same person after
// it. It says whether the first was cut off.
func oneKilled(t *testing.T, here machine.Site, early bool) (cut bool) {
	t.Helper()
	p := machine.WithoutUser("kit").Enroll(t, here.Users)
	code, next := p.Code(t, 0), p.Code(t, 1)
	in := 0
	if cut = killedLogin(t, p, code, early) != hosts.PAMSuccess; !cut {
		in++
	}
	for range 2 {
		if plainLogin(t, "killed", p, code) == hosts.PAMSuccess {
			in++
		}
	}
	if in > 1 {
		t.Errorf("one code was accepted %d times", in)
	}
	if verdict := plainLogin(t, "killed", p, next); verdict != hosts.PAMSuccess {
		t.Errorf("the next code: expected PAM_SUCCESS, found %d\n%s", verdict, machine.Text(machine.Log.Lines("otpgate", "user="+p.Name+" ")))
	}
	return cut
}

// killedLogin kills the child a random moment after the start or, if not
// early, after the code was given.
func killedLogin(t *testing.T, p *machine.Person, code string, early bool) int {
	t.Helper()
	host := hosts.StartHost(t, "killed", p.Name, hosts.HostOptions{RemoteHost: p.Address})
	moments := 4000
	if !early {
		host.Prompt(t, "Verification code")
		host.Answer(code)
		moments = 1500
	}
	// A moment to hit is the point of this test, not something to wait for.
	time.Sleep(time.Duration(rand.IntN(moments)) * time.Microsecond)
	killChildren(t, host.Cmd.Process.Pid)
	return host.Verdict(t, code)
}

func killChildren(t *testing.T, parent int) {
	t.Helper()
	for _, child := range childrenOf(t, parent) {
		if err := unix.Kill(child, unix.SIGKILL); err != nil && err != unix.ESRCH {
			t.Fatal(err)
		}
	}
}

// childrenOf are the children of a process; it has none once it is gone.
func childrenOf(t *testing.T, parent int) (pids []int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", parent, parent))
	if err != nil {
		return nil
	}
	for _, child := range strings.Fields(string(text)) {
		pid, err := strconv.Atoi(child)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// plainLogin is a login at a PAM service without a password stage.
func plainLogin(t *testing.T, service string, p *machine.Person, codes ...string) int {
	t.Helper()
	return hosts.StartHost(t, service, p.Name, hosts.HostOptions{RemoteHost: p.Address}).Verdict(t, codes...)
}
