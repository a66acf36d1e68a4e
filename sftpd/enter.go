package main

import (
	"errors"
	"fmt"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/sftpd/talk"
)

// decide turns the engine's verdict into an outcome. After a no the first
// factor has to be proven again.
func (v *visit) decide(verdict gate.Verdict) uint8 {
	switch verdict.Decision {
	case gate.Accept, gate.NotAsked:
		if v.unproven && !provenEnough(v.settings.UnprovenKeys, verdict) {
			v.failed("sftp.unproven_keys", fmt.Errorf("%w: no code was given, and the kind of key is one whose signature only the front sees; use an ed25519 key", errPAM))
			return talk.Over
		}
		return v.enter()
	}
	for _, text := range v.dialogueTold() {
		v.tell(text)
	}
	v.dialogue.end()
	v.dialogue, v.first, v.unproven, v.password = nil, "", false, ""
	v.dropKeeper()
	if verdict.Decision == gate.Deny {
		return talk.Denied
	}
	return talk.Over
}

func (v *visit) dialogueTold() []string {
	if v.dialogue == nil {
		return nil
	}
	return v.dialogue.take()
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
func (v *visit) enter() uint8 {
	if v.person == nil {
		return talk.Over
	}
	err := v.account()
	if errors.Is(err, errExpired) && !v.changed {
		return v.expire()
	}
	if err == nil && !v.broker.house.enter(v.person.uid, v.settings.Limits.SessionsPerUser) {
		err = fmt.Errorf("%w: sftp.limits.sessions_per_user reached", errPAM)
	}
	if err != nil {
		v.failed("account", err)
		return talk.Over
	}
	v.in = true
	v.password = ""
	v.grace.Stop()
	v.letGo()
	v.open()
	return talk.Accepted
}

// account asks PAM about the account: the keeper of the person's open session
// if there is one that can be shared, else one of this login's own.
func (v *visit) account() error {
	spec, err := v.spec()
	if err != nil {
		return err
	}
	if v.keeper == nil && v.settings.Worker == config.PerUser {
		if v.crew = v.broker.crews.find(keyOf(spec)); v.crew != nil {
			err := v.crew.keeper.again(v.remote.String(), v.hear)
			if err == nil || errors.Is(err, errPAM) && !errors.Is(err, errExpired) {
				return err
			}
			// The session's transaction is not this login's to change a password
			// in, or the session has just ended.
			v.broker.crews.leave(v.crew)
			v.crew, v.told = nil, nil
		}
	}
	if err := v.startKeeper(); err != nil {
		return err
	}
	return v.keeper.account(v.hear)
}

// open begins the session while the client is still being told that it is in.
func (v *visit) open() {
	v.joining = make(chan struct{})
	if v.crew != nil {
		close(v.joining)
		return
	}
	go func() {
		defer close(v.joining)
		spec, err := v.spec()
		if err != nil {
			v.keeper.close()
			v.joinErr = err
			return
		}
		v.crew, v.joinErr = v.broker.crews.join(v.keeper, spec, v.settings.Worker)
		if v.joinErr == nil && spec.Start != "" {
			go v.crew.hear(v.startsElsewhere)
		}
	}()
}
