// Package messages has the messages between the processes of otpgate-sftpd,
// beside those about files, which are in package workerfiles.
//
// What a front may ask of the broker is in front.go, from [AskSign] on. Who sends first
// and who believes whom is said with each message. All are made by package fields, the
// first byte saying which.
package messages

import "github.com/otpgate/otpgate/internal/sftpd/fields"

// To a login process, from the broker, which it obeys: the process of one
// person's PAM transaction.
const (
	PAMStart       = iota + 1 // service, user, remote address
	PAMPassword               // password; it authenticates
	PAMInteractive            // the same, with questions
	PAMAnswer                 // whether there is an answer, and the answer
	PAMAccount                // is the account good; remote address, "" for that of PAMStart
	PAMOpen                   // begin the session: program and Spec of the worker
	PAMClose                  // end it once the worker has ended
	PAMChange                 // have an expired password changed, with questions; after PAMExpired
)

// From a login process.
const (
	PAMAsks    = iota + 1 // style, text; questions wait for PAMAnswer
	PAMDone               // what PAM says, "" if all is well; for PAMOpen with the descriptors of WorkerConnection and WorkerErrors
	PAMEnded              // the worker has
	PAMExpired            // instead of PAMDone of PAMAccount: the password has to be changed first
)

// The descriptors that come with PAMDone of PAMOpen: the connection to the worker, and what
// the worker says on standard error.
const (
	WorkerConnection = iota
	WorkerErrors
	WorkerDescriptors // how many there are
)

// The styles of what PAM asks and tells, in PAMAsks.
const (
	StyleHidden = iota + 1 // a question; what is typed is not shown
	StyleShown             // a question
	StyleInfo
	StyleError
)

// Spec is what a worker becomes and does.
type Spec struct {
	User     string
	UID, GID uint32
	// Groups are the supplementary ones, which the login process takes before it
	// opens the session. InheritGroups has the worker keep those it was started with.
	Groups        []uint32
	InheritGroups bool
	Root, Home    string
	// Start is where relative paths begin, "" for Home. A worker that is told
	// one answers the Spec with one text: why it is elsewhere, "" if it is not.
	Start string
	// Umask is 0 to 0777, anything else leaves it.
	Umask     uint32
	ReadOnly  bool
	AllowRoot bool
	// Shared says that the worker serves all of the person's connections, not one.
	Shared bool
	Deny   []string
}

// Write writes the fields.
func (s Spec) Write(w *fields.Writer) {
	w.Text(s.User).U32(s.UID).U32(s.GID).U32s(s.Groups).Bool(s.InheritGroups).Text(s.Root).Text(s.Home).Text(s.Start)
	w.U32(s.Umask).Bool(s.ReadOnly).Bool(s.AllowRoot).Bool(s.Shared).Texts(s.Deny)
}

// ReadSpec reads what Write wrote.
func ReadSpec(r *fields.Reader) Spec {
	return Spec{User: r.Text(), UID: r.U32(), GID: r.U32(), Groups: r.U32s(), InheritGroups: r.Bool(), Root: r.Text(), Home: r.Text(), Start: r.Text(),
		Umask: r.U32(), ReadOnly: r.Bool(), AllowRoot: r.Bool(), Shared: r.Bool(), Deny: r.Texts()}
}

// WorkerSession is the message to a worker that follows its Spec, from the
// broker, which it obeys: with the descriptor of a session, not answered.
const WorkerSession = 1

// To a login process, from its worker, over a connection of their own: what the
// machine's name services know, which a worker without cgo cannot ask. What
// follows the kind is one text, and so is the answer, "" where nothing is known.
// A worker that somebody has taken over learns nothing else by it.
const (
	NameOfUser  = iota + 1 // uid in decimal
	NameOfGroup            // gid in decimal
	HomeOfUser             // name; not told to a worker with a Root
)

const (
	// MaxNameQuestion and MaxNameAnswer bound those messages in bytes.
	MaxNameQuestion = 512
	MaxNameAnswer   = 4096 + 4
	// MaxName bounds a name in bytes, so that one reply has room for thousands.
	// Ids with longer ones stay numbers.
	MaxName = 100
)
