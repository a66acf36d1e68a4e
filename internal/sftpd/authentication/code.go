package authentication

import (
	"fmt"
	"slices"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/session"
)

func (l *Login) request() gate.Request {
	return gate.Request{User: l.user, Service: l.settings.PAMService, Protocol: "sftp", RemoteHost: l.remote.String(), TTY: "ssh"}
}

func (l *Login) asksAfter(first config.FirstFactor) bool {
	return slices.Contains(l.settings.CodeAfter, first)
}

// afterFirst goes on once the first factor was right. Nothing more is taken but
// what it asks for.
func (l *Login) afterFirst(first factor, request gate.Request, code string) uint8 {
	l.state = nil
	if l.person == nil || first.kind == "" {
		return messages.Ended
	}
	if _, err := session.SpecOf(l.user, l.person, l.settings); err != nil {
		// Nobody is asked for a code to be refused all the same.
		l.failed("account", err)
		return messages.Ended
	}
	if !l.asksAfter(first.kind) {
		l.remark(gate.NotAsked.String(), "sftp.code_after", "not after "+string(first.kind))
		return l.decide(first, nil, gate.Verdict{Decision: gate.NotAsked, Rule: "sftp.code_after"})
	}
	request.Unproven = first.unproven && l.settings.UnprovenKeys != config.AllowUnproven
	dialogue := l.begin(request, first.password, code)
	prompt, asks, verdict := dialogue.next()
	if !asks {
		return l.decide(first, dialogue, verdict)
	}
	l.state = &beforeCode{first, dialogue, prompt}
	return messages.Partial
}

// interactive is the method keyboard-interactive: the code if the first factor
// was proven, else the password and the code, and then a new password if that
// has expired.
func (l *Login) interactive() (outcome uint8, err error) {
	outcome = messages.Denied
	if l.beforeFirst() {
		if outcome, err = l.askPassword(); err != nil || outcome != messages.Partial {
			return outcome, err
		}
	}
	if code, waits := l.state.(*beforeCode); waits {
		if outcome, err = l.askCode(code); err != nil {
			return outcome, err
		}
	}
	if _, expired := l.state.(passwordExpired); expired {
		return l.changePassword()
	}
	return outcome, nil
}

func (l *Login) askCode(code *beforeCode) (uint8, error) {
	for {
		text, given, err := l.askClient(code.prompt, false)
		if err != nil {
			return messages.Denied, err
		}
		if !given {
			code.dialogue.end()
		} else {
			code.dialogue.give(text)
		}
		prompt, asks, verdict := code.dialogue.next()
		if !asks {
			return l.decide(code.first, code.dialogue, verdict), nil
		}
		code.prompt = prompt
	}
}

// decide turns the engine's verdict into an outcome; without a dialogue nobody
// was to be asked. After a no the first factor has to be proven again.
func (l *Login) decide(first factor, dialogue *dialogue, verdict gate.Verdict) uint8 {
	if dialogue != nil {
		l.said = dialogue.take()
	}
	switch verdict.Decision {
	case gate.Accept, gate.NotAsked:
		l.state = nil
		if first.unproven && !provenEnough(l.settings.UnprovenKeys, verdict) {
			l.failed("sftp.unproven_keys", fmt.Errorf("%w: no code was given, and the kind of key is one whose signature only the front sees; use an ed25519 key", session.ErrPAM))
			return messages.Ended
		}
		return l.enter(true)
	}
	dialogue.end()
	l.state = beforeFirst{}
	l.dropTransaction()
	if verdict.Decision == gate.Deny {
		return messages.Denied
	}
	return messages.Ended
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
