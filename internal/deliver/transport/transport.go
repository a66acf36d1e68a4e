// Package transport sends codes and the links of invitations: by SMTP, by the machine's own sendmail, and
// through the HTTP interface of a gateway for text messages.
//
// The entry point is [New]. It promises that either goes out over TLS or not at
// all, except to the machine itself; that a gateway which may have taken a
// message is not asked again; that a text message which fails becomes an email
// where there is an address; and that no error has a code, a link, a password, or
// a whole address or number.
package transport

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
)

// sender is a configuration's channels. It reads passwords and certificates
// each time, so that a new one holds from the next message on.
type sender struct {
	email  *config.Email
	sms    *config.SMS
	portal *config.Portal
	// pause waits before another try.
	pause func(ctx context.Context, d time.Duration) error
}

// New returns what sends by the tables [email] and [sms] of settings, which
// config.Parse has checked. A table that is not there is a channel that fails.
// Files that settings name are read once now, so that one which cannot be used
// is known before somebody waits for a code. That is the error; the sender is
// good all the same, as it reads them again for each message.
func New(settings config.Config) (deliver.Sender, error) {
	s := &sender{email: settings.Email, sms: settings.SMS, portal: settings.Portal, pause: pause}
	if s.email != nil {
		if _, err := newMailer(s.email); err != nil {
			return s, fmt.Errorf("[email]: %w", err)
		}
	}
	if s.sms != nil {
		if _, err := newGateway(s.sms); err != nil {
			return s, fmt.Errorf("[sms]: %w", err)
		}
	}
	return s, nil
}

// Send implements deliver.Sender. What a channel has at most is its timeout in
// the configuration.
func (s *sender) Send(ctx context.Context, m deliver.Message) (deliver.Delivery, error) {
	what := m.What()
	if err := check(m); err != nil {
		return deliver.Delivery{}, fmt.Errorf("send a %s: %w", what, err)
	}
	if m.Channel == deliver.Email {
		if err := s.sendEmail(ctx, m); err != nil {
			return deliver.Delivery{}, fmt.Errorf("send a %s by email: %w", what, err)
		}
		return deliver.Delivery{Channel: deliver.Email, To: deliver.MaskEmail(m.Email)}, nil
	}
	failed := s.sendSMS(ctx, m)
	if failed == nil {
		return deliver.Delivery{Channel: deliver.SMS, To: deliver.MaskPhone(m.Phone)}, nil
	}
	if err := s.sendEmail(ctx, m); err != nil {
		// That no mail server has it does not say that no gateway has.
		return deliver.Delivery{}, fmt.Errorf("send a code by sms: %w; then by email: %v", failed, err)
	}
	return deliver.Delivery{Channel: deliver.Email, To: deliver.MaskEmail(m.Email), Failed: failed.Error()}, nil
}

// maxCode is far above what [sent] allows, maxLink above what [portal] gives, and
// maxChange above what the page says of a change.
const maxCode, maxLink, maxChange = 64, 1 << 10, 2 << 10

// check refuses what a caller must not have made.
func check(m deliver.Message) error {
	switch {
	case m.Channel != deliver.Email && m.Channel != deliver.SMS:
		return errors.New("no channel to send it by")
	case m.Change != "" && (m.Code != "" || m.Link != "" || m.Channel != deliver.Email || len(m.Change) > maxChange):
		return errors.New("expected a change in a sentence and nothing secret, and to send it by email")
	case m.Change != "":
		return nil
	case m.Link != "" && (m.Code != "" || m.Channel != deliver.Email || len(m.Link) > maxLink || !printable(m.Link)):
		return errors.New("expected a link of printable ASCII alone, and to send it by email")
	case m.Link == "" && (m.Code == "" || len(m.Code) > maxCode || !printable(m.Code)):
		return errors.New("expected a code of printable ASCII")
	}
	return nil
}

func printable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

func (s *sender) sendEmail(ctx context.Context, m deliver.Message) error {
	switch {
	case s.email == nil:
		return errors.New("there is no [email] in the configuration")
	case m.Code == "" && s.portal == nil:
		return errors.New("there is no [portal] in the configuration")
	case m.Email == "":
		return errors.New("the person has no email address")
	case account.CheckEmail(m.Email) != nil:
		return errors.New("the person's email address is none")
	}
	mailer, err := newMailer(s.email)
	if err == nil {
		err = mailer.writeFor(m, s.portal)
	}
	if err != nil {
		return deliver.NotSent(err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.email.Timeout.Duration)
	defer cancel()
	err = mailer.send(ctx, m)
	known := errors.Is(err, deliver.ErrNotSent)
	err = mailer.secrets(m).in(inTime(ctx, s.email.Timeout, err)) // a token is known only now
	if known {
		err = deliver.NotSent(err)
	}
	return err
}

func (s *sender) sendSMS(ctx context.Context, m deliver.Message) error {
	switch {
	case s.sms == nil:
		return errors.New("there is no [sms] in the configuration")
	case m.Phone == "":
		return errors.New("the person has no phone number")
	case account.CheckPhone(m.Phone) != nil:
		return errors.New("the person's phone number is none")
	}
	gateway, err := newGateway(s.sms)
	if err != nil {
		return err
	}
	gateway.pause = s.pause
	ctx, cancel := context.WithTimeout(ctx, s.sms.Timeout.Duration)
	defer cancel()
	return gateway.secrets(m).in(inTime(ctx, s.sms.Timeout, gateway.send(ctx, m)))
}

// inTime says of an error after the time has run out that this is why.
func inTime(ctx context.Context, timeout config.Duration, err error) error {
	if err == nil || !errors.Is(ctx.Err(), context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return fmt.Errorf("not done in time, which is %s at most: %w", timeout.Duration, err)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
