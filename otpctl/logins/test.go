package logins

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// Test is otpctl test.
func Test(a *invocation.App) *cobra.Command {
	var request gate.Request
	var protocol string
	var asJSON bool
	c := &cobra.Command{
		Use:   "test USER (--service S | --protocol P)",
		Short: "Say whether a login would be asked for a code, and why",
		Long: `test says whether a login with the right password would be asked for a code, and
by which rule. It changes nothing and counts as no attempt.

With --service it goes through the lines that pam.d has for that service, as
libpam would, and then asks the policy with the protocol= and config= of the line
of pam_otpgate.so. With only --protocol it asks just the policy, even before there
is a line. It does not see what a server does beside PAM: doctor does.

If the login could not be decided, and so would be denied, or if there is no such
service, the exit status is 1. It is 3 if the stack does not keep to the policy:
no line calls the module, the line is never reached, or a wrong code gets in.`,
		Example: `  otpctl test alice --service sshd
  otpctl test alice --protocol ftp --from 10.1.2.3 --json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.CompleteUser,
	}
	f := c.Flags()
	f.StringVar(&request.Service, "service", "", "PAM `service` that the login is for, as in /etc/pam.d")
	f.StringVar(&protocol, "protocol", "", "`protocol` of the policy; it wins over the service's, as protocol= in pam.d")
	f.StringVar(&request.RemoteHost, "from", "", "`address` that the login comes from")
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	invocation.CompleteBy(c, "protocol", a.CompleteProtocols)
	invocation.CompleteBy(c, "service", a.CompleteServices)
	return a.Does(c, func(ctx context.Context, args []string) (err error) {
		if protocol == "" && request.Service == "" {
			return invocation.Usage("expected --service or --protocol")
		}
		request.User, request.Protocol = args[0], config.Protocol(protocol)
		var stack walked
		if request.Service != "" {
			if stack, err = walk(a, &request); err != nil {
				return err
			}
		}
		if protocol != "" {
			if request.Protocol, err = a.Protocol(protocol); err != nil {
				return err
			}
		}
		return runTest(ctx, a, request, stack, asJSON)
	})
}

// tested is what a login would come to.
type tested struct {
	User     string          `json:"user"`
	Service  string          `json:"service,omitempty"`
	Protocol config.Protocol `json:"protocol,omitempty"`
	From     string          `json:"from,omitempty"`
	Result   string          `json:"result"` // asked, not-asked, enroll, invite, grace or refused
	Rule     string          `json:"rule"`
	Reason   string          `json:"reason,omitempty"`
	// Line asks in pam.d, with these arguments. Policy is the result that the policy
	// wants, if the stack does not keep to it, and Faults are what else is wrong
	// with that.
	Line        string    `json:"line,omitempty"`
	Arguments   []string  `json:"arguments,omitempty"`
	Policy      string    `json:"policy,omitempty"`
	Faults      []string  `json:"faults,omitempty"`
	LockedUntil time.Time `json:"locked_until,omitzero"`
}

var results = map[gate.CodeNeed]string{gate.Asked: "asked", gate.NoCode: "not-asked", gate.Refused: "refused",
	gate.Enrolling: "enroll", gate.InGrace: "grace", gate.Inviting: "invite"}

// resultOf names a need; one that this command has no word for is a number.
func resultOf(need gate.CodeNeed) string {
	if word, found := results[need]; found {
		return word
	}
	return fmt.Sprintf("need %d", need)
}

func runTest(ctx context.Context, a *invocation.App, request gate.Request, stack walked, asJSON bool) error {
	g, name, err := a.Enrolled(request.User)
	if err != nil {
		return err
	}
	need, err := g.Need(ctx, request)
	if err != nil {
		return fmt.Errorf("the login would be denied: %w", err)
	}
	result := tested{
		User: request.User, Service: request.Service, Protocol: request.Protocol, From: request.RemoteHost,
		Result: resultOf(need.Code), Rule: need.Rule, Reason: need.Reason,
	}
	if result.Protocol == "" {
		result.Protocol = g.Config.Services[request.Service]
	}
	stack.into(&result)
	if need.Code == gate.Asked && stack.never == "" {
		request.User = name
		if result.LockedUntil, err = g.LockedUntil(ctx, request); err != nil {
			return fmt.Errorf("the login would be denied: %w", err)
		}
		a.RemarkOnChannelsOf(g, name)
		remarkOnSecrets(a, g, name)
	}
	testRemarks(a, g, result)
	stack.remark(a, request.Service)
	a.RemarkOnNames(g, name)
	if asJSON {
		err = a.JSON(result)
	} else {
		showTest(a, result)
	}
	return errors.Join(err, stack.status())
}

// remarkOnSecrets says which codes could not be checked.
func remarkOnSecrets(a *invocation.App, g admin.People, name string) {
	person, err := g.Accounts.Load(name)
	if err != nil {
		return // there is none, or Need said so
	}
	for _, f := range person.Confirmed() {
		if err := f.Unreadable(); err != nil {
			a.Note("a code of %s cannot be checked, so it ends the login: %s", f.ID, err)
		}
	}
}

// testRemarks says what an admin who tests may have overlooked.
func testRemarks(a *invocation.App, g admin.People, result tested) {
	remarkOnPolicy(a, g.Config.Policy)
	switch result.Result {
	case "asked":
		a.RemarkOnSending(g.Config, g.Sender)
	case "enroll":
		remarkOnEnrolling(a, result)
	case "invite":
		remarkOnInviting(a, g, result)
	}
	if result.Protocol == "" {
		a.Note("[services] names no protocol for the service %s, so no list of protocols can switch the code off", result.Service)
	}
	if _, err := netip.ParseAddr(result.From); err != nil && result.From != "" {
		a.Note("%s is no literal address, so policy.trusted_networks does not apply", result.From)
	}
	if _, found, err := a.Lookup(result.User); err == nil && !found {
		a.Note("this machine knows no user %s", result.User)
	}
}

// wordsFor says what becomes of the login.
func wordsFor(result string, protocol config.Protocol) string {
	words, found := map[string]string{
		"asked":     "is asked for a code",
		"not-asked": "is let in without a code",
		"enroll":    "is let in after enrolling, which needs a terminal",
		"invite":    "is refused, and mailed a link by which to enroll",
		"grace":     "is let in without a code for now, and told to enroll",
		"refused":   "is refused, as there is no code to ask for",
	}[result]
	switch {
	case !found:
		return "comes to: " + result
	case result == "enroll" && cannotAsk(protocol):
		return "is let in after enrolling, if the server can ask for that"
	}
	return words
}

func showTest(a *invocation.App, result tested) {
	by := string(result.Protocol)
	if by == "" {
		by = "service " + result.Service
	}
	from := ""
	if result.From != "" {
		from = " from " + result.From
	}
	if result.Policy != "" {
		a.Say("%s by %s%s is not asked for a code: %s.", result.User, by, from, result.Reason)
		a.Say("By the policy alone: %s by %s%s %s.", result.User, by, from, wordsFor(result.Policy, result.Protocol))
		return
	}
	rule := result.Rule
	if result.Reason != "" && result.Reason != strings.ReplaceAll(rule, "-", " ") {
		rule += " (" + result.Reason + ")"
	}
	a.Say("%s by %s%s %s.", result.User, by, from, wordsFor(result.Result, result.Protocol))
	a.Say("Rule: %s", rule)
	if result.Line != "" {
		a.Say("Line: %s", withArguments(result))
	}
	for _, fault := range result.Faults {
		a.Say("But %s", fault)
	}
	if !result.LockedUntil.IsZero() {
		a.Say("But wrong codes lock this login until %s.", invocation.When(result.LockedUntil))
	}
}

// withArguments is the line that asks, as it is in pam.d.
func withArguments(result tested) string {
	if len(result.Arguments) == 0 {
		return result.Line
	}
	return result.Line + ", with " + strings.Join(result.Arguments, " ")
}
