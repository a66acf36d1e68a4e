// Package webpage examines the page on which invited people enroll: whether it and what
// answers it are started, the certificate that it shows, and whose word it takes for
// where a browser is.
//
// The entry point is [Exam.Examine]. It promises to ask neither of the two programs
// anything: what connects to them and goes leaves a line in the log.
package webpage

import (
	"bytes"
	"os"
	"strings"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/doctor/unit"
)

// Exam is what is looked at.
type Exam struct {
	Machine *target.Machine
	// Settings have the paths as they are reached from here, but for those of the page,
	// which are as in the file at Path.
	Settings config.Config
	Path     string
}

// exam is one run.
type exam struct {
	Exam
	portal   config.Portal
	text     []byte // of the configuration
	findings []finding.Finding
}

// pageUser is whom the page runs as.
const pageUser = "otpgate-portal"

// Examine returns what it finds: nothing where nobody is invited.
func (e Exam) Examine() []finding.Finding {
	if e.Settings.Portal == nil {
		return nil
	}
	x := &exam{Exam: e, portal: *e.Settings.Portal}
	x.text, _ = target.Read("", e.Path)
	x.url()
	x.user()
	x.started()
	x.certificate()
	x.proxies()
	x.webServers()
	x.mail()
	x.selfServiceMail()
	return x.findings
}

// add adds a finding at the line of the table [portal] that sets a key, or of the table.
func (e *exam) add(key string, f finding.Finding) {
	f.File = e.Path
	above, table, found := bytes.Cut(e.text, []byte("[portal]"))
	if found {
		begins := bytes.Count(above, []byte("\n"))
		f.Line = begins + 1
		if within := finding.LineOf(table, key); within > 0 {
			f.Line = begins + within
		}
	}
	e.findings = append(e.findings, f)
}

// url looks whether people's browsers can reach what links begin with.
func (e *exam) url() {
	if !strings.HasPrefix(e.portal.URL, "http://") {
		return // any other host has TLS, or the configuration is none
	}
	e.add("url", finding.Finding{Severity: finding.Warning, ID: "page-url", What: "Links begin with " + e.portal.URL + ", which is this machine itself.",
		Follows: "Nobody on another machine can open one.", Fix: `Write what people's browsers reach the page by, such as url = "https://otp.example.com".`})
}

// user looks for whom the page runs as: the verifier answers nobody else.
func (e *exam) user() {
	_, found, err := e.Machine.Account(pageUser)
	switch {
	case err != nil:
		f := finding.NotLookedAt(finding.Note, "whether the page can read its certificate", err.Error())
		f.Fix = "See that the name service answers: getent passwd " + pageUser
		e.add("listen", f)
	case !found:
		e.add("listen", finding.Finding{Severity: finding.Error, ID: "page-user", What: "There is no user " + pageUser + ", as whom the page runs.",
			Follows: "The page does not start, and the verifier answers nobody else.", Fix: "systemd-sysusers otpgate.conf, or install the package again."})
	}
}

// started looks whether the page runs, and who answers it. Of servers that share a ledger
// one has it.
func (e *exam) started() {
	listen, _ := strings.CutPrefix(e.portal.Listen, "unix:")
	if !strings.HasPrefix(e.portal.Listen, "unix:") {
		listen = ""
	}
	parts := []part{
		{"otpgate-verifierd-portal", e.portal.Socket, "The verifier that answers the page", "Whoever opens a link is told that it does not work just now."},
		{"otpgate-portal", listen, "The page", "Nobody can open a link."},
	}
	off := 0
	for _, p := range parts {
		if !unit.Enabled(e.Machine.Root, p.unit+".service") && !e.there(p.socket) {
			off++
		}
	}
	if off == len(parts) && e.Settings.Ledger != nil {
		e.add("url", finding.Finding{Severity: finding.Note, ID: "page-not-enabled", What: "Neither the page nor the verifier that answers it is started here.",
			Follows: "Links lead to nothing, unless " + e.portal.URL + " is another server that shares the ledger.", Fix: "systemctl enable --now otpgate-verifierd-portal.socket otpgate-portal.socket, on one of the servers."})
		return
	}
	for _, p := range parts {
		e.part(p)
	}
}

// part is one of the two programs: a service that its socket starts.
type part struct{ unit, socket, what, follows string }

func (e *exam) there(socket string) bool {
	if socket == "" {
		return false
	}
	_, err := os.Lstat(e.Machine.Root + socket)
	return err == nil
}

func (e *exam) part(p part) {
	name := p.unit + ".socket"
	enabled, there := unit.Enabled(e.Machine.Root, p.unit+".service"), e.there(p.socket)
	f := finding.Finding{Severity: finding.Warning, ID: "page-not-enabled", Follows: p.follows, Fix: e.unmask(name) + "systemctl enable --now " + name}
	switch {
	case enabled && (there || p.socket == ""):
		return
	case enabled:
		f.ID, f.What = "page-socket", p.what+" is to be started by its socket, and "+p.socket+" is not there."
		f.Fix = "systemctl restart " + name + "; systemctl status " + name + " says why it does not listen. If the path in the configuration is another than the unit's, a drop-in for the unit names it."
	case there && unit.Exists(e.Machine.Root, name):
		f.What, f.Follows = p.what+" is started now, and not when the machine starts.", "Once it has started anew: "+strings.ToLower(p.follows[:1])+p.follows[1:]
	case there:
		return // it was started by hand, or by something other than systemd
	default:
		f.What = p.what + " is not started by anything."
		if p.socket != "" {
			f.What = p.what + " is not started by anything, and " + p.socket + " is not there."
		}
	}
	e.add(map[bool]string{true: "socket", false: "listen"}[p.socket == e.portal.Socket], f)
}

// unmask is what goes before the command of a unit.
func (e *exam) unmask(name string) string {
	if unit.Masked(e.Machine.Root, name) {
		return "The unit is masked: systemctl unmask " + name + " && "
	}
	return ""
}

// mail looks whether links can be mailed.
func (e *exam) mail() {
	if e.Settings.Email != nil {
		return
	}
	e.add("url", finding.Finding{Severity: finding.Note, ID: "page-without-mail", What: "There is no table [email], by which links would be mailed.",
		Follows: "otpctl invite needs --print, and nobody is reminded.", Fix: "Write the table, see docs/sent-codes.md, or hand links over."})
}
