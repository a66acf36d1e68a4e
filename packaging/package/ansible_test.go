package packages_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/machine"
)

// peopleCSV are those whom the playbook enrolls: one with a token that she has, and one
// whose key is made.
const peopleCSV = "user,kind,secret,confirmed\nalice,totp," + known + ",yes\nbob,totp,,\n"

// The playbook makes a copy of this very machine, which has Python, ask for codes once
// somebody has logged in with one, and changes nothing when it is run again.
func TestPlaybook(t *testing.T) {
	t.Parallel()
	d := start(t, debian{root: overlay(t, inMemory(t, "2230"), "/"), port: "2230"})
	d.run(t, "useradd", "-m", "bob")
	playbook, err := os.ReadFile("../ansible/otpgate.yml")
	if err != nil {
		t.Fatal(err)
	}
	d.write(t, "/root/otpgate.yml", string(playbook))
	d.write(t, "/root/hosts", "[otpgate]\nlocalhost ansible_connection=local\n")
	d.write(t, "/root/people.csv", peopleCSV)
	d.write(t, "/root/vars.yml", fmt.Sprintf("otpgate_package: %s\notpgate_people: /root/people.csv\notpgate_confirm_delay: 1\n"+
		"otpgate_config: |\n  [totp]\n  window = 10\n", d.bring(t, built(t, "deb"))))
	r := &run{T: t, debian: d, dir: "/root"}
	r.start("/usr/sbin/sshd -D -e -p 2231 -o PidFile=/run/sshd.pid", "bash -c '</dev/tcp/127.0.0.1/2231'")
	before := d.read(t, "/etc/pam.d/sshd")

	// It cannot be taken for a configuration, so that the one that is there stays.
	if recap, said := d.play(t, "-e", `{"otpgate_config": "[policy]\nrequired = []\n", "otpgate_services": []}`); !strings.Contains(recap, "failed=1") || !strings.Contains(said, "required") {
		t.Errorf("expected that a mistake in the configuration ends it, found\n%s", said)
	}

	played := make(chan string, 1)
	go func() {
		recap, said := d.play(t)
		t.Log(said)
		played <- recap
	}()
	machine.Until(t, "the change waits to be confirmed", func() bool {
		_, err := os.Stat(d.root + "/etc/otpgate/pending/sshd.json")
		return err == nil
	})
	d.expectIn(t, d.code(t, known, 1))
	if recap := <-played; !regexp.MustCompile(`changed=[1-9]\d* .*failed=0`).MatchString(recap) {
		t.Errorf("expected changes, and no failure, found %s", recap)
	}
	if waiting, err := filepath.Glob(d.root + "/etc/otpgate/pending/*.json"); err != nil || len(waiting) > 0 {
		t.Errorf("expected that nothing waits, found %q, %v", waiting, err)
	}
	if d.read(t, "/etc/pam.d/sshd") == before {
		t.Error("expected sshd to ask for codes")
	}
	if made, err := filepath.Glob(d.root + "/root/otpgate-enrolled-*.csv"); err != nil || len(made) != 1 {
		t.Errorf("expected one file with bob's key, found %q, %v", made, err)
	}
	recap, said := d.play(t)
	if !strings.Contains(recap, "changed=0 ") || !strings.Contains(recap, "failed=0") {
		t.Errorf("expected no change the second time, found %s\n%s", recap, said)
	}
	d.expectIn(t, d.code(t, known, 2))
	d.expectOut(t, d.wrong(t, known))
}

// play runs the playbook, and returns what it says in the end, and all.
func (d debian) play(t *testing.T, args ...string) (recap, said string) {
	t.Helper()
	said, _ = d.try(append([]string{"env", "ANSIBLE_PIPELINING=1", "ansible-playbook", "-i", "/root/hosts", "-e", "@/root/vars.yml", "/root/otpgate.yml"}, args...)...)
	return regexp.MustCompile(`(?m)^localhost +: .*$`).FindString(said), said
}
