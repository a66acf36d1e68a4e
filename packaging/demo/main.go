// Command demo shows a login with a password and a code on a private machine:
// the real sshd, the real client, otpctl and the PAM module that was built.
// It prints what a person would see, stops with exit status 1 at the first thing
// that is not as it should be, and leaves nothing behind.
package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

func main() {
	os.Exit(machine.Run(nil, func() int {
		show := &stage{}
		return show.run(demo)
	}))
}

// demo is the play.
func demo(s *stage) {
	s.say("A private machine: its own /etc, /home, /run and network. Yours is not touched.")
	p := machine.WithoutUser("otpgate-demo")
	p.Name = "otpgate-demo"
	p.Add(s)
	// As make install makes them.
	for _, dir := range []string{machine.Users, "/var/lib/otpgate"} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			s.Fatalf("%v", err)
		}
	}
	machine.AddToService(s, "sshd", "demo-sshd", "protocol=ssh")
	sshd := hosts.StartSSHD(s, "demo-sshd", hosts.WithCode...)
	s.say("Debian's PAM service for sshd, with one line after the password:\n  @include common-auth\n  %s", machine.ModuleLine("protocol=ssh"))

	s.say("\n%s has a password and no code yet, so none is asked:", p.Name)
	s.login(sshd, p, true)

	enroll(s, p)

	s.say("\nThe password, then a code from the app:")
	code := p.Code(s, 1) // confirming used the one that the app shows now
	s.login(sshd, p, true, code)
	s.say("\nThe same code again is refused:")
	s.login(sshd, p, false, code, code, code)
	s.say("\nWrong codes are refused:")
	wrong := p.Wrong(s)
	s.login(sshd, p, false, wrong, wrong, wrong)
	s.say("\nWithout the password the code is not even asked for:")
	d := s.ssh(sshd, p, machine.Answers{Passwords: []string{"not-" + p.Password}})
	s.expect(p, d, false, 0)

	s.say("\nWhat the system's log has of it:")
	machine.Until(s, "both refusals are in the log", func() bool {
		return len(machine.Log.Lines("otpgate", "user="+p.Name+" ", "verdict=denied")) == 2
	})
	for _, line := range machine.Log.Lines("otpgate", "user="+p.Name+" ") {
		s.say("  %s", line.Text)
	}
	if leaks := machine.Leaks("/var/lib", "/var/log"); len(leaks) > 0 {
		s.Fatalf("a password, secret or code can be read in %s", strings.Join(leaks, "; "))
	}
}

// enroll enrolls p as an admin would from a script.
func enroll(s *stage, p *machine.Person) {
	s.say("\n# otpctl enroll %s --json", p.Name)
	var enrolled struct {
		Secret string `json:"secret"`
	}
	output := s.otpctl("enroll", p.Name, "--json")
	if err := json.Unmarshal(output, &enrolled); err != nil || enrolled.Secret == "" {
		s.Fatalf("expected JSON with a secret from otpctl enroll, found %q", output)
	}
	p.Secret = enrolled.Secret
	machine.Keep(p.Secret)
	s.say("The app has the secret now and shows a code, which proves it:\n\n# otpctl confirm %s CODE", p.Name)
	confirmed := s.otpctl("confirm", p.Name, p.Code(s, 0))
	first, _, _ := strings.Cut(strings.TrimSpace(string(confirmed)), "\n")
	s.say("%s", first)
}

// otpctl runs otpctl and returns its standard output.
func (s *stage) otpctl(args ...string) []byte {
	cmd := exec.Command(machine.Files+"/otpctl", args...)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	output, err := cmd.Output()
	if err != nil {
		s.Fatalf("otpctl %s: %v: %s", args[0], err, complaints.String())
	}
	return output
}

// login shows a login with the right password and says whether it should get
// in. Each code is asked for.
func (s *stage) login(sshd *hosts.SSHD, p *machine.Person, in bool, codes ...string) {
	d := s.ssh(sshd, p, machine.Answers{Passwords: []string{p.Password}, Codes: codes})
	s.expect(p, d, in, len(codes))
}

func (s *stage) ssh(sshd *hosts.SSHD, p *machine.Person, answers machine.Answers) machine.Dialogue {
	s.say("\n$ ssh %s@127.0.0.1", p.Name)
	d := sshd.Login(s, p, answers, "PreferredAuthentications=keyboard-interactive")
	s.say("%s", strings.TrimSpace(d.Transcript))
	return d
}

func (s *stage) expect(p *machine.Person, d machine.Dialogue, in bool, codes int) {
	if d.In(p) != in || d.Codes != codes || d.Hung {
		s.Fatalf("expected in: %v after %d prompts for a code; found in: %v after %d, hung: %v", in, codes, d.In(p), d.Codes, d.Hung)
	}
	s.say("   → %s, as it should be", map[bool]string{true: "in", false: "not in"}[in])
}
