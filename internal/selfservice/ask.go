package selfservice

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/invitation"
	"github.com/otpgate/otpgate/internal/ledger"
)

// Why nothing is mailed to a name. It is for the log alone.
var (
	errNobody      = errors.New("nobody of the name that was typed has a secret file")
	errNotEnrolled = errors.New("not enrolled, or disabled")
	errNoAddress   = errors.New("the secret file has no email; otpctl set --email writes one")
	errNoSender    = errors.New("there is no [email] in the configuration")
)

// Ask has a link mailed to whoever has that name, behind the answer: neither that nor its
// time tells who there is. A name that is nobody's may be a password typed in the wrong
// place, so no log has it.
// language is the tag of that in which the page speaks to whoever asks.
//
// What a stranger can have done for every name is cheap, and no bound of it is one for all.
// A mail is dear: each person has a bound of them, and networks take turns.
func (s Service) Ask(user, remote, language string) {
	line := audit.Record{Remote: remote, Verdict: "not-sent", Rule: "link", By: by}
	notSent := func(err error) {
		line.Reason = err.Error()
		s.People.Audit.Write(line)
	}
	of, network := sourceOf(remote)
	s.Later.Look(Job{Of: of, Network: network, Lost: notSent, Do: func(ctx context.Context) {
		person, err := s.whom(user)
		if err == nil {
			line.User = person.User
			err = s.countMail(ctx, person)
		}
		if err != nil {
			notSent(err)
			return
		}
		lost := func(why error) {
			// The line comes first: what takes the mail back may hang.
			notSent(why)
			if !errors.Is(why, ErrBusy) {
				return // perhaps the mail has gone
			}
			if err := s.uncountMail(person); err != nil {
				notSent(fmt.Errorf("it counts as mailed nevertheless: %w", err))
			}
		}
		s.Later.Link(Job{Of: of, Network: network, Lost: lost, Do: func(ctx context.Context) {
			if err := s.send(ctx, person.User, remote, language); err != nil {
				notSent(errors.Join(err, s.uncountFailed(person, err)))
			}
		}})
	}})
}

// sourceOf names what an address counts as, of IPv6 a /64, and the network whose addresses
// share a turn: a /48, which anybody can have and which has more /64s than may wait.
func sourceOf(remote string) (of, network string) {
	key, _ := gate.SourceKey("", remote)
	if addr, err := netip.ParseAddr(remote); err == nil {
		if source := config.SourceOf(addr); source.Bits() == 64 {
			network = netip.PrefixFrom(source.Addr(), 48).Masked().String()
		}
	}
	return key.Name, network
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

// canMail says why nothing can be mailed to somebody.
func (s Service) canMail(person account.Person) error {
	switch {
	case !person.Enrolled():
		return errNotEnrolled
	case person.Email == "":
		return errNoAddress
	case s.People.Sender == nil:
		return errNoSender
	}
	return nil
}

// countMail counts a link before it waits to be mailed.
func (s Service) countMail(ctx context.Context, person account.Person) error {
	if err := s.canMail(person); err != nil {
		return err
	}
	limit := cmp.Or(s.LinksPerHour, gate.LinksPerHour)
	until, err := s.People.CountLink(ctx, person.User, limit)
	if err == nil && !until.IsZero() {
		err = fmt.Errorf("%d links were mailed in an hour, as many as may be; the next after %s", limit, until.UTC().Format(time.RFC3339))
	}
	return err
}

// uncountMail takes back what countMail counted, as there was no place to wait.
func (s Service) uncountMail(person account.Person) error {
	ctx, cancel := context.WithTimeout(context.Background(), uncountTime)
	defer cancel()
	return s.People.UncountLink(ctx, person.User)
}

// uncountFailed takes back what countMail counted of a link that nobody has: one mail server
// that is down must not use up what the person may be mailed in an hour.
func (s Service) uncountFailed(person account.Person, why error) error {
	if !errors.Is(why, deliver.ErrNotSent) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), uncountTime)
	defer cancel()
	return s.People.UncountFailedLink(ctx, person.User)
}

// send makes a link and mails it. Its error wraps [deliver.ErrNotSent] if nobody has it.
func (s Service) send(ctx context.Context, user, remote, language string) error {
	person, err := s.whom(user)
	if err == nil {
		err = s.canMail(person)
	}
	if err != nil {
		return deliver.NotSent(err)
	}
	secret, key, ends, err := s.newLink(ctx, person)
	if err != nil {
		return deliver.NotSent(err)
	}
	// Whoever removed, renamed or disabled the person meanwhile has ended the links that
	// were there. This one is there now.
	if person, err = s.whom(user); err == nil {
		err = s.canMail(person)
	}
	if err != nil {
		return deliver.NotSent(errors.Join(err, s.cancel(context.WithoutCancel(ctx), key)))
	}
	sent, err := s.People.Sender.Send(ctx, deliver.Message{
		Channel: deliver.Email, User: person.User, Host: s.People.Host, Email: person.Email, Remote: remote,
		Link: s.People.Config.Portal.ManageTo(secret), Expires: ends, Manage: true, Language: language,
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
		entry.Invitation = ledger.Invitation{User: person.User, Purpose: purpose, Of: standingOf(person), Made: now, Ends: ends}
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
