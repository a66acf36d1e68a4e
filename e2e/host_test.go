package e2e

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// report is what pamhost says about one login.
type report struct {
	Result   string   `json:"result"`
	Changed  []string `json:"changed"`
	OwnChild int      `json:"own_child"`
	Stdio    string   `json:"stdio"`
}

// pamhost logs p in, in an application that looks at itself before and after. The front's
// clock is slow, as the machine may be busy.
func pamhost(t *testing.T, service string, p *machine.Person, code string, options ...string) []report {
	t.Helper()
	args := append([]string{"--confdir", "/etc/pam.d", "--service", service, "--user", p.Name, "--slow-clock", "10"}, options...)
	cmd := exec.Command(machine.Files+"/pamhost", append(args, code)...)
	var output []byte
	var err error
	machine.PlaceOf(t, service).Within(t, func() { output, err = cmd.Output() })
	if err != nil {
		t.Fatalf("pamhost %q: %v", options, err)
	}
	var reports []report
	for decoder := json.NewDecoder(bytes.NewReader(output)); decoder.More(); {
		var r report
		if err := decoder.Decode(&r); err != nil {
			t.Fatalf("pamhost %q: %v in %s", options, err, output)
		}
		reports = append(reports, r)
	}
	return reports
}

// With the real core too, a login leaves the host as it was: ids, umask,
// descriptors, signal handlers, children; and nothing is written to 0 to 2.
func TestHostIsLeftAsItWas(t *testing.T) {
	onBothPaths(t, "host", "", func(t *testing.T, here machine.Site) {
		t.Parallel()
		here.CodeOnly(t, here.Name, "protocol=login")
		for name, options := range map[string][]string{
			"plain":                    nil,
			"SIGCHLD ignored":          {"--sigchld", "ignore"},
			"SIGCHLD reaped by host":   {"--sigchld", "reap"},
			"SIGCHLD counted by host":  {"--sigchld", "count"},
			"SIGCHLD blocked":          {"--sigchld", "blocked"},
			"a child of its own":       {"--own-child", "5"},
			"0 to 2 closed":            {"--close-stdio"},
			"0 to 2 are a connection":  {"--pipe-stdio"},
			"real user id of a user":   {"--ruid", "4711"},
			"supplementary groups":     {"--groups", "5"},
			"200 MiB of address space": {"--limit-as", "200"},
			"silent":                   {"--silent"},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				expectLeftAsItWas(t, here, strings.Contains(name, "own"), options...)
			})
		}
		t.Run("threads", func(t *testing.T) {
			t.Parallel()
			p := machine.WithoutUser("hal").Enroll(t, here.Users)
			in := 0
			for _, r := range pamhost(t, here.Name, p, p.Code(t, 0), "--threads", "8", "--churn", "2") {
				if r.Result == "PAM_SUCCESS" {
					in++
				}
			}
			if in != 1 {
				t.Errorf("expected one of 8 threads with one code to be in, found %d", in)
			}
		})
		for name, flags := range map[string][]string{"busy threads": {"-t"}, "SIGCHLD ignored, prompts": {"-i"}, "both": {"-i", "-t"}} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				for range 10 {
					p := machine.WithoutUser("hal").Enroll(t, here.Users)
					host := hosts.StartHost(t, here.Name, p.Name, hosts.HostOptions{Flags: flags})
					if verdict := host.Verdict(t, p.Wrong(t), p.Code(t, 0)); verdict != hosts.PAMSuccess {
						t.Errorf("expected PAM_SUCCESS, found %d", verdict)
					}
					for event := host.Next(t); event.Kind != "gone"; event = host.Next(t) {
						if event.Code != 0 {
							t.Errorf("expected account 0 and no child left, found %+v", event)
						}
					}
				}
			})
		}
	})
}

// expectLeftAsItWas logs in with a right code and a wrong one, in a host with or
// without a child of its own.
func expectLeftAsItWas(t *testing.T, here machine.Site, ownChild bool, options ...string) {
	t.Helper()
	for _, right := range []bool{true, false} {
		p := machine.WithoutUser("hal").Enroll(t, here.Users)
		code, want := p.Code(t, 0), "PAM_SUCCESS"
		if !right {
			code, want = p.Wrong(t), "PAM_AUTH_ERR"
		}
		for _, r := range pamhost(t, here.Name, p, code, options...) {
			if r.Result != want || len(r.Changed) > 0 || r.Stdio != "" {
				t.Errorf("expected %s and nothing changed or written, found %+v", want, r)
			}
			if ownChild && r.OwnChild != 7 {
				t.Errorf("expected that the host's own child is left to it with status 7, found %d", r.OwnChild)
			}
		}
	}
}

// Odd answers that only a host can give: none of them skips the code.
func TestHostAnswers(t *testing.T) {
	onAllPaths(t, "odd", "", func(t *testing.T, here machine.Site) {
		t.Parallel()
		here.CodeOnly(t, here.Name, "protocol=login")
		for name, answer := range map[string]func(*hosts.Host, string){
			"refused":     func(h *hosts.Host, _ string) { h.Refuse() },
			"NULL":        func(h *hosts.Host, _ string) { h.Null() },
			"empty":       func(h *hosts.Host, _ string) { h.Answer("") },
			"600 bytes":   func(h *hosts.Host, code string) { h.Answer(strings.Repeat(code, 100)) },
			"5000 bytes":  func(h *hosts.Host, code string) { h.Answer(strings.Repeat(code, 5000/6)) },
			"line feed":   func(h *hosts.Host, code string) { h.Answer(code + "\n") },
			"carriage":    func(h *hosts.Host, code string) { h.Answer(code + "\r") },
			"host killed": func(h *hosts.Host, _ string) { _ = h.Cmd.Process.Kill() },
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p := machine.WithoutUser("odd").Enroll(t, here.Users)
				code := p.Code(t, 0)
				host := hosts.StartHost(t, here.Name, p.Name, hosts.HostOptions{})
				for event := host.Next(t); event.Kind != "verdict" && event.Kind != "gone"; event = host.Next(t) {
					if event.Kind == "prompt" {
						answer(host, code)
					} else if event.Kind != "tell" {
						t.Fatalf("expected prompts, then an end, found %+v", event)
					}
				}
				if accepted := machine.Log.Lines("user="+p.Name+" ", "verdict=accepted"); len(accepted) > 0 {
					t.Errorf("expected a denial, found\n%s", machine.Text(accepted))
				}
				// The code is still good, so it was not taken for one.
				if verdict := plainLogin(t, here.Name, p, code); verdict != hosts.PAMSuccess {
					t.Errorf("the code afterwards: expected PAM_SUCCESS, found %d", verdict)
				}
			})
		}
	})
}
