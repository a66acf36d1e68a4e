package gate

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/ledger"
)

// What people are told about codes that are sent.
const (
	cannotSend = "The code could not be sent. Type another one that you have, such as a recovery code, or try again later."
	noneSent   = "No code can be sent to you that way."
	enoughSent = "No further code is sent in this login."
	carryIt    = "Log in again with your password and the code typed directly behind it."
)

// sentCode is a code that was sent for one login. No other login can use it, and
// it ends with this one: the ledger has no more than a mark of it, by which later
// logins know that it was sent.
type sentCode struct {
	code     string
	expires  time.Time
	rule     string
	delivery deliver.Delivery
	// of names the enrollment that it was sent under.
	of string
}

// sendFirst sends the code where the person's first factor is one that is
// sent. Not where one is already on its way behind the password.
func (d *dialogue) sendFirst(ctx context.Context) (_ Verdict, decided bool) {
	first := d.person.Confirmed()[0]
	if !first.Kind.IsSent() || d.request.CodeBehind {
		d.offerWords()
		return Verdict{}, false
	}
	return d.send(ctx, first)
}

// offerWords says that a code can be sent too.
func (d *dialogue) offerWords() {
	for _, f := range d.person.Confirmed() {
		switch f.Kind {
		case account.Email:
			d.conversation.Tell(Info, "You can also type email to have a code sent to "+deliver.MaskEmail(d.person.Email)+".")
		case account.SMS:
			d.conversation.Tell(Info, "You can also type sms to have a code sent to "+deliver.MaskPhone(d.person.Phone)+".")
		}
	}
}

// channelWord says whether text asks for a code to be sent.
func (d *dialogue) channelWord(text string) (account.Kind, bool) {
	kind := account.Kind(strings.ToLower(text))
	return kind, kind.IsSent()
}

// sendAnother sends a code because the person asked for one. A word that
// nothing is sent for costs one of the login's tries, so that it ends.
func (d *dialogue) sendAnother(ctx context.Context, kind account.Kind) (_ Verdict, decided bool) {
	confirmed := d.person.Confirmed()
	at := slices.IndexFunc(confirmed, func(f account.Factor) bool { return f.Kind == kind })
	switch {
	case at < 0:
		d.tries.malformed++
		d.conversation.Tell(Failure, noneSent)
		return Verdict{}, false
	case len(d.sent) > d.Config.Sent.Resend:
		d.tries.malformed++
		d.conversation.Tell(Failure, enoughSent)
		return Verdict{}, false
	}
	before := len(d.sent)
	verdict, decided := d.send(ctx, confirmed[at])
	if !decided && len(d.sent) == before {
		// It may have gone out all the same.
		d.tries.malformed++
	}
	return verdict, decided
}

// send makes a code and sends it. The login is decided only if it cannot go
// on: the person has nothing else to give.
func (d *dialogue) send(ctx context.Context, f account.Factor) (_ Verdict, decided bool) {
	if d.Sender == nil {
		return d.notSent(cannotSend, Verdict{Fault, factorRule(f), "the code could not be sent: " + ErrNoSender.Error()})
	}
	if until, err := d.countClientSend(ctx, d.person); err != nil {
		d.conversation.Tell(Failure, cannotDecide)
		return fault(blame{"ledger", err}), true
	} else if !until.IsZero() {
		return d.notSent("Too many codes have been sent to people who log in here. Type another one that you have, or try again after "+Clock(until)+".",
			Verdict{TooMany, "client.sends_per_hour", fmt.Sprintf("%s had %d codes sent in an hour; the next after %s%s", d.Client, d.ClientSends, until.UTC().Format(time.RFC3339), d.ofPeer())})
	}
	text := factor.NewSent(d.Config.Sent)
	if until, err := d.countSend(ctx, d.person, text); err != nil {
		d.conversation.Tell(Failure, cannotDecide)
		return fault(blame{"ledger", err}), true
	} else if !until.IsZero() {
		return d.notSent("Too many codes have been sent to you. Try again after "+Clock(until)+".",
			Verdict{TooMany, "sent.per_hour", fmt.Sprintf("%d codes were sent in an hour; the next after %s", d.Config.Sent.PerHour, until.UTC().Format(time.RFC3339))})
	}
	code := sentCode{code: text, expires: d.Now().Add(d.Config.Sent.TTL.Duration), rule: factorRule(f), of: enrollmentOf(d.person)}
	delivery, err := d.Deliver(ctx, d.request, d.person, f.Kind, code.code, code.expires)
	if err != nil {
		return d.notSent(cannotSend, Verdict{Fault, factorRule(f), "the code could not be sent: " + err.Error()})
	}
	code.delivery = delivery
	d.sent = append(d.sent, code)
	d.note(d.request, "sent", code.rule, sentTo(delivery))
	text = fmt.Sprintf("A code was sent to %s. It is good %suntil %s.", delivery.To, d.goodFor(), code.expires.Local().Format("15:04 MST"))
	if len(d.sent) <= d.Config.Sent.Resend {
		text += fmt.Sprintf(" Type %s to have another one sent.", f.Kind)
	}
	d.conversation.Tell(Info, text)
	return Verdict{}, false
}

