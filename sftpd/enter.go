package main

import (
	"errors"
	"fmt"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/session"
)

// decide turns the engine's verdict into an outcome. After a no the first
// factor has to be proven again.
func (c *connection) decide(verdict gate.Verdict) uint8 {
	switch verdict.Decision {
	case gate.Accept, gate.NotAsked:
		if c.unproven && !provenEnough(c.settings.UnprovenKeys, verdict) {
			c.failed("sftp.unproven_keys", fmt.Errorf("%w: no code was given, and the kind of key is one whose signature only the front sees; use an ed25519 key", session.ErrPAM))
			return messages.Ended
		}
		return c.enter()
	}
	for _, text := range c.dialogueTold() {
		c.tell(text)
	}
	c.dialogue.end()
	c.dialogue, c.first, c.unproven, c.password = nil, "", false, ""
	c.dropTransaction()
	if verdict.Decision == gate.Deny {
		return messages.Denied
	}
	return messages.Ended
}

func (c *connection) dialogueTold() []string {
	if c.dialogue == nil {
		return nil
	}
	return c.dialogue.take()
}

// provenEnough says whether a key that only the front has seen proven is
// enough. A remembered login had a code, and is bound to the address, which
// the kernel tells.
func provenEnough(setting config.UnprovenKeys, verdict gate.Verdict) bool {
	switch setting {
	case config.AllowUnproven:
		return true
	case config.WithCode:
		return verdict.Decision == gate.Accept || verdict.Rule == "policy.session"
	}
	return false
}

// enter asks PAM whether the account is good and lets the person in.
func (c *connection) enter() uint8 {
	if c.person == nil {
		return messages.Ended
	}
	err := c.account()
	if errors.Is(err, session.ErrExpired) && !c.changed {
		return c.expire()
	}
	if err == nil && !c.broker.sessions.Enter(c.person.UID, c.settings.Limits.SessionsPerUser) {
		err = fmt.Errorf("%w: sftp.limits.sessions_per_user reached", session.ErrPAM)
	}
	if err != nil {
		c.failed("account", err)
		return messages.Ended
	}
	c.in = true
	c.password = ""
	c.grace.Stop()
	c.closeSocket()
	c.open()
	return messages.Accepted
}

// account asks PAM about the account: the keeper of the person's open session
// if there is one that can be shared, else one of this login's own.
func (c *connection) account() error {
	spec, err := session.SpecOf(c.user, c.person, c.settings)
	if err != nil {
		return err
	}
	if c.transaction == nil && c.settings.Worker == config.PerUser {
		if c.worker = c.broker.workers.Find(spec); c.worker != nil {
			err := c.worker.AccountAgain(c.remote.String(), c.hear)
			if err == nil || errors.Is(err, session.ErrPAM) && !errors.Is(err, session.ErrExpired) {
				return err
			}
			// The session's transaction is not this login's to change a password
			// in, or the session has just ended.
			c.broker.workers.Leave(c.worker)
			c.worker, c.told = nil, nil
		}
	}
	if err := c.startTransaction(); err != nil {
		return err
	}
	return c.transaction.Account(c.hear)
}

// open begins the session while the client is still being told that it is in.
func (c *connection) open() {
	c.joining = make(chan struct{})
	if c.worker != nil {
		close(c.joining)
		return
	}
	go func() {
		defer close(c.joining)
		spec, err := session.SpecOf(c.user, c.person, c.settings)
		if err != nil {
			c.transaction.Close()
			c.joinErr = err
			return
		}
		c.worker, c.joinErr = c.broker.workers.Join(c.transaction, spec, c.settings.Worker)
		if c.joinErr == nil && spec.Start != "" {
			go c.worker.ReportStart(c.startsElsewhere)
		}
	}()
}
