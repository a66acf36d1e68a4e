package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/user"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/deliver"
)

// fakeGroups are groups as in "staff=alice,bob". Of somebody listed as bob? it
// cannot be said whether he is in it; of somebody listed nowhere, -x, the
// system does not know.
type fakeGroups []string

func (f fakeGroups) find(group string) ([]string, bool) {
	for _, known := range f {
		if name, members, _ := strings.Cut(known, "="); name == group {
			return strings.Split(members, ","), true
		}
	}
	return nil, false
}

func (f fakeGroups) HasGroup(group string) (bool, error) {
	if group == "down" {
		return false, errors.New("the name service is down")
	}
	_, found := f.find(group)
	return found, nil
}

func (f fakeGroups) InGroup(name, group string) (bool, error) {
	members, _ := f.find(group)
	switch {
	case slices.Contains(members, name+"?"):
		return false, errors.New("the name service is down")
	case slices.Contains(members, "-"+name):
		return false, user.UnknownUserError(name)
	}
	return slices.Contains(members, name), nil
}

// fakeSender keeps what it is given in the file sent. What it does is its
// value: ok, fail, or fallback, which takes an SMS for an email.
type fakeSender string

func (f fakeSender) Send(_ context.Context, m deliver.Message) (deliver.Delivery, error) {
	if f == "fail" {
		return deliver.Delivery{}, errors.New("dial tcp 192.0.2.1:587: connection refused")
	}
	data, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return deliver.Delivery{}, err
	}
	if err := os.WriteFile("sent", data, 0o600); err != nil {
		return deliver.Delivery{}, err
	}
	if f == "fallback" {
		return deliver.Delivery{Channel: deliver.Email, To: "a***@example.com", Failed: "the gateway says 402"}, nil
	}
	return deliver.Delivery{Channel: m.Channel, To: "(masked)"}, nil
}
