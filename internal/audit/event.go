package audit

import (
	"strconv"
	"strings"
)

// Event is something that somebody who is in did with files.
type Event struct {
	User    string
	Service string // PAM service
	Remote  string
	Op      string // what was done: transfer, rename, remove and so on
	Path    string // bytes of any value
	Target  string // the other path, if there are two
	Read    uint64 // bytes sent to the client
	Written uint64 // bytes that came from it
	Problem string // what went wrong, empty if all is well
}

// maxPath is PATH_MAX of Linux.
const maxPath = 4096

// Line returns the event as key=value pairs.
func (e Event) Line() string {
	var line strings.Builder
	line.WriteString("user=" + quote(e.User) + " service=" + quote(e.Service) + " remote=" + quote(e.Remote) + " op=" + quote(e.Op) + " path=" + quoteUpTo(e.Path, maxPath))
	if e.Target != "" {
		line.WriteString(" target=" + quoteUpTo(e.Target, maxPath))
	}
	if e.Op == "transfer" || e.Read > 0 || e.Written > 0 {
		line.WriteString(" read=" + strconv.FormatUint(e.Read, 10) + " written=" + strconv.FormatUint(e.Written, 10))
	}
	result := "ok"
	if e.Problem != "" {
		result = e.Problem
	}
	line.WriteString(" result=" + quote(result))
	return line.String()
}

// Event sends the event, informational.
func (s Syslog) Event(e Event) { s.line(informational, e.Line()) }
