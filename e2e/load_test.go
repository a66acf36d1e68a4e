package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/e2e/machine"
)

// nicest is the niceness of attackers who use only what others leave.
const nicest = 19

// People log in while somebody does what he can at the verifier's socket. Everybody is
// let in with a right code and nobody with another, and the verifier keeps to its
// memory. How long logins take meanwhile is measured by BenchmarkLoad.
func TestLoad(t *testing.T) {
	s := newLoadSites(t)
	known := machine.WithoutUser("known")
	alias := *known
	alias.Name += "-alias"
	machine.ProbeUser(t, known, alias.Name)
	known.Write(t, s.here.Users, tokenFile(known))
	for _, who := range s.attackers() {
		t.Run(who.name, func(t *testing.T) {
			stop := begin(t, s.here, nicest, who.attacks...)
			inAndOut(t, s.all, who.mayRefuse)
			stop()
			untilFree(t, s.here)
			keepsItsMemory(t, s.here, mostMemory)
		})
	}
	t.Run("names", func(t *testing.T) { testLoadNames(t, s, &loop{p: known}, &alias) })
	if lines := machine.Log.Lines("service=flood", "verdict=accepted"); len(lines) > 0 {
		t.Errorf("somebody got in by guessing:\n%s", machine.Text(lines))
	}
}

// inAndOut has everybody in with a right code, and out with that code again. mayRefuse
// is a server that may refuse a right one.
func inAndOut(t *testing.T, all []*loop, mayRefuse string) {
	t.Helper()
	everybody(all, func(l *loop) {
		if code, in := l.right(t, l.server == mayRefuse); in && l.in(t, l.p, code) {
			t.Errorf("%s let %s in with a used code", l.server, l.p.Name)
		}
	})
}

// A server that was taken over asks for names at which a name service hangs, which
// also fails and lies about somebody who must enroll first: who depends on it is out,
// everybody else in, of the directory too.
func testLoadNames(t *testing.T, s *loadSites, known *loop, alias *machine.Person) {
	here, missing := s.here, s.missing
	stop := namesHang(t, here, missing.Name)
	byFTP := s.all[1].in
	for _, state := range []string{"", "group " + loadStaff + " unavail 111", "initgroups " + missing.Name + " tryagain 11", "initgroups " + missing.Name + " notfound 2"} {
		if state != "" {
			machine.ProbeRule(t, state)
		}
		if byFTP(t, missing, "12345678") {
			t.Errorf("%s is in, who has to enroll first, with the name service at %q", missing.Name, state)
		}
		if state != "" {
			machine.ProbeForget(t, state)
		}
	}
	inAndOut(t, s.all, "apache")
	keepsItsMemory(t, here, mostAtNames)
	// By now each of the names has been asked for, and this one takes a question too.
	bySSH := s.all[0].in
	if !bySSH(t, alias, known.code(t, 0)) && len(machine.Log.Lines("user="+alias.Name+" ", "verdict=accepted")) == 0 {
		t.Errorf("%s, whom only a directory knows, is refused with a right code:\n%s", alias.Name, machine.Text(machine.Log.Lines("user="+known.p.Name)))
	}
	// It comes back, for all who wait.
	stop()
	inAndOut(t, s.all, "")
}

// namesHang has the verifier ask for names at which the name service hangs, as many as one
// server may at once. stop has them answered, for all who wait.
func namesHang(t *testing.T, here machine.Site, suffix string) (stop func()) {
	t.Helper()
	fifo := filepath.Join(machine.Root, "hang-"+suffix)
	if err := unix.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	var hanging, rules []string
	for i := range 300 {
		name := fmt.Sprintf("hanging%d-%s", i, suffix)
		rule := "passwd " + name + " hang " + fifo
		machine.ProbeRule(t, rule)
		hanging, rules = append(hanging, name), append(rules, rule)
	}
	end := begin(t, here, nicest, attack{"open", wwwData, 1, hanging})
	machine.Until(t, "as many lookups hang as one server may have", func() bool {
		threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", here.Verifier.PID()))
		return err == nil && len(threads) >= 64
	})
	return sync.OnceFunc(func() {
		end()
		for _, rule := range rules {
			machine.ProbeForget(t, rule)
		}
		if err := os.WriteFile(fifo, nil, 0); err != nil {
			t.Error(err)
		}
		untilFree(t, here)
	})
}

// untilFree waits until nobody of an attack that has ended is in a place.
func untilFree(tb testing.TB, here machine.Site) {
	tb.Helper()
	machine.Until(tb, "the verifier has taken leave of the attackers", func() bool {
		open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", here.Verifier.PID()))
		return err == nil && len(open) < 2*loops
	})
}

// What docs/verifier.md promises: with all dialogues open that the attackers may
// have, and with all lookups under way that there may be.
const (
	mostMemory   = 20<<20 + (512+512)*24<<10
	mostAtNames  = mostMemory + 64*lookupMemory
	lookupMemory = 96 << 10
)

func keepsItsMemory(t *testing.T, here machine.Site, most int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", here.Verifier.PID()))
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`VmHWM:\s+([0-9]+) kB`).FindStringSubmatch(string(status))
	if match == nil {
		t.Fatalf("no VmHWM in %s", status)
	}
	peak, err := strconv.Atoi(match[1])
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the verifier has had %.1f MiB", float64(peak)/1024)
	if peak<<10 > most {
		t.Errorf("the verifier has had %d KiB, want at most %d", peak, most>>10)
	}
}
