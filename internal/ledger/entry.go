package ledger

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"
)

// An encoded entry is a row of fields: a tag, the length of the value, the
// value. A tag keeps its meaning for ever, a new field takes a new one, and
// one that is not known is refused: an older program would drop it at its next
// write, and with it what a newer one knew to be used.
//
// This is not JSON because a freshly started process spends longer on its
// first JSON value than on the write to disk; docs/ledger.md has the figures.
const (
	tagUse             = 1  // repeated: key, step, drift
	tagUsedHash        = 2  // repeated: hash
	tagAttempts        = 3  // wrong, last wrong, locked until, locks, unseen
	tagLastLogin       = 4  // time
	tagSends           = 5  // count, last
	tagCarried         = 6  // repeated: for, salt, hash, expires
	tagSession         = 7  // repeated: protocol, address, since, until, of, code
	tagGrace           = 8  // time
	tagResynced        = 9  // repeated, behind the use of the same key: key, steps
	tagService         = 10 // repeated: service, time
	tagPeer            = 11 // repeated: name, the values of tagAttempts, those of tagSends
	tagPeerGrace       = 12 // repeated: name, time
	tagSessionOfClient = 13 // repeated: as tagSession, and the client
	tagSessionOfPeer   = 14 // repeated: as tagSessionOfClient, and the peer
	tagInvitation      = 15 // texts, wrong codes, 1 if it replaces, times
	tagInvitationLink  = 16 // repeated: name, end
	tagRecent          = 17 // repeated: time, service, host, address, peer, rule, 1 if denied
	tagMailed          = 18 // behind the invitation: time
)

// encodeEntry gives the same bytes for the same entry, and none for the zero
// entry. Of a time it keeps the instant, not the zone.
func encodeEntry(entry Entry) []byte {
	var e encoder
	for _, key := range slices.Sorted(maps.Keys(entry.Used)) {
		use := entry.Used[key]
		e.texts(key)
		e.number(use.Step)
		e.number(int64(use.Drift))
		e.end(tagUse)
		if use.Resynced != 0 {
			e.texts(key)
			e.number(int64(use.Resynced))
			e.end(tagResynced)
		}
	}
	for _, hash := range entry.UsedHashes {
		e.value = append(e.value, hash...)
		e.end(tagUsedHash)
	}
	if entry.Attempts != (Attempts{}) {
		e.attempts(entry.Attempts)
		e.end(tagAttempts)
	}
	for _, name := range slices.Sorted(maps.Keys(entry.Peers)) {
		peer := entry.Peers[name]
		e.texts(name)
		e.attempts(peer.Attempts)
		e.sends(peer.Sends)
		e.end(tagPeer)
	}
	if !entry.LastLogin.IsZero() {
		e.times(entry.LastLogin)
		e.end(tagLastLogin)
	}
	for _, s := range entry.Services {
		e.texts(s.Service)
		e.times(s.At)
		e.end(tagService)
	}
	e.sent(entry)
	e.sessions(entry)
	e.invitations(entry)
	e.logins(entry.Recent)
	return e.all
}

// encoder makes up a row of fields.
type encoder struct {
	all   []byte
	value []byte // of the field that is being made
}

func (e *encoder) attempts(a Attempts) {
	e.number(int64(a.Wrong))
	e.times(a.LastWrong, a.LockedUntil)
	e.number(int64(a.Locks))
	e.number(int64(a.Unseen))
}

func (e *encoder) sends(s Sends) {
	e.number(int64(s.Count))
	e.times(s.Last)
}

func (e *encoder) sent(entry Entry) {
	if entry.Sends != (Sends{}) {
		e.sends(entry.Sends)
		e.end(tagSends)
	}
	for _, c := range entry.Carried {
		e.texts(c.For, c.Salt, c.Hash)
		e.times(c.Expires)
		e.end(tagCarried)
	}
}

func (e *encoder) sessions(entry Entry) {
	for _, s := range entry.Sessions {
		e.texts(s.Protocol, s.Address)
		e.times(s.Since, s.Until)
		e.texts(s.Of, s.Code)
		switch {
		case s.Peer != "":
			e.texts(s.Client, s.Peer)
			e.end(tagSessionOfPeer)
		case s.Client != "":
			e.texts(s.Client)
			e.end(tagSessionOfClient)
		default:
			e.end(tagSession)
		}
	}
	if !entry.Grace.IsZero() {
		e.times(entry.Grace)
		e.end(tagGrace)
	}
	for _, name := range slices.Sorted(maps.Keys(entry.PeerGraces)) {
		e.texts(name)
		e.times(entry.PeerGraces[name])
		e.end(tagPeerGrace)
	}
}

func (e *encoder) number(n int64) { e.value = binary.AppendVarint(e.value, n) }

func (e *encoder) texts(texts ...string) {
	for _, text := range texts {
		e.value = appendBytes(e.value, []byte(text))
	}
}

func (e *encoder) times(times ...time.Time) {
	for _, t := range times {
		e.number(t.Unix())
		e.number(int64(t.Nanosecond()))
	}
}

