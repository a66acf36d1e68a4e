package authentication

import (
	"errors"
	"strings"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/session"
)

// record is a line about the login.
func (l *Login) record(verdict, rule, reason string) audit.Record {
	return audit.Record{User: l.user, Service: l.settings.PAMService, Protocol: "sftp", Remote: l.remote.String(), Verdict: verdict, Rule: rule, Reason: reason}
}

// Fault is for what goes wrong of the connection. Until somebody is in,
// strangers can cause it as often as they like.
func (l *Login) Fault(rule string, err error) {
	to := l.shared.Limited
	if l.Entered() != nil {
		to = l.shared.Log
	}
	to.Write(l.record("fault", rule, err.Error()))
}

// refuseKey notes why a key that is known is not taken.
func (l *Login) refuseKey(rule, reason string) { l.remark("denied", rule, reason) }

// remark writes a line about the login.
func (l *Login) remark(verdict, rule, reason string) {
	l.shared.Log.Write(l.record(verdict, rule, reason))
}

// failed notes a first factor that was wrong.
func (l *Login) failed(rule string, err error) {
	verdict := "denied"
	if !errors.Is(err, session.ErrPAM) && l.person != nil {
		verdict = "fault"
	}
	l.remark(verdict, rule, err.Error())
}

// tell keeps a line for the next answer.
func (l *Login) tell(text string) {
	if text = printable(text); text != "" && len(l.told) < 50 {
		l.told = append(l.told, text)
	}
}

// printable drops what could do something to a terminal. Enrollment shows
// more than one line.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\r' || r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return -1
		}
		return r
	}, text)
}

// takeMessages is what is to be told, what the engine says last.
func (l *Login) takeMessages() []string {
	if code, waits := l.state.(*beforeCode); waits {
		l.said = append(l.said, code.dialogue.take()...)
	}
	for _, text := range l.said {
		l.tell(text)
	}
	told := l.told
	l.told, l.said = nil, nil
	size := 0
	for i, text := range told {
		if size += len(text) + 4; size > messages.MaxSize-1024 {
			return told[:i]
		}
	}
	return told
}
