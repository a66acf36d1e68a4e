package authentication

import (
	"errors"
	"fmt"
	"strings"

	"github.com/otpgate/otpgate/internal/sftpd/session"
)

// startTransaction begins the person's PAM transaction.
func (l *Login) startTransaction() error {
	if l.transaction != nil {
		return nil
	}
	begun, err := session.Start(l.shared.Program, l.settings.PAMService, l.user, l.remote.String())
	if err == nil {
		l.transaction = begun
	}
	return err
}

// dropTransaction ends a transaction that is not to be gone on with.
func (l *Login) dropTransaction() {
	if l.transaction != nil {
		l.transaction.Close()
		l.transaction = nil
	}
}

func (l *Login) authenticate(password string) error {
	if err := l.startTransaction(); err != nil {
		return err
	}
	err := l.transaction.Password(l.forPAM(password), l.tellUser)
	return l.known(err)
}

// noPassword is nobody's password: control characters cannot be typed into a
// program that sets one.
const noPassword = "\b\n\r\x7fINCORRECT"

// forPAM is what PAM is given of an answer. Of somebody who may not log in it
// is never the right one: PAM says no late and yes at once, which would tell a
// stranger that a password is root's. It is as long, as hashing takes longer
// for long ones.
func (l *Login) forPAM(answer string) string {
	if l.person != nil {
		return answer
	}
	all := strings.Repeat(noPassword, 1+len(answer)/len(noPassword))
	return all[:max(len(answer), len(noPassword))]
}

// known makes sure that somebody whom only PAM knows does not get in. PAM was
// asked first, so that it takes as long as for anybody.
func (l *Login) known(err error) error {
	switch {
	case l.person != nil:
	case err == nil:
		err = fmt.Errorf("not a user who may log in: %w", l.unknown)
	default:
		err = fmt.Errorf("%w; not a user who may log in: %w", err, l.unknown)
	}
	if err != nil && !errors.Is(err, session.ErrPAM) {
		l.dropTransaction()
	}
	return err
}

// tellUser passes on what PAM tells where it cannot ask.
func (l *Login) tellUser(_ uint8, text string) (string, error) {
	l.tell(text)
	return "", errors.New("the client cannot be asked")
}
