package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/servers"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/doctor/unit"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// needing are services whose PAM cannot do without: see docs/verifier.md.
func (e *exam) needing(s authstack.Stack) (why string) {
	switch {
	case e.settings.Remote != nil:
		return "this machine is a client, of which a forked core denies everybody who is not exempt"
	case e.mail.Asks(s.Service) && e.mail.Limited:
		return "the 256 MiB of address space that dovecot gives its auth-workers are too few to fork a core"
	case s.Service == "vsftpd":
		return "vsftpd's 200 MiB of address space are too few to fork a core"
	case authstack.OfWebServer(s.Service, s.Protocol):
		return "web servers run PAM as a user that cannot read secret files"
	case s.Service == "radiusd" || s.Service == "freeradius":
		return "FreeRADIUS runs PAM as a user that cannot read secret files"
	}
	return ""
}

// verifier looks at the sockets that lines lead to.
func (e *exam) verifier() {
	looked := map[string]target.Listener{}
	for _, s := range e.stacks {
		for _, i := range s.Ours() {
			socket := e.socket(s.Lines[i])
			if _, done := looked[socket]; socket != "" && !done {
				looked[socket] = e.Machine.Verifier(socket)
				e.listener(socket, looked[socket])
			}
		}
		first := s.Lines[s.Ours()[0]]
		e.needed(s, first, looked[e.socket(first)])
	}
}

// socket is where a line looks for a verifier, "" if it does not.
func (e *exam) socket(line pamstack.Line) string {
	switch named := line.Arg("verifier"); named {
	case "off":
		return ""
	case "":
		return e.settings.Paths.Socket
	default:
		return e.Machine.Root + named
	}
}

func (e *exam) needed(s authstack.Stack, line pamstack.Line, found target.Listener) {
	why, socket := e.needing(s), e.socket(line)
	f := finding.Finding{Severity: finding.Error, ID: "verifier-needed", Services: []string{s.Service}, Follows: "Every login through " + s.Service + " is denied."}
	switch {
	case why == "":
		return
	case socket == "":
		f.What = "The line has verifier=off, and " + why + "."
		f.Fix = "Take verifier=off out and start otpgate-verifierd, see docs/verifier.md."
	case found.Err != nil:
		f.What = "No verifier answers at " + socket + ", and " + why + "."
		f.Fix = e.enable("otpgate-verifierd.socket") + ", see docs/verifier.md."
	default:
		e.notAllowed(s)
		return
	}
	e.add(finding.At(line.Position, f))
}

// notAllowed looks whether the verifier takes the word of a server that is not root.
func (e *exam) notAllowed(s authstack.Stack) {
	wrong := slices.ContainsFunc(e.findings, func(f finding.Finding) bool { return f.ID == "config" })
	if wrong {
		return
	}
	if f, ok := servers.NotAllowed(&e.Machine, s, e.configPath(), e.settings.Verifier.Allow); ok {
		e.add(f)
	}
}

// listener looks at one socket. That there is none is no fault: the front forks.
func (e *exam) listener(socket string, found target.Listener) {
	if errors.Is(found.Err, fs.ErrNotExist) {
		return
	}
	if found.Err != nil {
		e.add(finding.Finding{Severity: finding.Warning, ID: "verifier-stale", File: socket, What: "The socket is there and nobody answers: " + found.Err.Error() + ".",
			Follows: "Logins fork a core instead; hosts that cannot are denied.", Fix: e.restart() + ", or remove the socket."})
		return
	}
	if found.Program == "" {
		f := finding.NotLookedAt(finding.Note, "which program listens there", fmt.Sprintf("that of process %d cannot be read", found.PID))
		f.File, f.Fix = socket, "Run otpctl doctor where that process can be seen: on the machine itself, and not in a container."
		e.add(f)
	}
	if strings.HasSuffix(found.Program, " (deleted)") {
		e.add(finding.Finding{Severity: finding.Warning, ID: "verifier-old", File: socket,
			What:    fmt.Sprintf("The verifier (process %d) is older than what is installed: %s.", found.PID, found.Program),
			Follows: "It decides by the old program, and a front of another version denies.", Fix: "systemctl restart otpgate-verifierd"})
	}
	e.genuine(socket, found)
}

// genuine does what the front does (pam_module/front/resident.c).
func (e *exam) genuine(socket string, found target.Listener) {
	dir := filepath.Dir(socket)
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return // it is gone by now
	}
	if err != nil {
		f := finding.NotLookedAt(finding.Warning, "whether the module believes who listens there", err.Error())
		f.File = socket
		e.add(f)
		return
	}
	owner, known := info.Sys().(*syscall.Stat_t)
	if !known || info.Mode().Perm()&0o022 == 0 && (found.UID == 0 || found.UID == owner.Uid) {
		return
	}
	e.add(finding.Finding{Severity: finding.Error, ID: "verifier-not-genuine", File: socket,
		What:    fmt.Sprintf("Uid %d listens there, in a directory of uid %d with mode %04o.", found.UID, owner.Uid, info.Mode().Perm()),
		Follows: "The module does not believe it: it may be somebody who lets himself in.",
		Fix:     "The directory must be writable for its owner alone, and root or that owner must listen."})
}

// enable is how a unit of systemd is started now and at each boot. One that is
// masked cannot be, until it no longer is.
func (e *exam) enable(name string) string {
	return e.unmask(name) + "systemctl enable --now " + name
}

// restart is how the verifier is started again.
func (e *exam) restart() string {
	return e.unmask("otpgate-verifierd.socket") + "systemctl restart otpgate-verifierd.socket otpgate-verifierd"
}

// unmask is what goes before the command of a unit.
func (e *exam) unmask(name string) string {
	if unit.Masked(e.Machine.Root, name) {
		return "The unit is masked: systemctl unmask " + name + " && "
	}
	return ""
}
