// Package deliver says what it is to send a code to a person.
package deliver

import (
	"context"
	"strings"
	"time"
)

// Channel is a way by which codes are sent.
type Channel string

// The channels.
const (
	Email Channel = "email"
	SMS   Channel = "sms"
)

// Message is a code and whom it is for.
type Message struct {
	// Channel is what is tried first.
	Channel Channel
	// User, Service, Remote and Host say which login the code is for.
	User, Service, Remote, Host string
	// Email and Phone are where to. An empty one cannot be used.
	Email, Phone string
	Code         string
	Expires      time.Time
}

// Delivery says how a code went.
type Delivery struct {
	Channel Channel
	To      string // masked, for the person and the log
	Failed  string // why the first channel failed, "" if it did not
}

// Sender sends codes.
type Sender interface {
	// Send returns once the code has been handed over to a server that took
	// it. Its error is free of codes and secrets.
	Send(ctx context.Context, message Message) (Delivery, error)
}

// MaskEmail shows enough of an address for its owner to know it again.
func MaskEmail(address string) string {
	local, domain, found := strings.Cut(address, "@")
	if !found {
		return "…"
	}
	return local[:min(1, len(local)/2)] + "…@" + domain
}

// MaskPhone shows enough of a number for its owner to know it again.
func MaskPhone(number string) string {
	return "…" + number[len(number)-min(3, len(number)/3):]
}