// end makes a field of the values since the last one.
func (e *encoder) end(tag byte) {
	e.all = appendBytes(append(e.all, tag), e.value)
	e.value = e.value[:0]
}

func appendBytes(b, value []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(value))), value...)
}

func put[V any](all *map[string]V, key string, value V) {
	if *all == nil {
		*all = make(map[string]V)
	}
	(*all)[key] = value
}

func decodeEntry(payload []byte) (Entry, error) {
	var entry Entry
	all := decoder{rest: payload}
	for len(all.rest) > 0 && !all.bad {
		tag := all.rest[0]
		all.rest = all.rest[1:]
		value := decoder{rest: all.bytes()}
		switch tag {
		case tagUse:
			put(&entry.Used, value.text(), Use{Step: value.number(), Drift: int(value.number())})
		case tagResynced:
			value.resynced(entry.Used)
		case tagUsedHash:
			entry.UsedHashes = append(entry.UsedHashes, string(value.rest))
			value.rest = nil
		case tagAttempts:
			entry.Attempts = value.attempts()
		case tagPeer:
			put(&entry.Peers, value.text(), Peer{Attempts: value.attempts(), Sends: value.sends()})
		case tagLastLogin:
			entry.LastLogin = value.time()
		case tagService:
			entry.Services = append(entry.Services, ServiceLogin{Service: value.text(), At: value.time()})
		case tagSends:
			entry.Sends = value.sends()
		case tagCarried:
			entry.Carried = append(entry.Carried, Carried{For: value.text(), Salt: value.text(), Hash: value.text(), Expires: value.time()})
		case tagSession, tagSessionOfClient, tagSessionOfPeer:
			entry.Sessions = append(entry.Sessions, value.sessionOf(tag))
		case tagGrace:
			entry.Grace = value.time()
		case tagInvitation:
			entry.Invitation = value.invitation()
		case tagMailed:
			entry.Invitation.Mailed = value.time()
		case tagInvitationLink:
			entry.Links = append(entry.Links, InvitationLink{Name: value.text(), Ends: value.time()})
		case tagRecent:
			entry.Recent = append(entry.Recent, value.login())
		case tagPeerGrace:
			put(&entry.PeerGraces, value.text(), value.time())
		case tagMoved:
			return Entry{}, ErrMoved
		default:
			return Entry{}, fmt.Errorf("%w: unknown field %d, written by a newer version", ErrDamaged, tag)
		}
		all.bad = all.bad || value.bad || len(value.rest) > 0
	}
	if all.bad {
		return Entry{}, fmt.Errorf("%w: entry does not parse", ErrDamaged)
	}
	return entry, nil
}

// decoder takes values off the front of rest. Once one is not there, bad is
// set and the zero value stands for it and all that follow.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) number() int64 {
	n, size := binary.Varint(d.rest)
	if size <= 0 {
		d.rest, d.bad = nil, true
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *decoder) bytes() []byte {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 || n > uint64(len(d.rest)-size) {
		d.rest, d.bad = nil, true
		return nil
	}
	value := d.rest[size : size+int(n)]
	d.rest = d.rest[size+int(n):]
	return value
}

func (d *decoder) attempts() Attempts {
	return Attempts{Wrong: int(d.number()), LastWrong: d.time(), LockedUntil: d.time(), Locks: int(d.number()), Unseen: int(d.number())}
}

// sessionOf reads a session as fields of the tag have it.
func (d *decoder) sessionOf(tag byte) Session {
	session := Session{Protocol: d.text(), Address: d.text(), Since: d.time(), Until: d.time(), Of: d.text(), Code: d.text()}
	if tag != tagSession {
		session.Client = d.text()
	}
	if tag == tagSessionOfPeer {
		session.Peer = d.text()
	}
	return session
}

// resynced reads the step from which codes count again of a factor that is in used.
func (d *decoder) resynced(used map[string]Use) {
	key := d.text()
	use, found := used[key]
	if use.Resynced = int(d.number()); found {
		used[key] = use
	}
	d.bad = d.bad || !found
}

func (d *decoder) sends() Sends { return Sends{Count: int(d.number()), Last: d.time()} }

func (d *decoder) text() string { return string(d.bytes()) }

func (d *decoder) time() time.Time {
	seconds, nanoseconds := d.number(), d.number()
	if d.bad || nanoseconds < 0 || nanoseconds >= int64(time.Second) {
		d.bad = true
		return time.Time{}
	}
	return time.Unix(seconds, nanoseconds).UTC()
}

// apply gives what change makes of an encoded entry, and whether that differs.
func apply(payload []byte, change func(*Entry) error) (after []byte, changed bool, err error) {
	entry, err := decodeEntry(payload)
	if err != nil {
		return nil, false, err
	}
	if err := change(&entry); err != nil {
		return nil, false, err
	}
	after = encodeEntry(entry)
	return after, !bytes.Equal(after, payload), nil
}