// goodFor says that a code ends with this login. Where the host cannot ask, the
// next one carries it.
func (d *dialogue) goodFor() string {
	if d.request.AfterSplit {
		return ""
	}
	return "for this login alone, "
}

// Deliver hands a code to the sender.
func (g *Gate) Deliver(ctx context.Context, request Request, person account.Person, kind account.Kind, code string, expires time.Time) (deliver.Delivery, error) {
	if g.Sender == nil {
		return deliver.Delivery{}, ErrNoSender
	}
	host, err := g.MachineName()
	if err != nil {
		return deliver.Delivery{}, err
	}
	if kind == account.SMS && !person.EmailInstead() {
		person.Email = "" // what fails must not go there
	}
	return g.Sender.Send(ctx, deliver.Message{
		Channel: deliver.Channel(kind), User: person.User, Service: request.Service, Remote: request.RemoteHost, Host: host,
		Email: person.Email, Phone: person.Phone, Code: code, Expires: expires,
	})
}

// MachineName is the machine whose login it is, as messages name it.
func (g *Gate) MachineName() (string, error) {
	if g.Client != "" {
		return g.Client, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("name of this machine: %w", err)
	}
	return host, nil
}

// ErrNoSender is of what was to be sent where the configuration says no way.
var ErrNoSender = errors.New("no code can be sent; expected [email] or [sms] in the configuration")

func sentTo(delivery deliver.Delivery) string {
	text := "by " + string(delivery.Channel) + " to " + delivery.To
	if delivery.Failed != "" {
		text += ", after " + delivery.Failed
	}
	return text
}

// notSent tells that nothing was sent. verdict is the login's if the person has
// nothing else to give.
func (d *dialogue) notSent(text string, verdict Verdict) (_ Verdict, decided bool) {
	d.conversation.Tell(Failure, text)
	d.note(d.request, "not-sent", verdict.Rule, verdict.Reason)
	other := slices.ContainsFunc(d.person.Confirmed(), func(f account.Factor) bool { return !f.Kind.IsSent() })
	if !other && len(d.person.Recovery.Hashes) == 0 && len(d.sent) == 0 {
		return verdict, true
	}
	return Verdict{}, false
}

// carry leaves the code that was sent for the next login to bring, as the host
// cannot ask for it in this one.
func (d *dialogue) carry(ctx context.Context) Verdict {
	last := d.sent[len(d.sent)-1]
	carried := factor.Carry(d.person.User, d.purpose(d.request, last.of), last.code, last.expires)
	err := d.Ledger.Update(ctx, ledger.UserKey(d.person.User), func(entry *ledger.Entry) error {
		factor.AddCarried(entry, carried, d.Now())
		return nil
	})
	if err != nil {
		d.conversation.Tell(Failure, cannotDecide)
		return fault(blame{"ledger", err})
	}
	d.conversation.Tell(Info, carryIt)
	return Verdict{TooMany, last.rule, "a code was sent, for the next login to carry behind the password"}
}

// purpose says what a carried code is good for: a code for FTP is none for
// sudo, one that a program of another than root had sent is for that user's alone,
// and one that was sent to a number which is the person's no longer is none at all.
// of names the enrollment.
func (g *Gate) purpose(request Request, of string) string {
	if protocol := g.protocol(request); protocol != "" {
		return factor.By(g.Peer) + "protocol " + string(protocol) + " " + of
	}
	return factor.By(g.Peer) + "service " + request.Service + " " + of
}

// takesSent says whether a code that was sent may get this login in.
func (d *dialogue) takesSent() bool {
	_, has := firstSent(d.person)
	return has && (len(d.sent) > 0 || d.request.AfterSplit)
}

func firstSent(person account.Person) (account.Factor, bool) {
	for _, f := range person.Confirmed() {
		if f.Kind.IsSent() {
			return f, true
		}
	}
	return account.Factor{}, false
}

// verifySent compares code with those that were sent: for this login, or for
// one that could not be asked.
func (d *dialogue) verifySent(code string, now time.Time, entry *ledger.Entry) (rule string, right bool) {
	f, has := firstSent(d.person)
	if !has || !factor.IsSent(d.Config.Sent, code) {
		return "", false
	}
	of := enrollmentOf(d.person)
	for _, sent := range d.sent {
		if now.Before(sent.expires) && sent.of == of && subtle.ConstantTimeCompare([]byte(sent.code), []byte(code)) == 1 {
			rule = sent.rule
		}
	}
	if rule != "" {
		return rule, true
	}
	if d.request.AfterSplit && factor.VerifyCarried(d.person.User, d.purpose(d.request, of), code, now, entry) == factor.Right {
		return factorRule(f), true
	}
	return "", false
}

// wasSent says whether code was sent for this login, whatever has become of it.
func (d *dialogue) wasSent(code string) bool {
	found := 0
	for _, sent := range d.sent {
		found |= subtle.ConstantTimeCompare([]byte(sent.code), []byte(code))
	}
	return found == 1
}

// deliveredBy says for the log if the code came by another way than the
// factor's own.
func (d *dialogue) deliveredBy(rule string) string {
	for _, sent := range d.sent {
		if sent.rule == rule && sent.delivery.Failed != "" {
			return "sent " + sentTo(sent.delivery)
		}
	}
	return ""
}
