package invitation

import (
	"context"
	"fmt"
	"time"

	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
)

// Mail sends the person a link, and returns where it went, masked.
func (i Invitations) Mail(ctx context.Context, user, address string, made Created) (to string, err error) {
	if i.People.Sender == nil {
		return "", gate.ErrNoSender
	}
	host, err := i.People.MachineName()
	if err != nil {
		return "", err
	}
	sent, err := i.People.Sender.Send(ctx, deliver.Message{
		Channel: deliver.Email, User: user, Host: host, Email: address, Link: i.People.Config.Portal.LinkTo(made.Link), Expires: made.Ends,
	})
	return sent.To, err
}

// ending is how long the ledger is waited for to end a link that did not go out.
const ending = 5 * time.Second

// mailBeside makes a link, mails it, and has it be the person's only one. Until it has gone
// out the earlier ones are good: whoever stops it on the way, and a mail server that is
// away, costs nobody a link. A browser session that has begun by an earlier one can come to its end.
func (i Invitations) mailBeside(ctx context.Context, one ledger.Invitation, address string) (to string, err error) {
	link, earlier, err := i.make(ctx, one)
	if err != nil {
		return "", err
	}
	if to, err = i.Mail(ctx, one.User, address, Created{link, one.Ends}); err != nil {
		key, _ := keyOf(link)
		// Nobody has it, so it need not be told of that this failed.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ending)
		defer cancel()
		_ = i.endLinks(ctx, one.User, []ledger.InvitationLink{{Name: key.Name, Ends: one.Ends}}, i.now(), nobodys)
		_ = i.ForgetOf(ctx, one.User)
		return "", err
	}
	i.tellInvited(one)
	now := i.now()
	if err := i.endLinks(ctx, one.User, earlier, now, func(was ledger.Invitation) bool { return isOpen(was, now) }); err != nil {
		return to, fmt.Errorf("%w: %w", errEarlier, err)
	}
	return to, nil
}

// nobodys spares no link.
func nobodys(ledger.Invitation) bool { return false }

// isOpen says whether a browser may be at the link's page now. A browser session that goes on for
// longer than one does began by a clock that was wrong.
func isOpen(one ledger.Invitation, now time.Time) bool {
	left := one.BrowserSessionEnds.Sub(now)
	return stateOf(one, now) == Ready && 0 < left && left <= 2*sessionTime
}

// mailedLately says whether a link was mailed so short a time ago. What was mailed so much
// later than now was so by a clock that was wrong.
func mailedLately(one ledger.Invitation, span time.Duration, now time.Time) bool {
	return now.Sub(one.Mailed).Abs() < span
}
