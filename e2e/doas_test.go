package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/machine"
)

// asRootByDoas is machine.Greet for commands that doas runs as root for somebody.
const asRootByDoas = `test "$(id -u)" = 0 && echo "$DOAS_USER is"" in"`

// doas asks for the password and then for a code. By persist it asks for neither on
// that terminal for some minutes; by nopass it never does, and the doctor says so.
func TestDoas(t *testing.T) {
	onBothPaths(t, "doas", "", func(t *testing.T, here machine.Site) {
		here.AddToService(t, "doas", "doas")
		p, lasting, unasked := machine.NewPerson(t, "doa").Enroll(t, here.Users), machine.NewPerson(t, "las").Enroll(t, here.Users), machine.NewPerson(t, "nop").Enroll(t, here.Users)
		permit := func(rules ...string) {
			t.Helper()
			must(t, os.WriteFile("/etc/doas.conf", []byte(strings.Join(append(rules, ""), "\n")), 0o400))
		}
		doas := func(p *machine.Person, given machine.Answers) machine.Dialogue {
			t.Helper()
			return machine.Open(t, p.As(exec.Command("doas", "/bin/sh", "-c", asRootByDoas))).Answer(given, machine.Patience)
		}
		permit("permit "+p.Name, "permit persist "+lasting.Name)
		code, wrong := p.Code(t, 0), p.Wrong(t)
		expectOut(t, p, doas(p, answers(p, wrong, wrong, wrong)), 3)
		expectOut(t, p, doas(p, machine.Answers{Passwords: []string{"not-" + p.Password}}), 0)
		expectIn(t, p, doas(p, answers(p, code)), 1)
		expectAudit(t, p, "service=doas", "protocol=sudo", "verdict=accepted")
		expectOut(t, p, doas(p, answers(p, code, code, code)), 3)

		twice := lasting.As(exec.Command("/bin/sh", "-c", "doas true && doas /bin/sh -c '"+asRootByDoas+"'"))
		expectIn(t, lasting, machine.Open(t, twice).Answer(answers(lasting, lasting.Code(t, 0)), machine.Patience), 1)

		// What sudo asks for is nothing of doas.
		must(t, os.WriteFile("/etc/sudoers.d/"+here.Name, []byte("Defaults:"+p.Name+" rootpw\n"+p.Name+" ALL=(ALL) ALL\n"), 0o440))
		doctor := []string{"--config=" + here.Config, "doctor", "--service=doas", "--ignore=clock-unsynchronised", "--ignore=state-volatile"}
		otpctl(t, 0, doctor...)
		permit("permit nopass " + unasked.Name)
		expectIn(t, unasked, doas(unasked, machine.Answers{}), 0)
		if said := otpctl(t, 3, doctor...); !strings.Contains(said, "id:       doas-nopass") {
			t.Errorf("expected doas-nopass, found\n%s", said)
		}
	})
}
