package invitations

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/invitation"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// inviter invites one person after the other.
type inviter struct {
	*invocation.App
	flags
	g     admin.People
	seen  map[string]bool // the system's spelling of names
	alone bool            // one USER, whose error is that of the command
}

// invited is what became of one person.
type invited struct {
	Line   int       `json:"line,omitempty"`
	User   string    `json:"user"`
	Result string    `json:"result"` // invited or failed
	Error  string    `json:"error,omitempty"`
	SentTo string    `json:"sent_to,omitempty"`
	Link   string    `json:"link,omitempty"`
	Ends   time.Time `json:"ends,omitzero"`
}

func (i *inviter) all(ctx context.Context, people []wanted) error {
	outcomes, failed := []invited{}, 0
	i.Again = "otpctl invite again: the new link ends the one that is lost"
	bar := i.Begin("people invited", len(people))
	for _, person := range people {
		done, err := i.one(ctx, person)
		if err != nil {
			done.Result, done.Error = "failed", err.Error()
			failed++
			if !i.alone {
				i.Complain(inLine(person.line, err))
			}
		} else if !i.json {
			i.say(done)
		}
		outcomes = append(outcomes, done)
		if err != nil && i.alone {
			if i.json {
				err = errors.Join(i.JSON(outcomes), err)
			}
			return err
		}
		bar.Step()
	}
	i.Clear()
	if i.json {
		if err := i.JSON(outcomes); err != nil {
			return err
		}
	}
	if i.alone {
		return nil
	}
	i.Sum("%s: %d invited, %d failed", invocation.Counted(len(outcomes), "person", "people"), len(outcomes)-failed, failed)
	if failed > 0 {
		return fmt.Errorf("%d of %d failed", failed, len(outcomes))
	}
	return nil
}

func inLine(line int, err error) error {
	if line == 0 {
		return err
	}
	return fmt.Errorf("line %d: %w", line, err)
}

func (i *inviter) say(done invited) {
	if i.print {
		i.App.Say("%s: %s", done.User, done.Link)
		i.Sum("the link of %s is good until %s", done.User, invocation.When(done.Ends))
		return
	}
	i.App.Say("%s: invited, by a mail to %s; the link is good until %s", done.User, done.SentTo, invocation.When(done.Ends))
}

// one invites somebody. Nothing is changed before it is clear that it can be done.
func (i *inviter) one(ctx context.Context, want wanted) (invited, error) {
	done := invited{Line: want.line, User: want.user}
	if !i.noSystemCheck {
		name, err := i.SystemName(want.user)
		if err != nil {
			return done, err
		}
		done.User = name
	}
	if i.seen[done.User] {
		return done, fmt.Errorf("user %q: named twice, and invited already", done.User)
	}
	i.seen[done.User] = true
	address, err := i.addressFor(done.User, want)
	if err != nil {
		return done, err
	}
	invitations := of(i.g)
	wanted := invitation.Wanted{User: done.User, Factor: want.id, Replace: i.replace, For: i.g.Config.Portal.Link.Duration, Mailed: !i.print}
	if err := invitations.Check(ctx, wanted); err != nil {
		return done, err
	}
	if want.email != "" {
		if err := i.keepAddress(done.User, want.email); err != nil {
			return done, err
		}
	}
	made, err := invitations.Create(ctx, wanted)
	if err != nil {
		return done, err
	}
	done.Result, done.Ends = "invited", made.Ends
	how := "printed"
	if i.print {
		done.Link = i.g.Config.Portal.LinkTo(made.Link)
	} else {
		if done.SentTo, err = i.mail(ctx, invitations, done, address, made); err != nil {
			return done, err
		}
		how = "mailed to " + done.SentTo
	}
	invocation.Changed(i.g, "invite", audit.Record{User: done.User, Reason: "a link for " + want.id + " " + how})
	return done, nil
}

// addressFor is where the link goes, "" if nowhere. It says why the person cannot be
// invited so.
func (i *inviter) addressFor(user string, want wanted) (string, error) {
	person, err := i.g.Accounts.Load(user)
	if err != nil && !errors.Is(err, account.ErrNotFound) {
		return "", err
	}
	ok := err == nil
	switch {
	case ok && !person.Enabled:
		return "", fmt.Errorf("user %q: %w", user, invitation.ErrDisabled)
	case ok && !i.replace && hasAnotherWay(person, want):
		return "", enrolledAlreadyError(user, person, want)
	case want.email != "" && person.Email != "" && want.email != person.Email:
		return "", fmt.Errorf("user %q: the secret file has another address, %s; if the new one is right, run %s set %s --email ADDRESS first",
			user, deliver.MaskEmail(person.Email), i.Self(), user)
	case i.print:
		return "", nil
	case want.email != "":
		return want.email, nil
	case person.Email == "":
		return "", fmt.Errorf("user %q: %w", user, invocation.ErrNoAddress)
	}
	return person.Email, nil
}

// hasAnotherWay says whether the person has a device, and is not clearly invited to a
// further one.
func hasAnotherWay(person account.Person, want wanted) bool {
	devices := person.Confirmed()
	if len(devices) == 0 {
		return false
	}
	for _, f := range devices {
		if f.ID == want.id {
			return true
		}
	}
	return !want.further
}

func enrolledAlreadyError(user string, person account.Person, want wanted) error {
	var ids []string
	for _, f := range person.Confirmed() {
		ids = append(ids, f.ID)
	}
	further := "tablet"
	if want.id == further {
		further = "tablet2"
	}
	return fmt.Errorf("user %q: %w, by %s; say --replace if the device is lost, or --id %s to invite to a further one beside it",
		user, invocation.ErrEnrolledAlready, strings.Join(ids, ", "), further)
}

// keepAddress writes the address into the secret file, which need not be there.
func (i *inviter) keepAddress(user, email string) error {
	dir, err := gate.PlaceOf(i.g.Config).Create()
	if err != nil {
		return err
	}
	defer dir.Close()
	if person, err := dir.Load(user); err == nil && person.Email == email {
		return nil
	}
	err = dir.Change(user, func(person *account.Person) error {
		person.Email = email
		return nil
	})
	if err == nil {
		invocation.Changed(i.g, "invite", audit.Record{User: user, Reason: "email " + deliver.MaskEmail(email)})
	}
	return err
}

// mail sends the link. One that did not go out is good for nobody: nobody has it.
func (i *inviter) mail(ctx context.Context, invitations invitation.Invitations, done invited, address string, made invitation.Created) (to string, err error) {
	if to, err = invitations.Mail(ctx, done.User, address, made); err == nil {
		return to, nil
	}
	_, cancelled := invitations.Withdraw(ctx, done.User)
	if cancelled == nil {
		invocation.Changed(i.g, "invite", audit.Record{User: done.User, Reason: "the link could not be mailed, and is cancelled"})
	}
	return "", errors.Join(fmt.Errorf("user %q: %w", done.User, invocation.NotInvited{Err: err}), cancelled)
}
