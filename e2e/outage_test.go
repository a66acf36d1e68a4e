package e2e

import (
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// A name service that fails between the password and the code says about somebody
// under an alias what it says about nobody else. That is no answer: with ENOENT
// the login would pass for one of somebody who has not enrolled.
func TestOutageDuringLogin(t *testing.T) {
	const all = "[policy]\nrequire = [\"@all\"]\n"
	for name, policy := range map[string]string{"default": "", "enroll": all + "unenrolled = \"enroll\"\n", "allow": all + "unenrolled = \"allow\"\n"} {
		t.Run(name, func(t *testing.T) { onBothPaths(t, "outage-"+name, policy, outage) })
	}
}

func outage(t *testing.T, here machine.Site) {
	t.Parallel()
	p := machine.WithoutUser("gil").Enroll(t, here.Users)
	alias := *p
	alias.Name = p.Name + "-alias"
	machine.ProbeUser(t, p, alias.Name)
	here.AddToService(t, "sshd", here.Name+"-up", "protocol=ssh")
	up := hosts.StartSSHD(t, here.Name+"-up", hosts.WithCode...)
	code := p.Code(t, 0)
	if d := up.Login(t, &alias, answers(&alias, code)); d.Codes != 1 || !d.In(p) {
		t.Errorf("by the alias: %d prompts for a code:\n%s", d.Codes, d.Transcript)
	}
	for _, failure := range []string{"unavail 2", "tryagain 3", "unavail 1"} {
		service := here.Name + "-down"
		machine.WriteService(t, service, "@include common-auth\n"+machine.ProbeRuleCommand(t, "passwd "+alias.Name+" "+failure)+"\n"+
			here.Line("protocol=ssh")+"\naccount required pam_permit.so\nsession required pam_permit.so\n")
		down := hosts.StartSSHD(t, service, hosts.WithCode...)
		expectOut(t, &alias, down.Login(t, &alias, answers(&alias, p.Code(t, 1))), 0)
		expectAudit(t, &alias, "verdict=fault", "rule=name-service", "the name service did not answer")
		machine.ProbeForget(t, "passwd "+alias.Name+" "+failure)
	}
}
