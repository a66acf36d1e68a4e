package command

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

// sink is the system's log, and standard error if no person reads that: on a
// terminal the command's own words say the same.
func (a *app) sink() audit.Sink {
	all := sinks{a.Log}
	if !a.quiet && !isTerminal(a.Stderr) {
		all = append(all, audit.Writer{Writer: a.Stderr})
	}
	return all
}

// changed writes the audit line of a change. record says of what, and its
// reason what else there is to say.
func changed(g admin.People, command string, record audit.Record) {
	record.TTY, record.Verdict, record.Rule = tty(), "changed", "otpctl "+command
	if record.Reason != "" {
		record.Reason += ", "
	}
	record.Reason += "by " + whoami()
	g.Audit.Write(record)
}

// whoami says who runs the command: the process's user, whom sudo says it runs
// for, and the user who once logged in, which only the kernel can set.
func whoami() string {
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

// tty names the terminal of standard input, if it is one.
func tty() string {
	if !isTerminal(os.Stdin) {
		return ""
	}
	name, err := os.Readlink("/proc/self/fd/0")
	if err != nil {
		return ""
	}
	return name
}
