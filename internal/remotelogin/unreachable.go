package remotelogin

// UnreachableError says that no server decides a login now: each could not be spoken
// with, is a stranger by its key, does not know this machine's, or said itself that it
// cannot decide. Nobody has taken the login, and nobody can any more.
//
// It is not the error where a server said that this machine has too much open, where
// it answered other logins while this one got no answer, or where servers differ in
// their ledgers: those can be reached. Nor is it where the configuration has changed
// meanwhile.
type UnreachableError struct {
	// err says of each server why.
	err error
}

func (u UnreachableError) Error() string { return u.err.Error() }

func (u UnreachableError) Unwrap() error { return u.err }

// fullError is about a server that decides logins, and takes no more of this machine's
// for the moment: by its own word, or as others got its answers.
type fullError struct{ error }

// keptFrom is err about a login that got no answer from the server, which had given so
// many before. Whoever can begin many logins must not bring it about that others are
// asked for a break-glass code: by having all slots to ask it, so that the others get
// one late, or by having the gateway end connections.
func (s *server) keptFrom(before uint64, err error) error {
	if s.answers.Load() != before {
		return fullError{err}
	}
	return err
}
