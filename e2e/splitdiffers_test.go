package e2e

import (
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// Where the two lines of a server of one field name different protocols, what the
// doctor says of it happens on the real server: asked for by the first alone, a
// code is taken off and never checked; by the second alone, it stays on the password.
func TestSplitLinesDiffer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		policy       string
		wrong, right bool
	}{
		"first":  {`protocols = ["ftps"]`, true, true},
		"second": {`protocols = ["ftp"]`, false, false},
		"both":   {`protocols = ["ftp", "ftps"]`, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here := machine.Resident.NewSite(t, "differ-"+name, "[policy]\n"+test.policy+"\n")
			machine.WriteService(t, here.Name, here.Line("split", "protocol=ftps")+"\n"+debianPassword+"\n"+here.Line("protocol=ftp")+
				"\naccount required pam_unix.so\nsession required pam_permit.so\n")
			p := machine.NewPerson(t, "dif").Enroll(t, here.Users)
			server := hosts.StartVSFTPD(t, here.Name)
			if in := server.In(t, p, p.Password+p.Wrong(t)); in != test.wrong {
				t.Errorf("with a wrong code: in: %v, expected %v", in, test.wrong)
			}
			if in := server.In(t, p, p.Password+p.Code(t, 0)); in != test.right {
				t.Errorf("with the right code: in: %v, expected %v", in, test.right)
			}
			if said := found(t, here.Name, "etc/nothing", "", "split-differs"); said == "" {
				t.Error("the doctor does not say so")
			}
		})
	}
}
