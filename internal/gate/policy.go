package gate

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/ledger"
)

// CodeNeed says whether a login needs a code. The zero value asks.
type CodeNeed uint8

// The needs.
const (
	Asked     CodeNeed = iota
	NoCode             // let in without
	Refused            // not let in, as there is nothing to ask for
	Enrolling          // let in after enrolling
	InGrace            // let in without for now, and told to enroll
	Inviting           // not let in, and mailed a link by which to enroll
)

// Need is what the policy wants of a login, and which rule says so.
type Need struct {
	Code   CodeNeed
	Rule   string
	Reason string
	// mayWait says that grace is for this person too, and until when it ends.
	mayWait bool
	until   time.Time
}

// Names asks the system about people and groups.
type Names interface {
	// Canonical returns the name under which the system knows the person: some
	// directories let ALICE log in as alice. A name that it does not know is
	// returned as it is, and known is false.
	Canonical(user string) (name string, known bool, err error)
	// Others returns the names that the person's uid has, as far as they can be
	// known, the first one first; user may be among them.
	Others(user string) (names []string, err error)
	// InGroup says whether the person is a member of the group. An unknown
	// group is an error.
	InGroup(user, group string) (bool, error)
}

// Need says what the policy wants of a login, without asking anybody or
// changing anything.
func (g *Gate) Need(ctx context.Context, request Request) (Need, error) {
	need, person, err := g.need(ctx, request)
	if err != nil || need.Code == NoCode {
		return need, err
	}
	if need.Code != Asked {
		until, err := g.graceNow(ctx, need, person)
		return g.afterGrace(need, until), err
	}
	entry, err := g.Ledger.View(ctx, ledger.UserKey(person.User))
	if err != nil {
		return Need{}, blame{"ledger", fmt.Errorf("look up the person: %w", err)}
	}
	if session, found := g.session(request, person, entry); found {
		verdict := remembered(session)
		return Need{Code: NoCode, Rule: verdict.Rule, Reason: verdict.Reason}, nil
	}
	if peer := g.rememberedFor(request, person, entry); peer != "" {
		need.Reason = fmt.Sprintf("a login is remembered for programs of %s alone", peer)
	}
	return need, nil
}

// need goes from what lets most people through to what asks. Exemptions come
// first, so that a service account gets in even while secret files cannot be
// read.
func (g *Gate) need(ctx context.Context, request Request) (Need, account.Person, error) {
	return g.needBy(request, func(user string) (account.Person, bool, error) {
		person, found, err := g.find(user)
		if err == nil && !(found && person.Enrolled()) {
			err = g.checkElsewhere(ctx, request)
		}
		return person, found, err
	})
}

// needBy is need with that way to find a person.
func (g *Gate) needBy(request Request, find func(user string) (account.Person, bool, error)) (Need, account.Person, error) {
	if err := account.CheckName(request.User); err != nil {
		return Need{}, account.Person{}, blame{"user-name", err}
	}
	if selector, found := g.exempt(request.User); found {
		return Need{Code: NoCode, Rule: "policy.exempt", Reason: string(selector)}, account.Person{}, nil
	}
	if network, found := g.trusted(request.RemoteHost); found {
		return Need{Code: NoCode, Rule: "policy.trusted_networks", Reason: network.String()}, account.Person{}, nil
	}
	if g.Config.Remote != nil {
		return Need{}, account.Person{}, blame{"remote", errOnServers}
	}
	person, found, err := find(request.User)
	if err != nil {
		return Need{}, account.Person{}, err
	}
	if rule, off := g.switchedOff(request, person); off {
		return Need{Code: NoCode, Rule: rule}, person, nil
	}
	if found && person.Enrolled() {
		return Need{Code: Asked, Rule: "enrolled"}, person, nil
	}
	return g.unenrolled(request.User, person, found), person, nil
}

// errOnServers denies whoever cannot be decided on here where no server was asked.
var errOnServers = errors.New("the servers of [remote] decide this login, and otpgate-verifierd alone asks them; it did not answer. See systemctl status otpgate-verifierd.socket")

