package gate

import (
	"os"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/breakglass"
)

// tail is the end of a password.
type tail string

func (e tail) Tail(n, group int, alphabet string) (string, bool, error) {
	if len(e) <= n || group != breakglass.Group || strings.Trim(string(e[len(e)-n:]), alphabet+"-") != "" {
		return "", false, nil
	}
	return string(e[len(e)-n:]), true, nil
}

// Before the password nothing tells who has codes here: what looks like one is taken off.
func TestBreakGlassSplit(t *testing.T) {
	p, codes := newAlone(t)
	for _, name := range []string{"root", "alice", "nobody"} {
		for end, want := range map[string]int{"secret" + codes[0]: breakglass.Length, "secret": 0, "secret123456": 0, codes[0]: 0, "0000-0000-0000-000u0000-0000-0000-000u": 0} {
			if n, err := p.Split(t.Context(), Request{User: name, Service: "vsftpd"}, tail(end)); n != want || err != nil {
				t.Errorf("%s, %q: %d, %v", name, end, n, err)
			}
		}
	}
	behind := Request{User: "root", Service: "vsftpd", AfterSplit: true, CodeBehind: true}
	expect(t, p.Unreachable(t.Context(), behind, says(codes[0]), "remote", errDown), Accept, "break-glass")
	// The second question of a host that cannot ask.
	expect(t, p.Unreachable(t.Context(), behind, says(Answer{Password: true}), "remote", errDown), TooMany, "password-repeated")
	v := p.Unreachable(t.Context(), behind, says("0000-0000-0000-0000", Answer{Password: true}), "remote", errDown)
	expect(t, v, TooMany, "code")
	if !strings.HasPrefix(v.Reason, "codes: 1 wrong, 0 used before, 0 not in the form of a code; the host cannot ask for another one;") {
		t.Errorf("the log says %q", v.Reason)
	}
	if len(p.Log()) != 3 {
		t.Errorf("log: %s", p.Lines())
	}
	// A directory that is not as it must be is a fault, and named.
	dir := p.Config.Paths.BreakGlass
	if err := os.Chmod(dir, 0o777); err != nil { // this test's own
		t.Fatal(err)
	}
	for _, split := range []func() (int, error){
		func() (int, error) { return p.Split(t.Context(), behind, tail("secret"+codes[1])) },
		func() (int, error) { return p.SplitUnreachable(behind, tail("secret"+codes[1]), "remote", errDown) },
	} {
		n, err := split()
		last := p.Log()[len(p.Log())-1]
		if n != 0 || err == nil || last.Rule != "break-glass" || !strings.Contains(last.Reason, dir+": unsafe") || !strings.Contains(last.Reason, "; they were to be asked for as ") {
			t.Errorf("%d, %v, %+v", n, err, last)
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	// Where nobody has any, all is as before.
	if err := breakglass.Remove(p.Config.Paths.BreakGlass, "root"); err != nil {
		t.Fatal(err)
	}
	for _, split := range []func() (int, error){
		func() (int, error) { return p.Split(t.Context(), behind, tail("secret"+codes[1])) },
		func() (int, error) { return p.SplitUnreachable(behind, tail("secret"+codes[1]), "remote", errDown) },
	} {
		n, err := split()
		last := p.Log()[len(p.Log())-1]
		if n != 0 || err == nil || last.Rule != "remote" || last.Verdict != "fault" {
			t.Errorf("%d, %v, %+v", n, err, last)
		}
	}
}

// tailless panics where it is asked for anything.
type tailless struct{}

func (tailless) Tail(int, int, string) (string, bool, error) { panic("no password") }

// A panic takes nothing off, and the log says whose login it was, as for any other split.
func TestBreakGlassSplitPanics(t *testing.T) {
	p, _ := newAlone(t)
	request := Request{User: "root", Service: "vsftpd"}
	for name, split := range map[string]func() (int, error){
		"by itself":   func() (int, error) { return p.Split(t.Context(), request, tailless{}) },
		"unreachable": func() (int, error) { return p.SplitUnreachable(request, tailless{}, "remote", errDown) },
	} {
		before := len(p.Log())
		n, err := split()
		if n != 0 || err == nil {
			t.Errorf("%s: %d, %v", name, n, err)
		}
		if log := p.Log()[before:]; len(log) != 1 || log[0].Verdict != "fault" || log[0].User != "root" || log[0].Reason != "panic: no password" {
			t.Errorf("%s: the log says %+v", name, log)
		}
	}
}
