package root

import (
	"encoding/xml"
	"path"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
)

// policies are polkit's files of actions, by which pkexec may run a program.
var policies = []string{"/etc/polkit-1/actions", "/run/polkit-1/actions", "/usr/local/share/polkit-1/actions", "/usr/share/polkit-1/actions"}

// anything are programs that make of whoever may run them as root all that root is.
var anything = strings.Fields("sh bash dash ash zsh ksh mksh fish csh tcsh busybox env python python3 perl ruby lua node php gawk awk find xargs " +
	"vi vim nvim nano ed emacs less more man tee dd cp mv chmod chown mount install su sudo systemctl systemd-run dpkg apt apt-get dnf yum rpm zypper pacman apk docker podman visudo passwd usermod")

// policyConfig is what is read of such a file.
type policyConfig struct {
	Actions []struct {
		ID       string `xml:"id,attr"`
		Any      string `xml:"defaults>allow_any"`
		Inactive string `xml:"defaults>allow_inactive"`
		Active   string `xml:"defaults>allow_active"`
		Notes    []struct {
			Key   string `xml:"key,attr"`
			Value string `xml:",chardata"`
		} `xml:"annotate"`
	} `xml:"action"`
}

// actions finds those that let anybody have pkexec run such a program. Packages have
// others, such as one that dims the screen.
func (e *exam) actions() {
	for _, dir := range policies {
		for _, file := range e.polkitFiles(dir, ".policy") {
			var config policyConfig
			text, err := target.Read(e.Machine.Root, file)
			if err == nil {
				err = xml.Unmarshal(text, &config)
			}
			if err != nil {
				e.unreadRules(file, err)
				continue
			}
			for _, action := range config.Actions {
				if action.Any != "yes" && action.Inactive != "yes" && action.Active != "yes" {
					continue
				}
				for _, note := range action.Notes {
					program := strings.TrimSpace(note.Value)
					if note.Key != "org.freedesktop.policykit.exec.path" || !slices.Contains(anything, path.Base(program)) {
						continue
					}
					e.add(finding.Finding{Severity: finding.Warning, ID: "polkit-not-asking", Services: []string{"polkit-1"}, File: file,
						What:    "By the action " + action.ID + " pkexec runs " + program + " as root without asking.",
						Follows: "Whoever is logged in becomes root by it, without a password and without a code.",
						Fix:     "Write auth_admin in place of yes there, or remove the file."})
				}
			}
		}
	}
}
