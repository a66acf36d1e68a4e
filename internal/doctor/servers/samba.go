package servers

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/doctor/unit"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// sambaService is what smbd asks PAM for.
const sambaService = "samba"

// sambaFiles are where distributions have smbd's configuration.
var sambaFiles = []string{"/etc/samba/smb.conf", "/usr/local/samba/etc/smb.conf"}

// sambaUnits have it start: with its own name, as Fedora calls it, and as a domain
// controller.
var sambaUnits = []string{"smbd.service", "smb.service", "samba-ad-dc.service", "samba.service"}

// Samba finds that smbd takes a password alone. Clients prove a password to it without
// showing it, so that it checks that with a database of its own or a domain controller:
// PAM has no part in that, but for accounts and sessions.
func Samba(m *target.Machine, stacks []authstack.Stack) []finding.Finding {
	e := &exam{machine: m, stacks: stacks}
	e.samba()
	return e.findings
}

func (e *exam) samba() {
	at := slices.IndexFunc(e.stacks, func(s authstack.Stack) bool {
		return s.Service == sambaService && len(s.Checks) > 0 && s.Lines[s.Checks[0]].File == s.File // common-auth's is for others
	})
	place, starts := e.sambaStarts()
	if at < 0 && !starts {
		return
	}
	shares, global := e.sambaSettings()
	if slices.Contains([]string{"no", "false", "0", "off"}, global["encrypt passwords"]) {
		return // it has PAM ask, for clients that send passwords as they are
	}
	if at < 0 && (shares == 0 || len(e.stacks) == 0 || e.sambaHasNobody(global)) {
		return
	}
	f := finding.Finding{Severity: finding.Warning, ID: passwordAlone, Services: []string{sambaService},
		What:    "smbd takes passwords of its own database, or of a domain's, and asks PAM for none.",
		Follows: "Whoever has the password gets at the files with that alone: SMB has no place for a code.",
		Fix:     "Turn smbd off, keep it to networks that are trusted (hosts allow, a firewall), or have otpgate-sftpd give those files out. What is meant to be so is excused in /etc/otpgate/doctor.toml with service = \"" + sambaService + "\"."}
	if at >= 0 {
		s := e.stacks[at]
		place = s.Lines[s.Checks[0]].Position
		f.What = "This line asks nobody: smbd checks passwords by a database of its own, or by a domain's, and never by the lines of the type auth. obey pam restrictions is about accounts and sessions alone."
		if starts {
			f.Severity = finding.Error
		} else {
			f.Follows = "Where smbd is started, whoever has the password gets at the files with that alone: SMB has no place for a code."
		}
		f.Fix = "Take the line out. " + f.Fix
	}
	e.add(finding.At(place, f))
}

// sambaStarts says whether the machine starts smbd, and where its configuration is.
func (e *exam) sambaStarts() (place pamstack.Position, starts bool) {
	for _, file := range sambaFiles {
		if e.machine.Has(file) {
			place.File = file
			break
		}
	}
	starts = slices.ContainsFunc(sambaUnits, func(name string) bool { return unit.Enabled(e.machine.Root, name) })
	return place, place.File != "" && (starts && e.machine.Has("/usr/sbin/smbd") || len(e.machine.Running("smbd")) > 0)
}

// sambaPeople is smbd's own database, as its package makes it.
const sambaPeople = "/var/lib/samba/private/passdb.tdb"

// sambaHasNobody says whether smbd's own database is the only one, and has nobody: a package
// has brought it so, or smbd was never started.
func (e *exam) sambaHasNobody(global map[string]string) bool {
	role, backend := global["server role"], global["passdb backend"]
	standalone := slices.Contains([]string{"", "auto", "standalone", "standalone server"}, role) && global["private dir"] == "" &&
		slices.Contains([]string{"", "user", "auto"}, global["security"]) && (backend == "" || backend == "tdbsam")
	data, err := target.Read(e.machine.Root, sambaPeople)
	return standalone && (errors.Is(err, fs.ErrNotExist) || err == nil && !bytes.Contains(data, []byte("USER_")))
}

// sambaSettings counts what is shared, but for printers, and gives what [global] says.
func (e *exam) sambaSettings() (shares int, global map[string]string) {
	global = map[string]string{}
	section := "global"
	for _, file := range sambaFiles {
		for _, line := range target.Lines(e.machine.Root, file, 0) {
			key, value, set := strings.Cut(line, "=")
			key = strings.Join(strings.Fields(strings.ToLower(key)), " ")
			switch {
			case strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";"):
			case strings.HasPrefix(line, "["):
				section = strings.ToLower(strings.Trim(line, "[] \t"))
				if !slices.Contains([]string{"global", "printers", "print$", "ipc$"}, section) {
					shares++
				}
			case set && section == "global":
				global[key] = strings.ToLower(strings.TrimSpace(value))
			}
		}
	}
	return shares, global
}
