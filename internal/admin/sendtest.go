package admin

import (
	"context"
	"fmt"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/gate"
)

// SendTest sends the person a code that is good for nothing, by channel and to
// the person's own address or, if it is not empty, to another one, which must
// have been checked. What is sent and how is as at a login, but it counts
// against no limit.
func (g People) SendTest(ctx context.Context, channel deliver.Channel, user, to string) (deliver.Delivery, error) {
	if g.Sender == nil {
		return deliver.Delivery{}, gate.ErrNoSender
	}
	person, err := g.Accounts.Load(user)
	if err != nil {
		return deliver.Delivery{}, err
	}
	kind := account.Kind(channel)
	switch {
	case to != "" && kind == account.SMS:
		person.Phone = to
	case to != "":
		person.Email = to
	}
	if address := addressMissing(person, kind); address != "" {
		return deliver.Delivery{}, fmt.Errorf("user %q: %w: %s", user, ErrNoAddress, address)
	}
	expires := g.Now().Add(g.Config.Sent.TTL.Duration)
	return g.Deliver(ctx, gate.Request{Service: "otpctl send-test"}, person, kind, factor.NewSent(g.Config.Sent), expires)
}
