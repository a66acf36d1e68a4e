package account

import (
	"errors"
	"time"

	"github.com/otpgate/otpgate/internal/safefile"
)

// ErrChanged is wrapped by the error for a secret file that somebody else changed while
// it was being changed here. Nothing is written then. Where one lock keeps all others
// out, which a directory has, there are no such errors.
var ErrChanged = errors.New("somebody else changed it at the same time; try again")

// ErrUnclear is wrapped by the error for a change of which nobody can tell whether it was
// made, or still will be. A directory has no such errors.
var ErrUnclear = errors.New("it is not known whether it was changed")

// Store keeps secret files. Its methods may be called from many goroutines, and bound by
// themselves how long they wait. An error says which file or server failed and why; the
// caller then denies. Every Store promises, and package accounttest tests:
//
//   - What a change that returned nil wrote is what every later Load gives, in this
//     process and in others.
//   - A file is changed whole or not at all, and never on what somebody else changed
//     meanwhile.
//   - ErrNotFound says that there is no such file, and nothing else does: not that it
//     cannot be read, nor that nobody can be asked.
type Store interface {
	// Load reads the secret file of the person with this login name. Its error wraps
	// ErrNotFound if there is none.
	Load(name string) (Person, error)

	// Text returns the secret file of name as it is, after the checks of Load.
	Text(name string) ([]byte, error)

	// Path names the secret file of name, for messages.
	Path(name string) string

	// Names lists the people who have a secret file, in order.
	Names() ([]string, error)

	// List is what Names gives, and what else is there and cannot be a secret file by
	// its name, in order: whoever put it there may believe that it counts.
	List() (names, strays []string, err error)

	// Like lists the people who have a secret file and whose names differ from name in
	// their cases alone.
	Like(name string) ([]string, error)

	// Change gives the person's file to change and writes what change made of it, whole
	// or not at all. A person without a file is given to change as a zero Person with
	// only User set and enabled. An error of change is returned as it is, and nothing is
	// written. change is called once at most.
	Change(name string, change func(*Person) error) error

	// Remove deletes the person's file.
	Remove(name string) error

	// Rename gives the secret file of the user from to the name to, whose file must
	// not be there. move is to take along what is known of the person elsewhere; it
	// is given the person as it will be. Until all is done logins refuse the file of to,
	// and that of from is there until move has returned. In whichever step it is
	// killed, the same Rename again goes on.
	//
	// It also finishes what somebody began by hand, who moved the file. known says
	// whether a file that says nothing of whom it was written for is that of from. may
	// is given the person as it will be, before anything is written.
	Rename(from, to string, known func(Person) (bool, error), may func(Person) error, move func(*Person) error) (Person, error)

	// Rewrite changes how the secrets of some people stand in their files, and nothing
	// else of them. With dry it only looks. A secret that cannot be read stays as it is,
	// which does not keep others from being changed. Whenever it is killed, each file is
	// the old one or the new one. The error is of what concerns all of them.
	Rewrite(names []string, how Rewriting, dry bool) ([]Rewritten, error)

	// RemoveLeft removes what killed commands left of files that they were writing: it
	// may have secrets that are not encrypted, of people whose own files have none.
	RemoveLeft() error

	// Close releases what the store holds open.
	Close() error
}

// Texts is where a [Store] has the texts of its secret files. Names have passed
// [CheckName].
type Texts interface {
	// Path names the text of name, for messages.
	Path(name string) string

	// Read reads the text of name. Its error wraps ErrNotFound if there is none; what
	// it returns besides is good for Write all the same.
	Read(name string) (Text, error)

	// List and Like are those of Store.
	List() (names, strays []string, err error)
	Like(name string) ([]string, error)

	// Lock has others wait who change the texts of these people by the same Texts, as
	// far as they can be made to wait.
	Lock(names ...string) (unlock func(), err error)

	// Write stores data in the place of the text of name that was read. If that is
	// another one by now its error wraps ErrChanged.
	Write(name string, data []byte, was Text) error

	// WriteAll is Write for several. failed says which are not written, and why; err is
	// of what concerns all of them.
	WriteAll(all []Writing) (failed map[string]error, err error)

	// Remove removes the text of name, and if was is not nil only that one.
	Remove(name string, was *Text) error

	// RemoveLeft is that of Store.
	RemoveLeft() error

	// Close releases what is held open.
	Close() error
}

// Text is the text of a secret file as it was read.
type Text struct {
	Data []byte
	// Revision differs whenever the text was changed, where the Texts has such. What is
	// not there may have one too.
	Revision int64
	// seen is the state of a file.
	seen safefile.Stamp
}

// Writing is what the text of one person is to be.
type Writing struct {
	Name string
	Data []byte
	Was  Text
}

// store is the Store over any Texts.
type store struct {
	texts Texts
	place Place
	// rest is time.Sleep.
	rest    func(time.Duration)
	rewrote bool // Rewrite was called
}

var _ Store = (*store)(nil)

// NewStore gives the store of the secret files whose texts these are, read and written
// as place says. Its Path is for messages alone.
func NewStore(place Place, texts Texts) Store {
	return &store{texts: texts, place: place, rest: time.Sleep}
}

// Close implements [Store].
func (s *store) Close() error { return s.texts.Close() }

// Path implements [Store].
func (s *store) Path(name string) string { return s.texts.Path(name) }

// Load implements [Store].
func (s *store) Load(name string) (Person, error) {
	person, _, err := s.load(name)
	return person, err
}

// load is Load, and gives the text for whoever writes it anew.
func (s *store) load(name string) (Person, Text, error) {
	if err := CheckName(name); err != nil {
		return Person{}, Text{}, err
	}
	text, err := s.texts.Read(name)
	if err != nil {
		return Person{}, text, err
	}
	person, err := s.place.Parse(s.Path(name), name, text.Data)
	person.seen = text.seen
	return person, text, err
}

// Text implements [Store].
func (s *store) Text(name string) ([]byte, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	text, err := s.texts.Read(name)
	if err != nil {
		return nil, err
	}
	if _, err := parseBound(s.Path(name), name, name, text.Data, s.place.Own); err != nil {
		return nil, inFile(err)
	}
	return text.Data, nil
}

// Names implements [Store].
func (s *store) Names() ([]string, error) {
	names, _, err := s.List()
	return names, err
}

// List implements [Store].
func (s *store) List() (names, strays []string, err error) { return s.texts.List() }

// Like implements [Store].
func (s *store) Like(name string) ([]string, error) { return s.texts.Like(name) }
