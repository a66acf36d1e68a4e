package selfservice

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/invitation"
	"github.com/otpgate/otpgate/internal/ledger"
)

// Why nothing is mailed to a name. It is for the log alone.
var (
	errNobody    = errors.New("nobody of the name that was typed has a secret file")
	errNoAddress = errors.New("the secret file has no email; otpctl set --email writes one")
	errNoSender  = errors.New("there is no [email] in the configuration")
)

// Ask has a link mailed to whoever has that name, behind the answer: neither that nor its
// time tells who there is. A name that is nobody's may be a password typed in the wrong
// place, so no log has it.
func (s Service) Ask(user, remote string) {
	asked := s.Later(func(ctx context.Context) {
		line := audit.Record{Remote: remote, Verdict: "not-sent", Rule: "link", By: by}
		person, err := s.whom(user)
		if err == nil {
			line.User = person.User
			err = s.send(ctx, person, remote)
		}
		if err != nil {
			line.Reason = err.Error()
			s.People.Audit.Write(line)
		}
	})
	if !asked {
		s.People.Audit.Write(audit.Record{Remote: remote, Verdict: "not-sent", Rule: "link", By: by, Reason: errBusy.Error()})
	}
}

// whom is the person of a name, as the secret file is called.
func (s Service) whom(user string) (account.Person, error) {
	if account.CheckName(user) != nil {
		return account.Person{}, errNobody
	}
	person, err := s.People.Accounts.Load(user)
	if errors.Is(err, account.ErrNotFound) {
		return account.Person{}, errNobody
	}
	return person, err
}

// send makes a link and mails it.
func (s Service) send(ctx context.Context, person account.Person, remote string) error {
	switch {
	case !person.Enrolled():
		return errors.New("not enrolled, or disabled")
	case person.Email == "":
		return errNoAddress
	case s.People.Sender == nil:
		return errNoSender
	}
	until, err := s.People.CountLink(ctx, person.User)
	if err != nil {
		return err
	}
	if !until.IsZero() {
		return fmt.Errorf("as many messages were sent in this hour as sent.per_hour allows; the next after %s", until.UTC().Format(time.RFC3339))
	}
	secret, key, ends, err := s.newLink(ctx, person)
	if err != nil {
		return err
	}
	sent, err := s.People.Sender.Send(ctx, deliver.Message{
		Channel: deliver.Email, User: person.User, Host: s.People.Host, Email: person.Email, Remote: remote,
		Link: s.People.Config.Portal.ManageTo(secret), Expires: ends, Manage: true,
	})
	if err != nil {
		return errors.Join(err, s.cancel(context.WithoutCancel(ctx), key))
	}
	s.People.Audit.Write(audit.Record{
		User: person.User, Remote: remote, Verdict: "sent", Rule: rule, By: by,
		Reason: "a link to " + sent.To + ", until " + ends.Format(time.RFC3339),
	})
	return nil
}

// newLink makes a link. Earlier ones stay good: whoever types another's name must not end
// that one's link. Those that are long over are forgotten.
func (s Service) newLink(ctx context.Context, person account.Person) (secret string, key ledger.Key, ends time.Time, err error) {
	if secret, err = invitation.NewSecret(s.Random); err != nil {
		return "", key, ends, err
	}
	now := s.now()
	ends = now.Add(linkTime)
	key, _ = invitation.KeyOf(secret, "")
	err = s.People.Ledger.Update(ctx, key, func(entry *ledger.Entry) error {
		if entry.Invitation != (ledger.Invitation{}) {
			return errors.New("a link was drawn twice: look at what this machine's random numbers come from")
		}
		entry.Invitation = ledger.Invitation{User: person.User, Purpose: purpose, Of: addressOf(person), Made: now, Ends: ends}
		return nil
	})
	if err == nil {
		err = s.index(ctx, person.User, ledger.InvitationLink{Name: key.Name, Ends: ends}, now)
	}
	return secret, key, ends, err
}

// index puts a link among the person's, who may be renamed or removed: then it ends.
func (s Service) index(ctx context.Context, user string, link ledger.InvitationLink, now time.Time) error {
	index, err := s.People.Ledger.View(ctx, invitation.PersonKey(user))
	if err != nil {
		return err
	}
	// Once a link is forgotten nobody knows the key of a device that was never confirmed.
	if err := s.links().DropOver(ctx, user, index.Links); err != nil {
		return err
	}
	var gone []string
	for _, old := range index.Links {
		if now.Before(old.Ends.Add(keptFor)) {
			continue
		}
		entry, err := s.People.Ledger.View(ctx, ledger.Key{Kind: ledger.Link, Name: old.Name})
		if err != nil {
			return err
		}
		if entry.Invitation.Purpose != purpose {
			continue
		}
		err = s.People.Ledger.Update(ctx, ledger.Key{Kind: ledger.Link, Name: old.Name}, func(entry *ledger.Entry) error {
			*entry = ledger.Entry{}
			return nil
		})
		if err != nil {
			return err
		}
		gone = append(gone, old.Name)
	}
	return s.People.Ledger.Update(ctx, invitation.PersonKey(user), func(entry *ledger.Entry) error {
		entry.Links = slices.DeleteFunc(slices.Clone(entry.Links), func(l ledger.InvitationLink) bool { return slices.Contains(gone, l.Name) })
		entry.Links = append(entry.Links, link)
		return nil
	})
}

// cancel has a link be good no longer.
func (s Service) cancel(ctx context.Context, key ledger.Key) error {
	return s.People.Ledger.Update(ctx, key, func(entry *ledger.Entry) error {
		entry.Invitation.Cancelled = s.now()
		return nil
	})
}
