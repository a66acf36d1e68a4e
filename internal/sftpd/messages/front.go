package messages

import (
	"time"

	"github.com/otpgate/otpgate/internal/sftpd/fields"
)

// To a front, over its control connection, from the broker.
const (
	FrontBecome     = iota + 1 // uid, gid, empty directory: the first message
	FrontSettings              // Settings, for connections from then on
	FrontConnection            // with the descriptors of a connection and of a socket to the broker for it; remote address
	FrontDrain                 // end connections that do nothing, and the others when they are done
)

// Settings are what a front needs to know.
type Settings struct {
	Version    string   // of the SSH server
	Banner     string   // shown before the login
	HostKeys   [][]byte // public, as on the wire
	Idle       time.Duration
	Keepalive  time.Duration
	Bandwidth  uint64 // bytes a second, 0 for any number
	Unproven   bool   // keys whose signature cannot be passed on are taken
	Passwords  bool
	PublicKeys bool
}

// Write writes the fields.
func (s Settings) Write(w *fields.Writer) {
	w.Text(s.Version).Text(s.Banner).U64(uint64(s.Idle)).U64(uint64(s.Keepalive)).U64(s.Bandwidth).Bool(s.Unproven).Bool(s.Passwords).Bool(s.PublicKeys)
	w.U32(uint32(len(s.HostKeys)))
	for _, key := range s.HostKeys {
		w.Blob(key)
	}
}

// ReadSettings reads what Write wrote.
func ReadSettings(r *fields.Reader) Settings {
	s := Settings{Version: r.Text(), Banner: r.Text(), Idle: time.Duration(r.U64()), Keepalive: time.Duration(r.U64()), Bandwidth: r.U64(),
		Unproven: r.Bool(), Passwords: r.Bool(), PublicKeys: r.Bool()}
	for _, key := range r.Texts() {
		s.HostKeys = append(s.HostKeys, []byte(key))
	}
	return s
}

// From a front to the broker, over the socket of one connection. The broker
// believes nothing of it: who is in, and by what, is decided by what the broker
// itself has checked.
const (
	AskSign        = iota + 1 // public host key, algorithm, data: AnswerSignature
	AskOffer                  // user, key: AnswerOutcome, Partial if the key may be proven
	AskProve                  // user, key, algorithm, signature ("" if it cannot be seen), the signature's format: AnswerOutcome
	AskPassword               // user, password: AnswerOutcome
	AskInteractive            // user: AnswerPrompt or AnswerOutcome
	AskAnswer                 // whether there is one, text: as AskInteractive; follows AnswerPrompt alone
	AskSession                // AnswerSession, once in
	AskBytes                  // count, whether it is an upload: AnswerBytes
	AskHostKey                // public host key: AnswerSignature, that the server has it
	TellOperations            // of each, one or more: op, path, target, read, written, what went wrong; not answered
	TellUnmatched             // a list, the client's identification, what it offers there: not answered, and the end of the connection
)

// The lists of a key exchange in which client and server must have something in
// common (RFC 4253 section 7.1).
const (
	ListKeyExchange = iota + 1
	ListHostKey
	ListCipher
	ListMAC
	ListCompression
)

// To a front, over that socket.
const (
	AnswerSignature = iota + 1 // format, blob; both "" if refused
	AnswerOutcome              // an outcome, what to tell
	AnswerPrompt               // what to tell, whether what is typed is shown, prompt
	AnswerSession              // whether there is a session, with its descriptor
	AnswerBytes                // how long to wait, in nanoseconds
)

// Outcomes of a step of the login. The zero value is none.
const (
	Denied  = iota + 1
	Partial // go on with keyboard-interactive
	Accepted
	Ended // denied, and trying again is of no use
)

// MaxSize bounds a message on that socket. Keys, signatures and passwords are
// smaller.
const MaxSize = 32 << 10

// What is in TellOperations and TellUnmatched is bounded, in bytes.
const (
	MaxText    = 4096 // a path or a list
	MaxOp      = 32
	MaxProblem = 256
	// MaxOperations bounds a message, and all that a front sends once the person is
	// in. One operation fits in.
	MaxOperations = 2*MaxText + 512
)
