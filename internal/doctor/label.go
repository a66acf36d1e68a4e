package doctor

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/finding"
)

// enforcing is where the kernel says whether SELinux denies.
const enforcing = "/sys/fs/selinux/enforce"

// strange are types of files that daemons which log people in may not load as a
// library: what was made in a home or in /tmp and moved from there keeps its label.
var strange = []string{"user_home_t", "user_home_dir_t", "admin_home_t", "user_tmp_t", "tmp_t", "default_t", "unlabeled_t", "file_t"}

// label looks at what SELinux makes of a file of our module.
func (e *exam) label(service, file string) {
	text, err := os.ReadFile(e.Machine.Root + enforcing)
	if err != nil {
		return // there is no SELinux
	}
	parts := strings.Split(e.Machine.Label(file), ":")
	for _, name := range strange {
		if len(parts) < 3 || parts[2] != name {
			continue
		}
		comes := "the line fails, and everybody is denied."
		if filepath.Base(file) == coreName {
			comes = "without a resident verifier every login is denied."
		}
		f := finding.Finding{Severity: finding.Error, ID: "module-label", Services: []string{service}, File: file,
			What:    "SELinux has the file as " + name + ", which is no library's type.",
			Follows: "sshd and others may not load it: " + comes,
			Fix:     "restorecon -v " + file}
		if slices.ContainsFunc([]string{"/home/", "/root/", "/tmp/", "/var/tmp/"}, func(dir string) bool { return strings.HasPrefix(file, dir) }) {
			f.Fix = "Install the module where libpam looks, and name it without a path."
		}
		if strings.TrimSpace(string(text)) != "1" {
			f.Severity, f.Follows = finding.Warning, "Once SELinux enforces, sshd and others may not load it: "+comes
		}
		e.add(f)
	}
}
