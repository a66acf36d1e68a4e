package authentication

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/sftpd/algorithms"
	"github.com/otpgate/otpgate/internal/sftpd/authkeys"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/session"
)

// Kinds of keys whose signature a front can pass on. Of the others the SSH
// library shows it to nobody.
const (
	kindED25519   = "ssh-ed25519"
	kindSKED25519 = "sk-ssh-ed25519@openssh.com"
)

// kindSKECDSA is the other kind in hardware.
const kindSKECDSA = "sk-ecdsa-sha2-nistp256@openssh.com"

// proof is what a front brings to show that the client has a key.
type proof struct {
	key       []byte // as on the wire, or its certificate
	sessionID []byte // as the broker knows it
	algorithm string
	signature []byte // format and blob as on the wire; empty if it cannot be seen
	format    string
}

// maxOffered bounds the keys that are offered in a connection. One that may be
// proven is no failure, though each is looked for anew, and anybody may know
// somebody's public keys.
const maxOffered = 50

// offer says whether a key may be proven. Nothing is remembered of it: what
// counts is the key that the proof is of.
func (l *Login) offer(key []byte) uint8 {
	if !l.beforeFirst() {
		return messages.Denied
	}
	if l.offered++; l.offered > maxOffered {
		return messages.Ended
	}
	cred, found := l.admit(key)
	if kind := kindOf(cred.key); !found || !l.taken(kind) || kind != kindED25519 && kind != kindSKED25519 && l.settings.UnprovenKeys == config.RefuseUnproven {
		return messages.Denied
	}
	return messages.Partial
}

// taken says whether keys of a kind let anybody in. The front looks too, but a
// front may be anybody's.
func (l *Login) taken(kind string) bool {
	if algorithms.Signatures(kind) != nil {
		return true
	}
	l.refuseKey("publickey", fmt.Sprintf("the kind of key %.40q is not taken; use an ed25519 key", kind))
	return false
}

func kindOf(key []byte) string { return fields.NewReader(key).Text() }

// prove takes a key for the first factor.
func (l *Login) prove(p proof) uint8 {
	if !l.beforeFirst() {
		return messages.Denied
	}
	cred, found := l.admit(p.key)
	if !found || !l.taken(kindOf(cred.key)) {
		return messages.Denied
	}
	unproven := false
	err := error(nil)
	switch kindOf(cred.key) {
	case kindED25519, kindSKED25519:
		err = verify(p, cred, l.user)
		// Who gives a wrong code proves the key again.
		if err == nil && !l.proved && !l.shared.replays.fresh(l.person.UID, p.sessionID) {
			err = errReplayed
		}
		l.proved = l.proved || err == nil
	default:
		if l.settings.UnprovenKeys == config.RefuseUnproven {
			return messages.Denied
		}
		unproven = true
		err = checkUnseen(cred, p.format)
	}
	if err != nil {
		l.failed("publickey", fmt.Errorf("%w: %w", session.ErrPAM, err))
		return messages.Denied
	}
	if cred.hasCert {
		l.remark("proven", "certificate", describe(cred.cert)+", for "+fingerprint(cred.key))
	}
	return l.afterFirst(factor{kind: config.PublicKeyFirst, unproven: unproven}, l.request(), "")
}

var (
	errSignature = errors.New("the signature is not right")
	errReplayed  = errors.New("the signature was given in another connection before")
)

// verify checks a signature over what RFC 4252 section 7 says is signed, for
// the session's id that the broker knows from its own signature.
func verify(p proof, cred credential, user string) error {
	kind := kindOf(cred.key)
	if len(p.sessionID) == 0 || p.algorithm != kindOf(p.key) {
		return errSignature
	}
	k := fields.NewReader(cred.key)
	k.Text()
	public := k.Blob()
	application := ""
	if kind == kindSKED25519 {
		application = k.Text()
	}
	s := fields.NewReader(p.signature)
	format, blob := s.Text(), s.Blob()
	var flags uint8
	var counter uint32
	if kind == kindSKED25519 {
		flags, counter = s.U8(), s.U32()
	}
	if k.Done() != nil || s.Done() != nil || format != kind || len(public) != ed25519.PublicKeySize || len(blob) != ed25519.SignatureSize {
		return errSignature
	}
	signed := signedData(user, p)
	if kind == kindSKED25519 {
		if err := checkFlags(flags, cred.grant); err != nil {
			return err
		}
		signed = hardwareData(application, flags, counter, signed)
	}
	if !ed25519.Verify(public, signed, blob) {
		return errSignature
	}
	return nil
}

func signedData(user string, p proof) []byte {
	const userAuthRequest = 50
	var w fields.Writer
	w.Blob(p.sessionID).U8(userAuthRequest).Text(user).Text("ssh-connection").Text("publickey").Bool(true).Text(p.algorithm).Blob(p.key)
	return w.Bytes
}

// Flags of a key in hardware, see PROTOCOL.u2f of OpenSSH.
const (
	userPresent  = 1
	userVerified = 4
)

func checkFlags(flags uint8, granted authkeys.Grant) error {
	if flags&userPresent == 0 && !granted.NoTouch {
		return errors.New("the hardware key was not touched")
	}
	if flags&userVerified == 0 && granted.Verify {
		return errors.New("the hardware key did not ask for its PIN")
	}
	return nil
}

// checkUnseen refuses a signature of a format that is not taken, and a key in
// hardware whose flags would have to be seen. The library has it touched unless
// its certificate says otherwise.
func checkUnseen(cred credential, format string) error {
	if !slices.Contains(algorithms.Signatures(kindOf(cred.key)), format) {
		return fmt.Errorf("the signature is of format %.40q, which is not taken", format)
	}
	if kindOf(cred.key) != kindSKECDSA || !cred.grant.Verify && (!cred.cert.NoTouch || cred.grant.NoTouch) {
		return nil
	}
	return errors.New("of this kind of key it cannot be seen whether it was touched and asked for its PIN; use an ed25519-sk key")
}

func hardwareData(application string, flags uint8, counter uint32, message []byte) []byte {
	app, digest := sha256.Sum256([]byte(application)), sha256.Sum256(message)
	var w fields.Writer
	w.Bytes = append(w.Bytes, app[:]...)
	w.U8(flags).U32(counter)
	return append(w.Bytes, digest[:]...)
}

// replays remembers the sessions that keys were proven in. A front chooses the
// hash that a session's id is, so one that is taken over could have an older one
// signed again and bring the proof that a client gave for that.
type replays struct {
	mu sync.Mutex
	of map[uint32]*sessions
}

// sessions are a person's, the oldest given up for new ones. Only the person's
// own keys put any in.
type sessions struct {
	ids  [][sha256.Size]byte
	next int
}

// maxReplays bounds what is remembered of one person: 128 KiB.
const maxReplays = 4096

// fresh says whether no key of the person was proven in that session before, and
// notes that one is now.
func (s *replays) fresh(uid uint32, sessionID []byte) bool {
	id := sha256.Sum256(sessionID)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = map[uint32]*sessions{}
	}
	known := s.of[uid]
	if known == nil {
		known = &sessions{}
		s.of[uid] = known
	}
	switch {
	case slices.Contains(known.ids, id):
		return false
	case len(known.ids) < maxReplays:
		known.ids = append(known.ids, id)
	default:
		known.ids[known.next] = id
		known.next = (known.next + 1) % maxReplays
	}
	return true
}
