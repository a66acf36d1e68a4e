// Package audit writes one line per decision, and one for each thing that
// somebody who is in did with files.
//
// The entry points are [Record] and [Event] with their Line; [Syslog] sends them
// to the system's log (facility authpriv), or elsewhere where there is none, and
// [Writer] a Record to a command's standard error. [Limiter] bounds what strangers
// can have written. It promises that a line is one line: control characters and quotes
// of what came from outside are escaped. Who fills in a Record must not put a code or a
// secret in; there is no field for one.
package audit

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Record is one decision.
type Record struct {
	User     string
	Service  string // PAM service
	Protocol string // as the policy sees it; empty if it is not known
	Remote   string // remote address or host, empty for a local login
	TTY      string
	// Peer is whose program asked the verifier, as in "uid 33", empty for root's.
	// The remote side is that program's word.
	Peer string
	// Client is the machine whose login it is, if that is another one, as its file is
	// called. The remote side is its word.
	Client string
	// Verdict is accepted, not-asked, denied or fault; sent, not-sent, not-known, enrolled,
	// proven or changed on the way there; invited and opened of a link; reported by the person, who was it not; turned-away of an address; Examined of
	// the machine; empty for a line that the argument debug adds.
	Verdict string
	Rule    string // what decided: a key of the policy, or a factor
	// By is the way to enroll that was taken, if that was no login.
	By string
	// Server decided, and this machine asked it. ID names the login in both logs.
	Server, ID string
	Reason     string // more for the admin; empty if the rule says all
}

// RuleBreakGlass is that of a break-glass code. One that was accepted is a warning: an
// admin should know that, whoever it was.
const RuleBreakGlass = "break-glass"

// Examined is the verdict of otpctl doctor, and the rules are what it comes to.
const (
	Examined         = "examined"
	RuleErrors       = "doctor.errors"
	RuleWarnings     = "doctor.warnings"
	RuleNothingWrong = "doctor.nothing-wrong"
)

// Line returns the record as key=value pairs.
func (r Record) Line() string {
	var line strings.Builder
	for _, field := range []struct{ key, value string }{
		{"user", r.User}, {"service", r.Service}, {"protocol", r.Protocol}, {"remote", r.Remote}, {"tty", r.TTY},
		{"peer", r.Peer}, {"client", r.Client}, {"verdict", r.Verdict}, {"rule", r.Rule}, {"by", r.By}, {"server", r.Server}, {"id", r.ID}, {"reason", r.Reason},
	} {
		if field.value == "" && field.key != "user" {
			continue
		}
		if line.Len() > 0 {
			line.WriteByte(' ')
		}
		line.WriteString(field.key + "=" + quote(field.value))
	}
	return line.String()
}

// maxValue bounds one value, so that a line fits into a datagram.
const maxValue = 512

// quote leaves plain words as they are and escapes everything else.
func quote(value string) string { return quoteUpTo(value, maxValue) }

func quoteUpTo(value string, most int) string {
	if len(value) > most {
		value = value[:most] + "…"
	}
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-:/@+", r)
	}
	if value != "" && strings.TrimFunc(value, plain) == "" {
		return value
	}
	// The sign that stands for what a mask leaves out stays as it is.
	parts := strings.Split(value, "…")
	for i, part := range parts {
		quoted := strconv.QuoteToASCII(part)
		parts[i] = quoted[1 : len(quoted)-1]
	}
	return `"` + strings.Join(parts, "…") + `"`
}

// Sink takes records.
type Sink interface {
	Write(Record)
}

// Writer is a Sink for commands.
type Writer struct{ io.Writer }

// Write writes the line; nobody is left to tell if that fails.
func (w Writer) Write(r Record) { fmt.Fprintln(w.Writer, "otpgate: "+r.Line()) }

// Syslog is a Sink that sends each record as one datagram to the system's log.
// What that does not take goes to File, and what that does not take to Fallback.
// It keeps nothing open between records unless [Syslog.Keep] is called.
type Syslog struct {
	// Path of the log's socket; empty means /dev/log.
	Path string
	// File is of root's making; empty means DefaultFile.
	File string
	// Fallback may be nil. A program that lives in somebody else's has none.
	Fallback *Stream
	// Now is the clock; nil means time.Now.
	Now func() time.Time

	kept bool
	fd   int // if kept
}

// Keep makes s, which must not be in use yet, keep its end of the way to the
// log for as long as the process lives. Each record still goes to whoever
// listens at the path then, as the log may be started anew.
func (s *Syslog) Keep() error {
	fd, err := newSocket()
	if err != nil {
		return fmt.Errorf("socket for the log: %w", err)
	}
	s.kept, s.fd = true, fd
	return nil
}

// sendTimeout bounds how long a log that takes nothing holds up a login.
const sendTimeout = 500 * time.Millisecond

// authpriv is facility 10 of RFC 5424 section 6.2.1; the severities are notice
// for what was denied, warning for a break-glass code, and informational for the rest.
const (
	authpriv      = 10 << 3
	warning       = 4
	notice        = 5
	informational = 6
	failure       = 3
)

func (r Record) severity() int {
	if r.Rule == RuleBreakGlass && r.Verdict == "accepted" || r.Verdict == "reported" {
		return warning
	}
	switch r.Verdict {
	case "accepted", "not-asked", "sent", "enrolled", "proven", "changed", "invited", "opened":
		return informational
	case "fault":
		return failure
	case Examined:
		switch r.Rule {
		case RuleNothingWrong:
			return informational
		case RuleErrors:
			return failure
		}
	}
	return notice
}

// Write sends the record. A machine without a place for it loses it.
func (s Syslog) Write(r Record) {
	s.line(r.severity(), r.Line())
}

// line sends one line. The form is that of RFC 3164 section 4.1 without a
// host, as syslog(3) of the C library sends it.
func (s Syslog) line(severity int, line string) {
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	text := fmt.Sprintf("%s otpgate[%d]: %s", now().Format(time.Stamp), os.Getpid(), line)
	if s.send(fmt.Appendf(nil, "<%d>%s", authpriv|severity, text)) == nil {
		return
	}
	file := s.File
	if file == "" {
		file = DefaultFile
	}
	if appendLine(file, text+"\n") != nil && s.Fallback != nil {
		_ = s.Fallback.write(text + "\n") // there is no other place to complain to
	}
}

// send avoids package net, whose start-up every forked login would pay for.
func (s Syslog) send(datagram []byte) error {
	path := s.path()
	fd := s.fd
	if !s.kept {
		var err error
		if fd, err = newSocket(); err != nil {
			return err
		}
		defer unix.Close(fd)
	}
	return unix.Sendto(fd, datagram, unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: path})
}

func (s Syslog) path() string {
	if s.Path == "" {
		return "/dev/log"
	}
	return s.Path
}

// Check says why the system's log takes nothing, if so. It sends nothing.
func (s Syslog) Check() error {
	fd, err := newSocket()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Connect(fd, &unix.SockaddrUnix{Name: s.path()})
}

func newSocket() (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	timeout := unix.NsecToTimeval(int64(sendTimeout))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
