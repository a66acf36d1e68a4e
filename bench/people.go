package main

import (
	"crypto/sha1"
	"encoding/base32"
	"errors"
	"fmt"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
)

const period = 30 // seconds

// person is somebody who logs in at one PAM service.
type person struct {
	service, name string
	step          int64 // the last time step that a code was given of
}

// secret is the same for the same name in every run, so that files of people
// can be kept.
func secret(name string) []byte {
	sum := sha1.Sum([]byte("otpgate bench " + name))
	return sum[:]
}

func secret32(name string) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret(name))
}

// margin is what a login may take at most before the earliest step is over. A
// machine that is busy with other things, as in tests, takes longer.
var margin = 2 * time.Second

// quickMargin is for those.
const quickMargin = 10 * time.Second

// awaitStep waits for the next step if less than margin is left of this one.
func awaitStep(margin time.Duration) {
	if left := period*time.Second - time.Duration(time.Now().UnixNano())%(period*time.Second); left < margin {
		time.Sleep(left)
	}
}

// nextCode gives a code that the person has not used and that every module
// takes: of the step before this one, of this one or of the next. All three
// are RFC 6238 with a window of one step.
func (p *person) nextCode() (string, error) {
	awaitStep(margin)
	now := time.Now().Unix() / period
	step := max(p.step+1, now-1)
	if step > now+1 {
		return "", fmt.Errorf("%s has no unused code left", p.name)
	}
	p.step = step
	return totp.GenerateCodeCustom(secret32(p.name), time.Unix(step*period, 0),
		totp.ValidateOpts{Period: period, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
}

var errPeople = errors.New("no people")

// side is one way to log in, one row of the result.
type side struct {
	label  string
	people []*person
	every  int // takes part in each every-th round
	next   int
	// alone is set where one person logs in again and again.
	alone *lone
	// shared is set where the ledger is in etcd.
	shared bool
	// through is set where the server is far away.
	through *distance

	first, later []time.Duration
}

// login lets the side's next person in.
func (s *side) login(h *host) (time.Duration, error) {
	if len(s.people) == 0 {
		return 0, fmt.Errorf("%s: %w", s.label, errPeople)
	}
	p := s.people[s.next%len(s.people)]
	s.next++
	if s.alone != nil {
		p.step = 0 // what was used is forgotten after each login
	}
	code, err := p.nextCode()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", s.label, err)
	}
	took, err := h.login(p.service, p.name, code)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", s.label, err)
	}
	return took, nil
}
