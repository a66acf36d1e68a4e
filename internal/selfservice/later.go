package selfservice

import (
	"context"
	"errors"
)

var (
	// ErrEnded is why something is lost that was not done when the verifier ended.
	ErrEnded = errors.New("the verifier ended before this was done")
	// ErrBusy is why something is lost that had no place to wait. Nothing of it was begun.
	ErrBusy = errors.New("too much waits to be done")
)

// Later does what is behind the answers. Each method returns at once.
type Later interface {
	// Look has something short done, such as looking whom a name is of.
	Look(Job)
	// Link has a mail with a link sent, and Change one about a change. Neither holds up
	// the other: whoever asks for many links must not keep people from hearing what was
	// changed, nor whoever changes much others from their links.
	Link(Job)
	Change(Job)
}

// Job is something to be done once.
type Job struct {
	// Of is what has it done, an address or a person: of several each has its turn.
	Of string
	// Network is what that address is in, "" for nothing larger: those in it have one
	// turn together.
	Network string
	Do      func(ctx context.Context)
	// Lost is called in the place of Do if it is not done, or beside it if it is not known
	// whether it was.
	Lost func(why error)
}
