package people

import (
	"context"
	"errors"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// enrollSent enrolls an address or a number.
func enrollSent(ctx context.Context, a *invocation.App, g admin.People, name string, flags EnrollFlags) error {
	f := account.Factor{ID: flags.id, Kind: flags.kind}
	to := flags.email + flags.phone // each kind takes one of them only
	if flags.trust {
		return enrollTrusted(ctx, a, g, name, f, to, flags)
	}
	if g.Sender == nil {
		return errors.New("no first code can be sent: expected [email] or [sms] in the configuration; --trust-address enrolls without a code")
	}
	done, err := g.EnrollSent(name, f, to, flags.Replace)
	if err != nil {
		return err
	}
	invocation.Changed(g, "enroll", audit.Record{User: name, Reason: "factor " + f.ID})
	made := enrolled{User: name, ID: f.ID, Kind: f.Kind, SentTo: done.To, Beside: done.Beside, File: done.File}
	if made.CodeExpires, err = g.SendFirst(ctx, name, f, done.To); err != nil {
		return err
	}
	remarkOn(a, made, done)
	if flags.Json {
		return a.JSON(made)
	}
	a.Say("A code was sent to %s. It is good until %s.", made.SentTo, invocation.When(made.CodeExpires))
	return finish(ctx, a, g, made)
}

// enrollTrusted enrolls it without a first code.
func enrollTrusted(ctx context.Context, a *invocation.App, g admin.People, name string, f account.Factor, to string, flags EnrollFlags) error {
	done, confirmed, err := g.EnrollTrusted(ctx, name, f, to, flags.Replace)
	if err != nil {
		return err
	}
	detail := "factor " + f.ID + " without a first code"
	if confirmed.RecoveryCodes != nil {
		detail += ", new recovery codes"
		a.Again = "otpctl recovery"
	}
	invocation.Changed(g, "enroll", audit.Record{User: name, Reason: detail})
	made := enrolled{User: name, ID: f.ID, Kind: f.Kind, SentTo: done.To, Confirmed: true, Beside: done.Beside, RecoveryCodes: confirmed.RecoveryCodes, File: done.File}
	remarkOn(a, made, done)
	a.RemarkOnChannels(g.Config, f.Kind)
	if flags.Json {
		return a.JSON(made)
	}
	a.Say("%s is enrolled for %s: codes are sent to %s.", f.ID, name, done.To)
	afterConfirming(a, name, confirmed)
	return nil
}
