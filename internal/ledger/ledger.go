// Package ledger remembers what logins used up (codes, recovery codes and wrong
// attempts) and after which ones no code is asked for a while. It is the reason
// why a code is good only once.
//
// The entry point is [Store]; [OpenFiles] gives the one that keeps a file for
// each key. Every Store promises, and package ledgertest tests:
//
//   - Update is atomic and isolated: changes of one key happen one after the
//     other, across goroutines and processes, each on what the one before left.
//   - Update is durable: when it returns nil, the new entry survives a crash
//     of the process and of the machine. When it fails, a later reader sees
//     the old entry or the new one, whole, never a mixture or nothing.
//   - View waits for nobody's Update, and shows only what an Update has made
//     durable: a login must not pass on what a power cut takes back.
//   - One key's work never waits for another's, and costs the same whatever
//     the number of keys.
package ledger

import (
	"context"
	"errors"
	"time"
)

// Kind says what a key names.
type Kind uint8

// The kinds of keys.
const (
	User   Kind = 1 // a person: Name is the login name
	Source Kind = 2 // where attempts come from: Name is an address or network
	Client Kind = 3 // a machine whose logins are decided here: Name is its name
	// BreakGlass is a person who may use break-glass codes on this machine: Name is the
	// login name. Nothing else of a person is kept there.
	BreakGlass Kind = 4
	// Link is an invitation: Name is the SHA-256 of the link, in hexadecimal. Nothing
	// of another kind of key can touch one.
	Link Kind = 5
	// Invited is a person who was invited: Name is the login name. It has the names of
	// the person's links, and nothing else of the person.
	Invited Kind = 6
)

// Key names one entry.
type Key struct {
	Kind Kind
	Name string // any bytes, 1 to 255 of them
}

// UserKey is the key of a person, by the name of the secret file.
func UserKey(name string) Key { return Key{Kind: User, Name: name} }

// Entry is what the ledger knows about one key. The zero Entry is that of a
// key never used. Strings may be any bytes; of a time the instant is kept. A
// new field needs a tag in entry.go; ledgertest finds one that is not stored.
type Entry struct {
	// Used holds, for each factor, what has been used of it. The map's keys
	// are fingerprints that change with the factor's secret.
	Used map[string]Use `json:"used,omitempty"`
	// Spent lists the hashes of recovery codes, or of break-glass codes, that have been used.
	UsedHashes []string `json:"spent,omitempty"`
	// Attempts counts wrong codes.
	Attempts Attempts `json:"attempts,omitzero"`
	// Peers holds the same for the programs of others than root, under a name
	// for whose they are. What they cause keeps nobody else out.
	Peers map[string]Peer `json:"peers,omitempty"`
	// LastLogin is when a code was last accepted.
	LastLogin time.Time `json:"last_login,omitzero"`
	// Services are the PAM services through which codes were accepted last, each
	// once, the latest at the end.
	Services []ServiceLogin `json:"services,omitempty"`
	// Recent are the last logins at which a code was looked at, the latest at the end,
	// see [Entry.AddLogin].
	Recent []Login `json:"recent,omitempty"`
	// Sends counts the codes that were sent to the person lately.
	Sends Sends `json:"sends,omitzero"`
	// Carried lists the codes that were sent for a later login to carry.
	Carried []Carried `json:"carried,omitempty"`
	// Sessions are the logins that are remembered.
	Sessions []Session `json:"sessions,omitempty"`
	// Grace is when a person who must enroll was first let in without.
	Grace time.Time `json:"grace,omitzero"`
	// PeerGraces are when programs of others than root first let the person in
	// without, by the names of Peers. They end nothing that root's programs begin.
	PeerGraces map[string]time.Time `json:"peer_graces,omitempty"`
	// Invitation is what a link is good for.
	Invitation Invitation `json:"invitation,omitzero"`
	// Links are those of a person who was invited.
	Links []InvitationLink `json:"links,omitempty"`
}

// ServiceLogin is when a code was last accepted through a PAM service.
type ServiceLogin struct {
	Service string    `json:"service"`
	At      time.Time `json:"at"`
}

// Peer is what programs of one user caused.
type Peer struct {
	Attempts Attempts `json:"attempts,omitzero"`
	Sends    Sends    `json:"sends,omitzero"`
}

// Sends counts the codes that were sent to one person; they are forgotten with
// time.
type Sends struct {
	Count int       `json:"count"` // how many counted at Last
	Last  time.Time `json:"last"`
}

// Carried is a code that was sent and has not been given yet. It is good for
// one use only: whoever accepts it takes it out.
type Carried struct {
	// For says what the code is good for; see package gate.
	For     string    `json:"for"`
	Salt    string    `json:"salt"`
	Hash    string    `json:"hash"`
	Expires time.Time `json:"expires"`
}

// Session is a login that is remembered: until its end no code is asked of the
// person on this protocol from this address, on this machine.
type Session struct {
	Protocol string    `json:"protocol"`
	Address  string    `json:"address"`
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until"`
	// Client is the machine that it was opened on, empty for this one.
	Client string `json:"client,omitempty"`
	// Peer is whose programs it was opened for, and counts for; empty for root's.
	Peer string `json:"peer,omitempty"`
	// Of names the enrollment that the session was opened under. It changes
	// with the person's factors, and then the session counts no longer.
	Of string `json:"of"`
	// Code is a hash of the code that opened the session, which clients that
	// cannot be prompted go on sending.
	Code string `json:"code"`
}

// Use is what has been used of one factor.
type Use struct {
	// Step is the last TOTP time step (RFC 6238 section 4.2) or HOTP counter
	// that was accepted. Only later ones may be.
	Step int64 `json:"step"`
	// Drift is how many steps the person's clock was ahead (or, negative,
	// behind) when that code was accepted.
	Drift int `json:"drift,omitempty"`
	// Resynced is what Drift was when a resynchronisation last set it. From
	// there Drift follows the clock a little way only.
	Resynced int `json:"resynced,omitempty"`
}

// Attempts counts the wrong codes of one key.
type Attempts struct {
	// Wrong is how many counted at LastWrong; they are forgiven with time.
	Wrong       int       `json:"wrong"`
	LastWrong   time.Time `json:"last_wrong,omitzero"`
	LockedUntil time.Time `json:"locked_until,omitzero"`
	// Locks is how many locks there were without a right code in between.
	Locks int `json:"locks,omitempty"`
	// Unseen is how many wrong codes the person has not been told of.
	Unseen int `json:"unseen,omitempty"`
}

// Identified is what a Store must be in addition where machines ask others: all that
// ask the same ones must get the same id, as each ledger accepts a code once.
type Identified interface {
	// ID names what the store remembers. It is drawn once.
	ID(ctx context.Context) (string, error)
}

// ErrUnreachable is wrapped by the errors of a store on other machines, of which none can
// be reached: nothing has been changed there, and nothing can be. A store on this machine
// has no such errors.
var ErrUnreachable = errors.New("the ledger cannot be reached")

// Store keeps entries. Its methods may be called from many goroutines. An
// error says which file or server failed and why; the caller then denies.
type Store interface {
	// View returns the entry of key, the zero Entry if there is none yet.
	View(ctx context.Context, key Key) (Entry, error)

	// Update gives the entry of key to change and stores what change made of
	// it. An error of change is returned as it is and leaves the entry as it
	// was. Nothing is written if change changed nothing. A store may call
	// change more than once, each time with a fresh entry, so it must have no
	// other effect than on its argument. Waiting for other users of the key
	// ends with ctx.
	Update(ctx context.Context, key Key, change func(*Entry) error) error

	// Close releases what the store holds open.
	Close() error
}
