package authentication

import (
	"errors"

	"github.com/otpgate/otpgate/internal/audit"
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
