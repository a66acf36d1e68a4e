package e2e

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// Why the module has two halves: one Go object hangs in sshd, where ours
// works. See package naive.
func TestNaiveModuleHangs(t *testing.T) {
	t.Parallel()
	const enough = 8 * time.Second
	machine.AddToService(t, "sshd", "ours", "protocol=ssh", "verifier=off")
	stack, err := os.ReadFile("/etc/pam.d/ours")
	if err != nil {
		t.Fatal(err)
	}
	machine.WriteService(t, "naive", strings.Replace(string(stack), machine.ModuleLine("protocol=ssh", "verifier=off"),
		"auth required "+machine.Files+"/pam_naive.so", 1))
	naive := hosts.StartSSHD(t, "naive", hosts.WithCode...)
	ours := hosts.StartSSHD(t, "ours", hosts.WithCode...)
	p := machine.NewPerson(t, "nan").Enroll(t, machine.Users)
	hung := make(chan bool)
	for range 3 {
		go func() {
			hung <- machine.Open(t, naive.Client(p)).Answer(answers(p), enough).Hung
		}()
	}
	hangs := 0
	for range 3 {
		if <-hung {
			hangs++
		}
	}
	if hangs < 2 {
		t.Errorf("expected most of 3 logins through the naive module to hang for %v, found %d", enough, hangs)
	}
	expectIn(t, p, machine.Open(t, ours.Client(p)).Answer(answers(p, p.Code(t, 0)), machine.Patience), 1)
}
