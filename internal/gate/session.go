package gate

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/ledger"
)

// maxSessions bounds the remembered logins of one person; a further one takes
// the place of the oldest.
const maxSessions = 64

// sessionScope is what a login is remembered for, beside the person. A host
// name is whatever the other side's DNS says, and without an address anybody
// on the machine would do: such logins are not remembered. Nor are those from
// the address that a proxy or a tunnel on the machine gives everybody, or from
// 0.0.0.0 and ::, which programs give that know none. The zone
// is part of the address: fe80::1 of one link is not that of another.
func (g *Gate) sessionScope(request Request) (protocol, address string, span time.Duration) {
	by := g.protocol(request)
	addr, err := netip.ParseAddr(request.RemoteHost)
	addr = addr.Unmap()
	bare := addr.WithZone("")
	if err != nil || by == "" || addr == localhost4 || bare == netip.IPv6Loopback() || bare.IsUnspecified() || len(addr.Zone()) > maxZone {
		return "", "", 0
	}
	return string(by), addr.String(), g.Config.Policy.SessionFor(by)
}

var localhost4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// sameNetwork says whether two addresses are equal or of one /64. Everybody with IPv6
// has a /64, and another address of it each day.
func sameNetwork(a, b string) bool {
	if a == b {
		return true
	}
	first, err1 := netip.ParseAddr(a)
	second, err2 := netip.ParseAddr(b)
	return err1 == nil && err2 == nil && SessionNetwork(first).Contains(second) && SessionNetwork(second).Contains(first)
}

// teredo shows people all over the world in one /64, as translators do.
var teredo = netip.MustParsePrefix("2001::/32")

// SessionNetwork is what a login from an address is remembered for: the address, or the
// /64 of an IPv6 one. A link-local address is everybody's on that link, so it counts whole.
func SessionNetwork(addr netip.Addr) netip.Prefix {
	bits := addr.BitLen()
	many := addr.Zone() != "" || addr.IsLinkLocalUnicast() || config.IsTranslated(addr) || teredo.Contains(addr)
	if addr.Is6() && !addr.Is4In6() && !many {
		bits = 64
	}
	return netip.PrefixFrom(addr, bits)
}

// maxZone is far above the name of an interface.
const maxZone = 64

// session finds the remembered login that lets request in. It ends when it was
// going to, when the policy has become stricter, and when the person's factors
// change.
//
// One that was opened on a client, or by programs of another than root, counts there
// alone: service and address are the word of somebody who may have been taken over, and
// could name any.
func (g *Gate) session(request Request, person account.Person, entry ledger.Entry) (ledger.Session, bool) {
	protocol, address, span := g.sessionScope(request)
	if span <= 0 || !person.Enrolled() {
		return ledger.Session{}, false
	}
	now, of := g.Now(), enrollmentOf(person)
	for _, s := range entry.Sessions {
		if s.Protocol == protocol && g.isOwn(s) && sameNetwork(s.Address, address) && s.Of == of &&
			!now.Before(s.Since) && now.Before(s.Until) && now.Before(s.Since.Add(span)) {
			return s, true
		}
	}
	return ledger.Session{}, false
}

// isOwn says whether a session was opened by whoever asks now.
func (g *Gate) isOwn(s ledger.Session) bool { return s.Client == g.Client && s.Peer == g.Peer }

// rememberedFor names another peer for whose programs the login is remembered, for an
// admin who asks what would become of it.
func (g *Gate) rememberedFor(request Request, person account.Person, entry ledger.Entry) (peer string) {
	for _, s := range entry.Sessions {
		other := *g
		other.Peer = s.Peer
		if _, found := other.session(request, person, ledger.Entry{Sessions: []ledger.Session{s}}); found && s.Peer != g.Peer {
			return s.Peer
		}
	}
	return ""
}

func remembered(s ledger.Session) Verdict {
	return Verdict{NotAsked, "policy.session", "a code was given on " + s.Since.UTC().Format(time.RFC3339) + ", remembered until " + s.Until.UTC().Format(time.RFC3339)}
}

