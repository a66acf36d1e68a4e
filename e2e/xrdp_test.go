package e2e

import (
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// xrdp's session manager answers every prompt with the one field of its window.
func TestFieldXRDP(t *testing.T) {
	onBothPaths(t, "xrdp", "", func(t *testing.T, here machine.Site) {
		here.AroundPassword(t, "xrdp-sesman", debianPassword, "protocol=login")
		server := hosts.StartXRDP(t)
		fieldTest{here, "xrdp-sesman", "login", ""}.run(t, server)

		here.Configure(t, "")
		doctor := []string{"--config=" + here.Config, "doctor", "--service=xrdp-sesman", "--ignore=clock-unsynchronised", "--ignore=state-volatile"}
		otpctl(t, 0, doctor...)
		here.AddToService(t, "xrdp-sesman", "xrdp-sesman", "protocol=login")
		p := machine.NewPerson(t, "xrd").Enroll(t, here.Users)
		if server.In(t, p, p.Password) || server.In(t, p, p.Password+p.Code(t, 0)) {
			t.Error("expected that without split nobody gets in who is asked")
		}
		if said := otpctl(t, 4, doctor...); !strings.Contains(said, "id:       one-field-without-split") {
			t.Errorf("expected one-field-without-split, found\n%s", said)
		}
	})
}
