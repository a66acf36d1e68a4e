package invocation

import (
	"fmt"
	"os"
	"strings"

	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/audit"
)

// sinks sends a record to each of them.
type sinks []audit.Sink

func (s sinks) Write(record audit.Record) {
	for _, sink := range s {
		sink.Write(record)
	}
}

// Sink is the system's log, and standard error if that is wanted, or if no log takes
// anything. On a terminal the command's own words say the same.
func (a *App) Sink() audit.Sink {
	if a.Verbose {
		return sinks{a.Log, audit.Writer{Writer: a.Stderr}}
	}
	system, ok := a.Log.(audit.Syslog)
	if file, can := a.Stderr.(*os.File); ok && can && system.Fallback == nil && !a.Quiet && !IsTerminal(file) {
		system.Fallback = audit.NewStream(int(file.Fd()))
		return system
	}
	return a.Log
}

// Changed writes the audit line of a change. record says of what, and its
// reason what else there is to say.
func Changed(g admin.People, command string, record audit.Record) {
	record.TTY, record.Verdict, record.Rule = Tty(), "changed", "otpctl "+command
	if record.Reason != "" {
		record.Reason += ", "
	}
	record.Reason += "by " + Whoami()
	g.Audit.Write(record)
}

// Whoami says who runs the command: the process's user, whom sudo says it runs
// for, and the user who once logged in, which only the kernel can set.
func Whoami() string {
	who := fmt.Sprintf("uid %d", os.Geteuid())
	if sudo := os.Getenv("SUDO_USER"); sudo != "" {
		who += ", sudo user " + sudo
	}
	const unset = "4294967295"
	login, err := os.ReadFile("/proc/self/loginuid")
	if uid := strings.TrimSpace(string(login)); err == nil && uid != unset {
		who += ", login uid " + uid
	}
	return who
}

// Tty names the terminal of standard input, if it is one.
func Tty() string {
	if !IsTerminal(os.Stdin) {
		return ""
	}
	name, err := os.Readlink("/proc/self/fd/0")
	if err != nil {
		return ""
	}
	return name
}
