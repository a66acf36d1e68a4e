package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/sftpd/admission"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
	"github.com/otpgate/otpgate/internal/sftpd/session"
)

// loginStep does one step of the login. In whatever order they come, nobody is
// in without a first factor that the broker checked and, where code_after says
// so, the engine's verdict after it.
func (c *connection) loginStep(op uint8, r *seqpacket.Reader) error {
	user := r.Text()
	var step func() (uint8, error)
	switch op {
	case messages.AskOffer:
		key := r.Blob()
		step = func() (uint8, error) { return c.offer(key), nil }
	case messages.AskProve:
		proof := proof{key: r.Blob(), algorithm: r.Text(), signature: r.Blob(), format: r.Text()}
		step = func() (uint8, error) { return c.prove(proof), nil }
	case messages.AskPassword:
		password := r.Text()
		step = func() (uint8, error) { return c.tryPassword(password), nil }
	case messages.AskInteractive:
		step = c.interactive
	default:
		return seqpacket.ErrMalformed
	}
	if err := r.Done(); err != nil {
		return err
	}
	outcome := uint8(messages.Ended)
	if !c.ended && c.identify(user) {
		var err error
		if outcome, err = step(); err != nil {
			return err
		}
	}
	return c.settle(op, outcome)
}

// settle counts a failure and tells the front the outcome.
func (c *connection) settle(op, outcome uint8) error {
	if outcome == messages.Denied || outcome == messages.Ended {
		// Clients offer all the keys they have before they find the right one.
		if op != messages.AskOffer {
			c.penalize(admission.PenaltyFailed)
		}
		c.failures++
		if c.failures >= maxFailures {
			outcome = messages.Ended
		}
	}
	c.ended = c.ended || outcome == messages.Ended
	if outcome == messages.Partial && c.expired {
		c.tell("The password has expired. It can be changed now, by the method keyboard-interactive.")
	}
	var w seqpacket.Writer
	w.U8(messages.AnswerOutcome).U8(outcome).Texts(c.takeTold())
	return c.toFront.Send(w.Bytes)
}

// tell keeps a line for the next answer.
func (c *connection) tell(text string) {
	if text = printable(text); text != "" && len(c.told) < 50 {
		c.told = append(c.told, text)
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

func (c *connection) takeTold() []string {
	if c.dialogue != nil {
		for _, text := range c.dialogue.take() {
			c.tell(text)
		}
	}
	told := c.told
	c.told = nil
	size := 0
	for i, text := range told {
		if size += len(text) + 4; size > messages.MaxSize-1024 {
			return told[:i]
		}
	}
	return told
}

func (c *connection) request() gate.Request {
	return gate.Request{User: c.user, Service: c.settings.PAMService, Protocol: "sftp", RemoteHost: c.remote.String(), TTY: "ssh"}
}

// startKeeper begins the person's PAM transaction.
func (c *connection) startTransaction() error {
	if c.transaction != nil {
		return nil
	}
	k, err := session.Start(c.broker.programs.login, c.settings.PAMService, c.user, c.remote.String())
	if err != nil {
		return err
	}
	c.transaction = k
	return nil
}

// dropKeeper ends a transaction that is not to be gone on with.
func (c *connection) dropTransaction() {
	if c.transaction != nil {
		c.transaction.Close()
		c.transaction = nil
	}
}

func (c *connection) authenticate(password string) error {
	if err := c.startTransaction(); err != nil {
		return err
	}
	err := c.transaction.Password(c.forPAM(password), c.hear)
	return c.known(err)
}

// noPassword is nobody's password: control characters cannot be typed into a
// program that sets one.
const noPassword = "\b\n\r\x7fINCORRECT"

// forPAM is what PAM is given of an answer. Of somebody who may not log in it
// is never the right one: PAM says no late and yes at once, which would tell a
// stranger that a password is root's. It is as long, as hashing takes longer
// for long ones.
func (c *connection) forPAM(answer string) string {
	if c.person != nil {
		return answer
	}
	all := strings.Repeat(noPassword, 1+len(answer)/len(noPassword))
	return all[:max(len(answer), len(noPassword))]
}

// known makes sure that somebody whom only PAM knows does not get in. PAM was
// asked first, so that it takes as long as for anybody.
func (c *connection) known(err error) error {
	switch {
	case c.person != nil:
	case err == nil:
		err = fmt.Errorf("not a user who may log in: %w", c.nobody)
	default:
		err = fmt.Errorf("%w; not a user who may log in: %w", err, c.nobody)
	}
	if err != nil && !errors.Is(err, session.ErrPAM) {
		c.dropTransaction()
	}
	return err
}

// hear takes what PAM tells where it cannot ask.
func (c *connection) hear(_ uint8, text string) (string, error) {
	c.tell(text)
	return "", errors.New("the client cannot be asked")
}

// failed notes a first factor that was wrong.
func (c *connection) failed(rule string, err error) {
	record := audit.Record{User: c.user, Service: c.settings.PAMService, Protocol: "sftp", Remote: c.remote.String(), Verdict: "denied", Rule: rule, Reason: err.Error()}
	if !errors.Is(err, session.ErrPAM) && c.person != nil {
		record.Verdict = "fault"
	}
	c.broker.log.Write(record)
}

func (c *connection) asksAfter(first config.FirstFactor) bool {
	return slices.Contains(c.settings.CodeAfter, first)
}

// afterFirst goes on once the first factor was right.
func (c *connection) afterFirst(request gate.Request, code string) uint8 {
	if c.person == nil {
		return messages.Ended
	}
	if _, err := session.SpecOf(c.user, c.person, c.settings); err != nil {
		// Nobody is asked for a code to be refused all the same.
		c.failed("account", err)
		return messages.Ended
	}
	if !c.asksAfter(c.first) {
		c.broker.log.Write(audit.Record{User: c.user, Service: request.Service, Protocol: "sftp", Remote: request.RemoteHost,
			Verdict: gate.NotAsked.String(), Rule: "sftp.code_after", Reason: "not after " + string(c.first)})
		return c.decide(gate.Verdict{Decision: gate.NotAsked, Rule: "sftp.code_after"})
	}
	request.Unproven = c.unproven && c.settings.UnprovenKeys != config.AllowUnproven
	c.dialogue = begin(c.engine, request, c.password, code)
	prompt, asks, verdict := c.dialogue.next()
	if asks {
		c.prompt = prompt
		return messages.Partial
	}
	return c.decide(verdict)
}

// interactive is the method keyboard-interactive: the code if the first factor
// was proven, else the password and the code, and then a new password if that
// has expired.
func (c *connection) interactive() (uint8, error) {
	if !c.expired {
		outcome, err := c.askFactors()
		if err != nil || !c.expired {
			return outcome, err
		}
	}
	return c.changePassword()
}

func (c *connection) askFactors() (uint8, error) {
	if c.first == "" {
		if outcome, err := c.askPassword(); err != nil || outcome != messages.Partial || c.expired {
			return outcome, err
		}
	}
	if c.dialogue == nil {
		return messages.Denied, nil
	}
	for {
		text, given, err := c.askClient(c.prompt, false)
		if err != nil {
			return messages.Denied, err
		}
		if !given {
			c.dialogue.end()
		} else {
			c.dialogue.give(text)
		}
		prompt, asks, verdict := c.dialogue.next()
		if !asks {
			return c.decide(verdict), nil
		}
		c.prompt = prompt
	}
}
