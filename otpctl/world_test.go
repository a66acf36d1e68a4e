package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/nss"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// fakeGroups are groups as in "staff=alice,bob". Of somebody listed as bob? it
// cannot be said whether he is in it; of somebody listed nowhere, -x, the
// system does not know.
// Logins ask the system about all but groups.
type fakeGroups []string

func (fakeGroups) Canonical(name string) (string, bool, error) { return gate.System{}.Canonical(name) }

func (fakeGroups) Others(name string) ([]string, error) { return gate.System{}.Others(name) }

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

// Members are those in the group's list: of one called hidden, whose members are known
// for each person alone, nobody.
func (f fakeGroups) Members(group string) ([]string, error) {
	members, _ := f.find(group)
	if group == "hidden" {
		return nil, nil
	}
	return slices.DeleteFunc(slices.Clone(members), func(name string) bool { return name == "" || strings.ContainsAny(name, "?-") }), nil
}

func (f fakeGroups) InGroup(name, group string) (bool, error) {
	members, found := f.find(group)
	switch {
	case !found:
		return false, fmt.Errorf("group %q: %w", group, nss.ErrUnknownGroup)
	case slices.Contains(members, name+"?"):
		return false, errors.New("the name service is down")
	case slices.Contains(members, "-"+name):
		return false, nss.ErrUnknownUser
	}
	return slices.Contains(members, name), nil
}

// fakeLogins are accounts as in "alice:4711:4711:/home/alice".
type fakeLogins []string

func (f fakeLogins) All() ([]invocation.Login, error) {
	var all []invocation.Login
	for _, line := range f {
		var login invocation.Login
		fields := strings.Split(line, ":")
		login.Name, login.Home = fields[0], fields[3]
		if _, err := fmt.Sscan(fields[1]+" "+fields[2], &login.UID, &login.GID); err != nil {
			return nil, err
		}
		all = append(all, login)
	}
	return all, nil
}

func (f fakeLogins) find(matches func(invocation.Login) bool) (invocation.Login, bool, error) {
	all, err := f.All()
	at := slices.IndexFunc(all, matches)
	if err != nil || at < 0 {
		return invocation.Login{}, false, err
	}
	return all[at], true, nil
}

func (f fakeLogins) ByName(name string) (invocation.Login, bool, error) {
	return f.find(func(l invocation.Login) bool { return l.Name == name })
}

// Others knows, as the system does, only the first name of a uid and those with a
// home below /home: the others are a directory's.
func (f fakeLogins) Others(name string) (uid uint32, others []string, err error) {
	login, found, err := f.ByName(name)
	if err != nil || !found {
		return 0, nil, err
	}
	first, _, _ := f.ByUID(login.UID)
	all, err := f.All()
	for _, l := range all {
		if l.UID == login.UID && l.Name != name && (l.Name == first.Name || strings.HasPrefix(l.Home, "/home/")) {
			others = append(others, l.Name)
		}
	}
	return login.UID, others, err
}

func (f fakeLogins) ByUID(uid uint32) (invocation.Login, bool, error) {
	return f.find(func(l invocation.Login) bool { return l.UID == uid })
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

// onTree has the commands work on a tree of files in the place of the machine.
// Its libpam does in a dry login what the stack should, unless $DRYLOGIN is in
// or out: then it says the same to everybody.
func onTree(world *invocation.World, root string) {
	world.Machine.Root = root
	world.Machine.Module = func(name string) (string, bool) { return "/usr/lib/security/" + name, true }
	logins := 0
	world.Authenticate = func(_, _, _ string, answer func(string) (string, error)) (bool, error) {
		if _, err := answer("Verification code: "); err != nil {
			return false, err
		}
		logins++
		switch os.Getenv("DRYLOGIN") {
		case "in":
			return true, nil
		case "out":
			return false, nil
		}
		return logins == 1, nil
	}
}