// DecidedHere says whether a login is decided without a look at secret files and
// ledger, and so on a client without its servers: the name is none, or the policy
// asks it nowhere.
func (g *Gate) DecidedHere(request Request) bool {
	if account.CheckName(request.User) != nil {
		return true
	}
	_, exempt := g.exempt(request.User)
	_, trusted := g.trusted(request.RemoteHost)
	return exempt || trusted
}

// exempt finds the first selector that exempts the person. Doubt, such as an
// unknown group, exempts nobody.
func (g *Gate) exempt(user string) (config.Selector, bool) {
	for _, selector := range g.Config.Policy.Exempt {
		if in, err := g.selects(selector, user); err == nil && in {
			return selector, true
		}
	}
	return "", false
}

func (g *Gate) selects(selector config.Selector, user string) (bool, error) {
	if selector == config.All || string(selector) == user {
		return true, nil
	}
	if group := selector.Group(); group != "" {
		return g.Names.InGroup(user, group)
	}
	return false, nil
}

// trusted finds the network that a literal remote address is in. A host name
// is whatever the other side's DNS says (CVE-2024-10963) and never matches.
func (g *Gate) trusted(remote string) (config.Network, bool) {
	addr, err := netip.ParseAddr(remote)
	if err != nil {
		return config.Network{}, false
	}
	for _, network := range g.Config.Policy.TrustedNetworks {
		if network.Contains(addr) {
			return network, true
		}
	}
	return config.Network{}, false
}

// protocol is what the login comes by, "" if nothing says so.
func (g *Gate) protocol(request Request) config.Protocol {
	if request.Protocol != "" {
		return request.Protocol
	}
	return g.Config.Services[request.Service]
}

// switchedOff says whether no code is asked on this login's protocol. A
// protocol that is not known cannot be switched off.
func (g *Gate) switchedOff(request Request, person account.Person) (rule string, off bool) {
	protocol := g.protocol(request)
	if protocol == "" {
		return "", false
	}
	if person.Protocols != nil {
		return "user.protocols", !slices.Contains(person.Protocols, protocol)
	}
	return "policy.protocols", !slices.Contains(g.Config.Policy.Protocols, protocol)
}

// unenrolled decides about a person with nothing to ask for.
func (g *Gate) unenrolled(user string, person account.Person, found bool) Need {
	state := "not enrolled"
	switch {
	case found && !person.Enabled:
		state = "disabled"
	case found:
		state = "enrollment not confirmed"
	}
	by, required := g.required(user, person.User)
	if !required {
		return Need{Code: NoCode, Rule: "not-enrolled", Reason: state}
	}
	need := Need{Code: Refused, Rule: "policy.unenrolled", Reason: fmt.Sprintf("refuse: %s, required by %s", state, by)}
	switch {
	case g.Config.Policy.Unenrolled == config.Allow:
		need.Code, need.Reason = NoCode, fmt.Sprintf("allow: %s, required by %s", state, by)
	case found && !person.Enabled:
		// Somebody took the codes from this person, who must not get new ones
		// by himself.
	case g.Config.Policy.Unenrolled == config.Enroll:
		need.Code, need.Reason = Enrolling, fmt.Sprintf("enroll: %s, required by %s", state, by)
	case g.Config.Policy.Unenrolled == config.Invite:
		need.Code, need.Reason = Inviting, fmt.Sprintf("invite: %s, required by %s", state, by)
	}
	need.mayWait = !found || person.Enabled
	return need
}

// required finds the first selector that requires a code of the person, under
// either name or another one of the same uid. Doubt requires: a directory that is
// down must not drop the requirement, and a name in other cases mostly means the
// same person. by names the selector, and the doubt if there is one.
func (g *Gate) required(user, canonical string) (by string, required bool) {
	if len(g.Config.Policy.Require) == 0 {
		return "", false
	}
	others, err := g.Names.Others(canonical)
	if err != nil {
		return fmt.Sprintf("doubt, as other names of the same uid cannot be looked up: %v", err), true
	}
	names := append([]string{user, canonical}, others...)
	for _, selector := range g.Config.Policy.Require {
		for _, name := range names {
			in, err := g.selects(selector, name)
			if err != nil {
				return fmt.Sprintf("%s, which holds for everybody while it cannot be looked up: %v", selector, err), true
			}
			if in || strings.EqualFold(string(selector), name) {
				return string(selector), true
			}
		}
	}
	return "", false
}
