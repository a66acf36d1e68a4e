package logins

import (
	"slices"

	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// remarkOnPolicy names who is in the lists of the policy and unknown to this
// machine: a typing mistake in require refuses everybody who is not enrolled.
func remarkOnPolicy(a *invocation.App, policy config.Policy) {
	for _, list := range []struct {
		key       string
		selectors []config.Selector
		doubt     string
	}{
		{"policy.require", policy.Require, "holds for everybody"},
		{"policy.exempt", policy.Exempt, "exempts nobody"},
	} {
		for _, selector := range list.selectors {
			remarkOnSelector(a, list.key, selector, list.doubt)
		}
	}
}

// remarkOnSelector does so for one of them. doubt is what comes of a group that
// cannot be looked up.
func remarkOnSelector(a *invocation.App, key string, selector config.Selector, doubt string) {
	group := selector.Group()
	if group == "" {
		_, found, err := a.Lookup(string(selector))
		if selector != config.All && err == nil && !found {
			a.Note("%s: this machine knows no user %q", key, selector)
		}
		return
	}
	switch found, err := a.Groups.HasGroup(group); {
	case err != nil:
		a.Note("%s: the group %q cannot be looked up, so that %s %s: %v", key, group, selector, doubt, err)
	case !found:
		a.Note("%s: this machine knows no group %q, so that %s %s", key, group, selector, doubt)
	}
}

// cannotAsk says whether servers for this protocol have nobody to show a QR
// code to.
func cannotAsk(protocol config.Protocol) bool {
	return slices.Contains([]config.Protocol{"ftp", "ftps", "http", "https", "webdav"}, protocol)
}

// remarkOnEnrolling says where enrollment at the login does not work.
func remarkOnEnrolling(a *invocation.App, result tested) {
	if cannotAsk(result.Protocol) {
		a.Note("FTP and web servers cannot ask and refuse: enroll first, with a terminal as in ssh, or by %s enroll %s", a.Self(), result.User)
		return
	}
	a.Note("a host that cannot ask, as FTP and web servers, refuses")
}

// remarkOnInviting says why somebody would be mailed no link.
func remarkOnInviting(a *invocation.App, g admin.People, result tested) {
	standing, err := g.StandingOf(result.User)
	if err != nil {
		return // Need said so
	}
	if standing.Person.Email == "" {
		a.Note("no link is mailed, as there is no address in a secret file; %s invite %s --email ADDRESS gives one, and mails a link", a.Self(), standing.Person.User)
	}
	a.RemarkOnSending(g.Config, g.Sender)
}
