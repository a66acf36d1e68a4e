package authentication

import (
	"errors"
	"fmt"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/session"
)

// enter asks PAM whether the account is good and lets the person in. If the
// password has expired it may still be changed, once.
func (l *Login) enter(mayChange bool) uint8 {
	if l.person == nil {
		return messages.Ended
	}
	worker, err := l.account()
	if errors.Is(err, session.ErrExpired) && mayChange {
		// The client goes on with keyboard-interactive, as a password can be
		// changed by questions alone. Both factors were right by now.
		l.state = passwordExpired{}
		return messages.Partial
	}
	if err == nil && !l.shared.Workers.Counts.Enter(l.person.UID, l.settings.Limits.SessionsPerUser) {
		err = fmt.Errorf("%w: sftp.limits.sessions_per_user reached", session.ErrPAM)
	}
	if err != nil {
		if worker != nil {
			l.shared.Workers.Leave(worker)
		}
		l.failed("account", err)
		return messages.Ended
	}
	l.state = l.open(worker)
	return messages.Accepted
}

// account asks PAM about the account: the process of the person's open session
// if there is one that can be shared, whose worker is returned, else one of this
// login's own.
func (l *Login) account() (*session.Worker, error) {
	spec, err := session.SpecOf(l.user, l.person, l.settings)
	if err != nil {
		return nil, err
	}
	if l.transaction == nil && l.settings.Worker == config.PerUser {
		if worker := l.shared.Workers.Find(spec); worker != nil {
			err := l.accountAgain(worker)
			switch {
			case errors.Is(err, errLate):
				return nil, err
			case err == nil || errors.Is(err, session.ErrPAM) && !errors.Is(err, session.ErrExpired):
				return worker, err
			}
			// The session's transaction is not this login's to change a password
			// in, or the session has just ended.
			l.shared.Workers.Leave(worker)
		}
	}
	if err := l.startTransaction(); err != nil {
		return nil, err
	}
	return nil, l.inTime(l.transaction.Account(l.tellUser))
}

// accountAgain asks the process of the person's open session, which is not this login's
// to end: after [errLate] it is left once it has answered.
func (l *Login) accountAgain(worker *session.Worker) error {
	var told []string
	answered := make(chan error, 1)
	go func() {
		answered <- worker.AccountAgain(l.remote.String(), func(_ uint8, text string) (string, error) {
			told = append(told, text)
			return "", errCannotAsk
		})
	}()
	select {
	case err := <-answered:
		if err == nil || errors.Is(err, session.ErrPAM) && !errors.Is(err, session.ErrExpired) {
			for _, text := range told {
				l.tell(text)
			}
		}
		return err
	case <-l.awaited.over:
		go func() {
			<-answered
			l.shared.Workers.Leave(worker)
		}()
		return errLate
	}
}

// open begins the session while the client is still being told that it is in.
// Without a worker to share, the transaction is the session's from then on.
func (l *Login) open(worker *session.Worker) *Entered {
	entered := &Entered{UID: l.person.UID, opened: make(chan struct{}), worker: worker}
	if worker != nil {
		close(entered.opened)
		return entered
	}
	transaction := l.takeTransaction()
	go func() {
		defer close(entered.opened)
		spec, err := session.SpecOf(l.user, l.person, l.settings)
		if err != nil {
			transaction.Close()
			entered.err = err
			return
		}
		entered.worker, entered.err = l.shared.Workers.Join(transaction, spec, l.settings.Worker)
		if entered.err == nil && spec.Start != "" {
			go entered.worker.ReportStart(l.startsElsewhere)
		}
	}()
	return entered
}

// startsElsewhere is for somebody who is in and begins where it would be without
// the setting.
func (l *Login) startsElsewhere(err error) {
	l.remark("fault", "sftp.start_directory", fmt.Sprintf("%v; paths begin in the home directory, or in / if that cannot be entered either", err))
}

// changePassword has PAM ask for a new password, and lets the person in. Who
// fails begins anew, with another code: the old password is not to be guessed
// here.
func (l *Login) changePassword() (uint8, error) {
	q := questions{login: l}
	err := q.why(l.inTime(l.transaction.ChangePassword(q.answer)))
	if q.broken != nil {
		return messages.Denied, q.broken
	}
	l.state = nil
	if err != nil {
		l.failed("password-change", err)
		return messages.Ended, nil
	}
	l.remark("changed", "password-change", "the password had expired")
	// The account stage is asked again: what stands behind the module that
	// found the password expired may not have been asked.
	return l.enter(false), nil
}

// noteUnchanged says why somebody who had both factors is not in.
func (l *Login) noteUnchanged() {
	l.failed("account", fmt.Errorf("%w and was not changed: the client must know the method keyboard-interactive, or change it elsewhere", session.ErrExpired))
}
