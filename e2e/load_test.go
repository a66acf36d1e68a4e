package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// load has TestLoad go on for so long beside each attack, and measure: make load.
var load = flag.Duration("load", 0, "how long each attack of TestLoad lasts")

// loops is how many people log in again and again.
const loops = 16

// loop is one of them, with a token, which has codes without end.
type loop struct {
	server, service string
	p               *machine.Person
	used            uint64
	in              func(t machine.T, p *machine.Person, code string) bool
}

// loopsAt are the login loops at sshd, whose front turns to a core when the verifier
// has not taken a login within two seconds, and at two whose fronts can start none:
// vsftpd, which has little address space, and Apache, which is not root's.
func loopsAt(t *testing.T, here machine.Site) (all []*loop) {
	machine.AddToService(t, "sshd", here.Name+"-ssh", here.Arguments("protocol=ssh")...)
	here.CodeOnly(t, here.Name+"-ftp", "protocol=ftp")
	here.CodeOnly(t, here.Name+"-http", "protocol=http")
	sshd := hosts.StartSSHD(t, here.Name+"-ssh", hosts.WithCode...)
	byFTP, byHTTP := hosts.StartVSFTPD(t, here.Name+"-ftp"), hosts.StartApache(t, here.Name+"-http")
	bySSH := func(t machine.T, p *machine.Person, code string) bool {
		return sshd.Login(t, p, answers(p, code)).In(p)
	}
	for i := range loops {
		p := machine.NewPerson(t, "load")
		p.Write(t, here.Users, tokenFile(p))
		all = append(all, []*loop{
			{"sshd", here.Name + "-ssh", p, 0, bySSH}, {"vsftpd", here.Name + "-ftp", p, 0, byFTP.In}, {"apache", here.Name + "-http", p, 0, byHTTP.In},
		}[i%3])
	}
	return all
}

func tokenFile(p *machine.Person) string {
	return fmt.Sprintf("version = 1\nuser = %q\n\n[[factor]]\nid = \"token\"\nkind = \"hotp\"\nsecret = %q\ndigits = 8\nconfirmed = 2026-11-22T10:00:00Z\n", p.Name, p.Secret)
}

func (l *loop) code(t *testing.T, at uint64) string {
	code, err := hotp.GenerateCodeCustom(l.p.Secret, at, hotp.ValidateOpts{Digits: otp.DigitsEight, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		t.Fatal(err)
	}
	machine.Keep(code)
	return code
}

// loginTimes are the times of the logins at each server.
type loginTimes map[string][]time.Duration

// logins has everybody in once with a right code, out once with that code again,
// and then in for as long as the flag says.
// mayRefuse is a server that may refuse a right one.
func logins(t *testing.T, all []*loop, mayRefuse string) loginTimes {
	t.Helper()
	times, mu := loginTimes{}, sync.Mutex{}
	var running sync.WaitGroup
	end := time.Now().Add(*load)
	for _, l := range all {
		running.Go(func() {
			for first := true; first || time.Now().Before(end); first = false {
				code := l.code(t, l.used)
				begin := time.Now()
				in := l.in(t, l.p, code)
				mu.Lock()
				times[l.server] = append(times[l.server], time.Since(begin)) // for make load
				mu.Unlock()
				if in {
					l.used++
				}
				if !in && l.server != mayRefuse && !l.tooLate() {
					t.Errorf("%s refused %s with a right code:\n%s", l.server, l.p.Name, machine.Text(machine.Log.Lines("user="+l.p.Name+" ")))
				}
				if in && first && l.in(t, l.p, code) {
					t.Errorf("%s let %s in with a used code", l.server, l.p.Name)
				}
			}
		})
	}
	running.Wait()
	return times
}

// tooLate says whether the last login came to nothing because the front had no core
// to turn to: the machine is too slow for the verifier to take it in time.
func (l *loop) tooLate() bool {
	lines := machine.Log.Lines("user="+l.p.Name+" ", "service="+l.service+" ")
	return l.server != "sshd" && len(lines) > 0 && strings.Contains(lines[len(lines)-1].Text, "pam_otpgate_core.so: expected the core there")
}

// attack is what one process of package flood does: how, as which uids, for whom.
type attack struct {
	way         string
	first, uids int
	users       []string
}

// begin starts the attacks at a socket. In the short run they have the time that the
// logins and other tests leave: on a slow machine they would take longer and longer,
// as an attack lasts until everybody has logged in.
func begin(t *testing.T, socket, config string, attacks ...attack) (stop func()) {
	t.Helper()
	var stops []func()
	for _, a := range attacks {
		cmd := exec.Command(machine.Files+"/flood", append([]string{socket, a.way, strconv.Itoa(a.first), strconv.Itoa(a.uids), "1", config}, a.users...)...)
		if *load == 0 {
			cmd = exec.Command("nice", append([]string{"-n", "19"}, cmd.Args...)...)
		}
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 10)); err != nil {
			t.Fatalf("the flood: %v", err)
		}
		stops = append(stops, func() { _ = in.Close(); _ = cmd.Wait() })
	}
	return func() {
		for _, stop := range stops {
			stop()
		}
	}
}

const (
	wwwData        = 33
	subordinate    = 100_000 // the first uid of somebody's in subuid(5), of 65,536
	subordinates   = 65_536
	loadRobots     = "loadrobots"
	loadStaff      = "loadstaff"
	loadConfigText = "[verifier]\nallow = [\"www-data\"]\n[policy]\nrequire = [\"@" + loadStaff + "\"]\nexempt = [\"@" + loadRobots + "\"]\n" +
		"attempts = { per_window = 1000, per_source = 100000 }\n"
)

