package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/doctor"
	"github.com/otpgate/otpgate/internal/doctor/target"
)

// Where vsftpd asks PAM for another service than that with the lines, the real one
// lets the password alone in and the doctor says so; where it asks for that
// service, neither.
func TestVSFTPDOtherService(t *testing.T) {
	t.Parallel()
	for name, named := range map[string]bool{"another": false, "the one with the lines": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here := machine.Resident.NewSite(t, "vsftpd-"+strings.ReplaceAll(name, " ", "-"), "")
			here.AroundPassword(t, here.Name, debianPassword, "protocol=ftp")
			machine.WriteService(t, here.Name+"-bare", debianPassword+"\naccount required pam_unix.so\nsession required pam_permit.so\n")
			p := machine.NewPerson(t, "oth").Enroll(t, here.Users)
			service, asked := here.Name+"-bare", "ftp"
			if named {
				service, asked = here.Name, "vsftpd"
			}
			if in := hosts.StartVSFTPD(t, service).In(t, p, p.Password); in == named {
				t.Errorf("the password alone: in: %v, expected %v", in, !named)
			}
			said := vsftpdOtherService(t, map[string]string{
				"etc/pam.d/vsftpd":      here.Name,
				"etc/pam.d/ftp":         here.Name + "-bare",
				"etc/pam.d/common-auth": "common-auth",
				"etc/vsftpd.conf":       "local_enable=YES\npam_service_name=" + asked + "\n",
				"etc/debian_version":    "12\n",
			})
			if found := strings.Contains(said, "vsftpd-other-service"); found == named {
				t.Errorf("expected a finding: %v, found %s", !named, said)
			}
		})
	}
}

// vsftpdOtherService is what the doctor says of a tree of these files. Those of
// pam.d are the machine's of that name.
func vsftpdOtherService(t *testing.T, files map[string]string) (said string) {
	t.Helper()
	root := t.TempDir()
	if err := os.MkdirAll(root+"/etc/pam.d", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if strings.HasPrefix(name, "etc/pam.d/") {
			lines, err := os.ReadFile("/etc/pam.d/" + text)
			if err != nil {
				t.Fatal(err)
			}
			text = string(lines)
		}
		if err := os.WriteFile(root+"/"+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range (doctor.Doctor{Machine: target.Machine{Root: root}, Services: []string{"vsftpd"}}).Examine(t.Context()) {
		said += f.String()
	}
	return said
}
