package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/sftpd/packet"
	"github.com/otpgate/otpgate/internal/sftpd/talk"
)

// loginStep does one step of the login. In whatever order they come, nobody is
// in without a first factor that the broker checked and, where code_after says
// so, the engine's verdict after it.
func (v *visit) loginStep(op uint8, r *packet.Reader) error {
	user := r.Text()
	var step func() (uint8, error)
	switch op {
	case talk.AskOffer:
		key := r.Blob()
		step = func() (uint8, error) { return v.offer(key), nil }
	case talk.AskProve:
		proof := proof{key: r.Blob(), algorithm: r.Text(), signature: r.Blob(), format: r.Text()}
		step = func() (uint8, error) { return v.prove(proof), nil }
	case talk.AskPassword:
		password := r.Text()
		step = func() (uint8, error) { return v.tryPassword(password), nil }
	case talk.AskInteractive:
		step = v.interactive
	default:
		return packet.ErrMalformed
	}
	if err := r.Done(); err != nil {
		return err
	}
	outcome := uint8(talk.Over)
	if !v.over && v.is(user) {
		var err error
		if outcome, err = step(); err != nil {
			return err
		}
	}
	return v.settle(op, outcome)
}

// settle counts a failure and tells the front the outcome.
func (v *visit) settle(op, outcome uint8) error {
	if outcome == talk.Denied || outcome == talk.Over {
		// Clients offer all the keys they have before they find the right one.
		if op != talk.AskOffer {
			v.penalize(penaltyFailed)
		}
		v.failures++
		if v.failures >= maxFailures {
			outcome = talk.Over
		}
	}
	v.over = v.over || outcome == talk.Over
	if outcome == talk.Partial && v.expired {
		v.tell("The password has expired. It can be changed now, by the method keyboard-interactive.")
	}
	var w packet.Writer
	w.U8(talk.AnswerOutcome).U8(outcome).Texts(v.takeTold())
	return v.line.Send(w.Bytes)
}

// tell keeps a line for the next answer.
func (v *visit) tell(text string) {
	if text = printable(text); text != "" && len(v.told) < 50 {
		v.told = append(v.told, text)
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

func (v *visit) takeTold() []string {
	if v.dialogue != nil {
		for _, text := range v.dialogue.take() {
			v.tell(text)
		}
	}
	told := v.told
	v.told = nil
	size := 0
	for i, text := range told {
		if size += len(text) + 4; size > talk.MaxLine-1024 {
			return told[:i]
		}
	}
	return told
}

func (v *visit) request() gate.Request {
	return gate.Request{User: v.user, Service: v.settings.PAMService, Protocol: "sftp", RemoteHost: v.remote.String(), TTY: "ssh"}
}

// startKeeper begins the person's PAM transaction.
func (v *visit) startKeeper() error {
	if v.keeper != nil {
		return nil
	}
	k, err := startKeeper(v.broker.programs.login, v.settings.PAMService, v.user, v.remote.String())
	if err != nil {
		return err
	}
	v.keeper = k
	return nil
}

// dropKeeper ends a transaction that is not to be gone on with.
func (v *visit) dropKeeper() {
	if v.keeper != nil {
		v.keeper.close()
		v.keeper = nil
	}
}

func (v *visit) authenticate(password string) error {
	if err := v.startKeeper(); err != nil {
		return err
	}
	err := v.keeper.password(v.forPAM(password), v.hear)
	return v.known(err)
}

// noPassword is nobody's password: control characters cannot be typed into a
// program that sets one.
const noPassword = "\b\n\r\x7fINCORRECT"

// forPAM is what PAM is given of an answer. Of somebody who may not log in it
// is never the right one: PAM says no late and yes at once, which would tell a
// stranger that a password is root's. It is as long, as hashing takes longer
// for long ones.
func (v *visit) forPAM(answer string) string {
	if v.person != nil {
		return answer
	}
	all := strings.Repeat(noPassword, 1+len(answer)/len(noPassword))
	return all[:max(len(answer), len(noPassword))]
}

// known makes sure that somebody whom only PAM knows does not get in. PAM was
// asked first, so that it takes as long as for anybody.
func (v *visit) known(err error) error {
	switch {
	case v.person != nil:
	case err == nil:
		err = fmt.Errorf("not a user who may log in: %w", v.nobody)
	default:
		err = fmt.Errorf("%w; not a user who may log in: %w", err, v.nobody)
	}
	if err != nil && !errors.Is(err, errPAM) {
		v.dropKeeper()
	}
	return err
}

// hear takes what PAM tells where it cannot ask.
func (v *visit) hear(_ uint8, text string) (string, error) {
	v.tell(text)
	return "", errors.New("the client cannot be asked")
}

// failed notes a first factor that was wrong.
func (v *visit) failed(rule string, err error) {
	record := audit.Record{User: v.user, Service: v.settings.PAMService, Protocol: "sftp", Remote: v.remote.String(), Verdict: "denied", Rule: rule, Reason: err.Error()}
	if !errors.Is(err, errPAM) && v.person != nil {
		record.Verdict = "fault"
	}
	v.broker.log.Write(record)
}

func (v *visit) asksAfter(first config.FirstFactor) bool {
	return slices.Contains(v.settings.CodeAfter, first)
}

// afterFirst goes on once the first factor was right.
func (v *visit) afterFirst(request gate.Request, code string) uint8 {
	if v.person == nil {
		return talk.Over
	}
	if _, err := v.spec(); err != nil {
		// Nobody is asked for a code to be refused all the same.
		v.failed("account", err)
		return talk.Over
	}
	if !v.asksAfter(v.first) {
		v.broker.log.Write(audit.Record{User: v.user, Service: request.Service, Protocol: "sftp", Remote: request.RemoteHost,
			Verdict: gate.NotAsked.String(), Rule: "sftp.code_after", Reason: "not after " + string(v.first)})
		return v.decide(gate.Verdict{Decision: gate.NotAsked, Rule: "sftp.code_after"})
	}
	request.Unproven = v.unproven && v.settings.UnprovenKeys != config.AllowUnproven
	v.dialogue = begin(v.engine, request, v.password, code)
	prompt, asks, verdict := v.dialogue.next()
	if asks {
		v.prompt = prompt
		return talk.Partial
	}
	return v.decide(verdict)
}

// interactive is the method keyboard-interactive: the code if the first factor
// was proven, else the password and the code, and then a new password if that
// has expired.
func (v *visit) interactive() (uint8, error) {
	if !v.expired {
		outcome, err := v.askFactors()
		if err != nil || !v.expired {
			return outcome, err
		}
	}
	return v.changePassword()
}

func (v *visit) askFactors() (uint8, error) {
	if v.first == "" {
		if outcome, err := v.askPassword(); err != nil || outcome != talk.Partial || v.expired {
			return outcome, err
		}
	}
	if v.dialogue == nil {
		return talk.Denied, nil
	}
	for {
		text, given, err := v.askClient(v.prompt, false)
		if err != nil {
			return talk.Denied, err
		}
		if !given {
			v.dialogue.end()
		} else {
			v.dialogue.give(text)
		}
		prompt, asks, verdict := v.dialogue.next()
		if !asks {
			return v.decide(verdict), nil
		}
		v.prompt = prompt
	}
}