// People log in while somebody does what he can at the verifier's socket: a local
// user with 65,536 uids, a program of one person's own, and a web server that was
// taken over. Everybody is let in with a right code and nobody with another, and the
// verifier keeps to its memory. How long logins take is measured by make load,
// beside what the same attacks cost at a verifier that nobody logs in by.
func TestLoad(t *testing.T) {
	machine.ProbeGroup(t, loadRobots)
	missing := machine.NewPerson(t, "missing")
	machine.ProbeGroup(t, loadStaff, missing)
	known := machine.Stranger("known")
	alias := *known
	alias.Name += "-alias"
	machine.ProbeUser(t, known, alias.Name)
	here, other := machine.Resident.NewSite(t, "load", loadConfigText), machine.Resident.NewSite(t, "load-other", loadConfigText)
	all := loopsAt(t, here)
	guest := machine.NewPerson(t, "guest").Enroll(t, here.Users)
	guest.Write(t, other.Users, guest.SecretFile())
	known.Write(t, here.Users, tokenFile(known))
	names := []string{guest.Name}
	for _, l := range all {
		names = append(names, l.p.Name)
		l.p.Write(t, other.Users, tokenFile(l.p))
	}
	for _, test := range []struct {
		name, mayRefuse string
		attacks         []attack
	}{
		{"stranger", "", []attack{{"close", subordinate, subordinates, nil}, {"half", subordinate + subordinates, subordinates, names}, {"guess", subordinate, subordinates, names}}},
		{"guest", "", []attack{{"guess", guest.UID, 1, names[:1]}, {"open", guest.UID, 1, names[:1]}, {"garbage", guest.UID, 1, nil}}},
		// Whoever has taken the web server over lets nobody in there if he wants.
		{"server", "apache", []attack{{"guess", wwwData, 1, names}, {"open", wwwData, 1, names}, {"leave", wwwData, 1, names}, {"close", subordinate, subordinates, nil}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			sides := map[string]loginTimes{}
			stop := begin(t, here.Socket, here.Config, test.attacks...)
			sides["attacked"] = logins(t, all, test.mayRefuse)
			stop()
			untilFree(t, here)
			if *load > 0 {
				sides["alone"] = logins(t, all, "")
				stop = begin(t, other.Socket, other.Config, test.attacks...)
				sides["another verifier attacked"] = logins(t, all, "")
				stop()
			}
			reportLoad(t, here, mostMemory, sides)
		})
	}
	t.Run("names", func(t *testing.T) { testLoadNames(t, here, all, missing, &loop{p: known}, &alias) })
	if lines := machine.Log.Lines("service=flood", "verdict=accepted"); len(lines) > 0 {
		t.Errorf("somebody got in by guessing:\n%s", machine.Text(lines))
	}
}

// A server that was taken over asks for names at which a name service hangs, which
// also fails and lies about somebody who must enroll first: who depends on it is out,
// everybody else in, of the directory too.
func testLoadNames(t *testing.T, here machine.Site, all []*loop, missing *machine.Person, known *loop, alias *machine.Person) {
	fifo := filepath.Join(machine.Root, "hang-"+missing.Name)
	if err := unix.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	var hanging, rules []string
	for i := range 300 {
		name := fmt.Sprintf("hanging%d-%s", i, missing.Name)
		rule := "passwd " + name + " hang " + fifo
		machine.ProbeRule(t, rule)
		hanging, rules = append(hanging, name), append(rules, rule)
	}
	stop := begin(t, here.Socket, here.Config, attack{"open", wwwData, 1, hanging})
	defer stop()
	machine.Until(t, "as many lookups hang as one server may have", func() bool {
		threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", here.Verifier.PID()))
		return err == nil && len(threads) >= 64
	})
	byFTP := all[1].in
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
	reportLoad(t, here, mostAtNames, map[string]loginTimes{"names hang": logins(t, all, "apache")})
	// By now each of the names has been asked for, and this one takes a question too.
	bySSH := all[0].in
	if !bySSH(t, alias, known.code(t, 0)) && len(machine.Log.Lines("user="+alias.Name+" ", "verdict=accepted")) == 0 {
		t.Errorf("%s, whom only a directory knows, is refused with a right code:\n%s", alias.Name, machine.Text(machine.Log.Lines("user="+known.p.Name)))
	}
	// It comes back, for all who wait.
	stop()
	for _, rule := range rules {
		machine.ProbeForget(t, rule)
	}
	if err := os.WriteFile(fifo, nil, 0); err != nil {
		t.Fatal(err)
	}
	untilFree(t, here)
	logins(t, all, "")
}

// untilFree waits until nobody of an attack that has ended is in a place.
func untilFree(t *testing.T, here machine.Site) {
	machine.Until(t, "the verifier has taken leave of the attackers", func() bool {
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

func reportLoad(t *testing.T, here machine.Site, most int, sides map[string]loginTimes) {
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
	if *load == 0 {
		return
	}
	for side, times := range sides {
		for _, server := range []string{"sshd", "vsftpd", "apache"} {
			slices.Sort(times[server])
			n := len(times[server])
			t.Logf("%-26s %-7s %4d logins, p50 %4d ms, p95 %4d ms", side, server, n, times[server][n/2].Milliseconds(), times[server][n*95/100].Milliseconds())
		}
	}
}
