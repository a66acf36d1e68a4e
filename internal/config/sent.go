package config

import "time"

// Sent is about codes that are sent.
type Sent struct {
	// Length is how many characters of Alphabet a code has.
	Length   int    `toml:"length"`
	Alphabet string `toml:"alphabet"`
	// TTL is how long a code is good.
	TTL Duration `toml:"ttl"`
	// Resend is how many further codes one login may ask for.
	Resend int `toml:"resend"`
	// PerHour is how many codes are sent to one person in an hour.
	PerHour int `toml:"per_hour"`
}

func defaultSent() Sent {
	return Sent{Length: 6, Alphabet: "0123456789", TTL: Duration{10 * time.Minute}, Resend: 2, PerHour: 20}
}
