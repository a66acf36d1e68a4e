package config

import (
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// Sent says what codes that are sent look like, and how many there may be.
type Sent struct {
	// Length is how many characters a code has, 6 to 12, and Alphabet which: at
	// least 10 different ones of printable ASCII, without the space.
	Length   int    `toml:"length"`
	Alphabet string `toml:"alphabet"`
	// TTL is how long a code is good, a minute to an hour.
	TTL Duration `toml:"ttl"`
	// Resend is how often one login may have another code sent, 0 to 10.
	Resend int `toml:"resend"`
	// PerHour is how many codes one person is sent in an hour, 1 to 1000: a
	// message costs money, and somebody's patience.
	PerHour int `toml:"per_hour"`
}

func defaultSent() Sent {
	return Sent{Length: 6, Alphabet: "0123456789", TTL: Duration{10 * time.Minute}, Resend: 2, PerHour: 20}
}

// check returns the first problem and the key it is at, or "". What passes gives
// as many codes as there are of six digits, or more.
func (s Sent) check() (problem string, key []string) {
	switch {
	case !within(s.Length, 6, 12):
		return "expected 6 to 12", []string{"length"}
	case len(s.Alphabet) < 10 || !printable(s.Alphabet) || strings.Contains(s.Alphabet, " ") || repeats(s.Alphabet):
		return "expected at least 10 different printable characters of ASCII, without a space", []string{"alphabet"}
	case !within(int(s.TTL.Duration), int(time.Minute), int(time.Hour)):
		return `expected "1m" to "1h"`, []string{"ttl"}
	case !within(s.Resend, 0, 10):
		return "expected 0 to 10", []string{"resend"}
	case !within(s.PerHour, 1, 1000):
		return "expected 1 to 1000", []string{"per_hour"}
	}
	return "", nil
}

func repeats(text string) bool {
	for i := range text {
		if strings.IndexByte(text[i+1:], text[i]) >= 0 {
			return true
		}
	}
	return false
}

// printable says whether text is of ASCII's printable characters, the space
// among them.
func printable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}

// dropAbsent takes away the defaults of tables that data does not have, and
// fills in those of a preset.
func (c *Config) dropAbsent(data []byte) {
	var has struct{ Email, SMS, Remote, Gateway, Ledger, Portal any }
	_ = toml.Unmarshal(data, &has) // it was decoded before
	if has.Email == nil {
		c.Email = nil
	}
	if has.SMS == nil {
		c.SMS = nil
	}
	if has.Remote == nil {
		c.Remote = nil
	}
	if has.Ledger == nil {
		c.Ledger = nil
	}
	if has.Portal == nil {
		c.Portal = nil
	}
	switch {
	case has.Gateway == nil:
		c.Gateway = nil
	case c.Gateway.Listen == nil && c.Gateway.Dial == nil:
		c.Gateway.Listen = defaultGatewayListen
	}
	c.SMS.fill()
}