// remembered lets in a login that is remembered. If a code came behind its
// password all the same, it is used up: the password has been checked by now, so
// nobody but the owner can do that. A server that was taken over need not have
// checked it, and has as many tries as looks. See [Gate.Split] for why it must be
// done.
func (d *dialogue) remembered(ctx context.Context, session ledger.Session) Verdict {
	if !d.request.CodeBehind {
		return remembered(session)
	}
	answer, err := d.conversation.Ask(Prompt)
	switch {
	case err != nil:
		return Verdict{Deny, "no-answer", err.Error()}
	case answer.Password || isOpener(session, d.person, answer.Text) || factor.IsRecovery(answer.Text):
		// Nobody finds a recovery code by trying, and there are only a few.
		return remembered(session)
	case !d.mayLook(d.person, answer.Text):
		return remembered(session)
	}
	now, outcome := d.Now(), factor.Wrong
	err = d.Ledger.Update(ctx, ledger.UserKey(d.person.User), func(entry *ledger.Entry) error {
		if outcome, _ = d.verify(answer.Text, now, entry); outcome != factor.Right {
			return errNotUsedUp
		}
		return nil
	})
	d.looked(d.person, answer.Text, outcome)
	if err != nil && !errors.Is(err, errNotUsedUp) {
		d.conversation.Tell(Failure, cannotDecide)
		return fault(blame{"ledger", fmt.Errorf("use up a code: %w", err)})
	}
	return remembered(session)
}

var errNotUsedUp = errors.New("the code is not right, or no longer")

// isOpener says whether text is the code that opened the session.
func isOpener(session ledger.Session, person account.Person, text string) bool {
	return subtle.ConstantTimeCompare([]byte(session.Code), []byte(hashOpener(person.User, text))) == 1
}

// openSession remembers a login whose code was right, if the policy wants that.
func (g *Gate) openSession(request Request, person account.Person, code string, now time.Time, entry *ledger.Entry) {
	protocol, address, span := g.sessionScope(request)
	if span <= 0 {
		return
	}
	now = now.UTC().Truncate(time.Second)
	entry.Sessions = slices.DeleteFunc(entry.Sessions, func(s ledger.Session) bool {
		return !now.Before(s.Until) || s.Protocol == protocol && g.isOwn(s) && sameNetwork(s.Address, address)
	})
	if extra := len(entry.Sessions) + 1 - maxSessions; extra > 0 {
		entry.Sessions = slices.Delete(entry.Sessions, 0, extra)
	}
	entry.Sessions = append(entry.Sessions, ledger.Session{
		Protocol: protocol, Address: address, Client: g.Client, Peer: g.Peer, Since: now, Until: now.Add(span), Of: enrollmentOf(person), Code: hashOpener(person.User, code),
	})
}

// hashOpener is how a session knows again the code that opened it. That code is
// used up, so the hash need not keep it secret.
func hashOpener(user, code string) string {
	sum := sha256.Sum256([]byte("otpgate session\x00" + user + "\x00" + code))
	return hex.EncodeToString(sum[:16])
}

// EnrollmentOf names the devices of a person that count, as they are.
func EnrollmentOf(person account.Person) string { return enrollmentOf(person) }

// enrollmentOf names the person's factors as they are: a session that was opened
// with a phone does not outlive the phone.
func enrollmentOf(person account.Person) string {
	sum := sha256.New()
	field := func(text string) { sum.Write([]byte(text + "\x00")) }
	field("otpgate enrollment")
	for _, f := range person.Confirmed() {
		field(string(f.Kind))
		field(f.ID)
		if f.Unreadable() != nil {
			// What is remembered meanwhile ends when the secret can be read.
			field(f.Encrypted)
		}
		field(string(f.Secret))
		field(f.Confirmed.UTC().Format(time.RFC3339))
		switch f.Kind {
		case account.Email:
			field(person.Email)
		case account.SMS:
			field(person.Phone)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

// SessionUntil says whether a login like the one that opened s is let in, and
// until when it would be.
func (g *Gate) SessionUntil(person account.Person, s ledger.Session) (time.Time, bool) {
	request := Request{User: person.User, Protocol: config.Protocol(s.Protocol), RemoteHost: s.Address}
	there := *g
	there.Client, there.Peer = s.Client, s.Peer
	g = &there
	if _, counts := g.session(request, person, ledger.Entry{Sessions: []ledger.Session{s}}); !counts {
		return time.Time{}, false
	}
	if _, _, span := g.sessionScope(request); s.Since.Add(span).Before(s.Until) {
		return s.Since.Add(span), true
	}
	return s.Until, true
}
