package command

import (
	"context"
	"errors"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/audit"
)

// enrollSent enrolls an address or a number.
func (a *app) enrollSent(ctx context.Context, g admin.People, name string, flags enrollFlags) error {
	f := account.Factor{ID: flags.id, Kind: flags.kind}
	to := flags.email + flags.phone // each kind takes one of them only
	if flags.trust {
		return a.enrollTrusted(ctx, g, name, f, to, flags)
	}
	if g.Sender == nil {
		return errors.New("there is nothing to send a first code with: expected [email] or [sms] in the configuration; --trust-address enrolls without a code")
	}
	done, err := g.EnrollSent(name, f, to, flags.replace)
	if err != nil {
		return err
	}
	changed(g, "enroll", audit.Record{User: name, Reason: "factor " + f.ID})
	made := enrolled{User: name, ID: f.ID, Kind: f.Kind, SentTo: done.To, Beside: done.Beside, File: done.File}
	if made.CodeExpires, err = g.SendFirst(ctx, name, f, done.To); err != nil {
		return err
	}
	a.remarkOn(made, done)
	if flags.json {
		return a.json(made)
	}
	a.say("A code was sent to %s. It is good until %s.", made.SentTo, when(made.CodeExpires))
	return a.finish(ctx, g, made)
}

// enrollTrusted enrolls it without a first code.
func (a *app) enrollTrusted(ctx context.Context, g admin.People, name string, f account.Factor, to string, flags enrollFlags) error {
	done, confirmed, err := g.EnrollTrusted(ctx, name, f, to, flags.replace)
	if err != nil {
		return err
	}
	detail := "factor " + f.ID + " without a first code"
	if confirmed.RecoveryCodes != nil {
		detail += ", new recovery codes"
		a.again = "otpctl recovery"
	}
	changed(g, "enroll", audit.Record{User: name, Reason: detail})
	made := enrolled{User: name, ID: f.ID, Kind: f.Kind, SentTo: done.To, Confirmed: true, Beside: done.Beside, RecoveryCodes: confirmed.RecoveryCodes, File: done.File}
	a.remarkOn(made, done)
	a.remarkOnChannels(g.Config, f.Kind)
	if flags.json {
		return a.json(made)
	}
	a.say("%s is enrolled for %s: codes are sent to %s.", f.ID, name, done.To)
	a.afterConfirming(name, confirmed)
	return nil
}
