package remotelogin

// UnreachableError says that no server decides a login now: each could not be spoken
// with, is a stranger by its key, does not know this machine's, or said itself that it
// cannot decide. Nobody has taken the login, and nobody can any more.
//
// It is not the error where a server said that this machine has too much open, or
// where servers differ in their ledgers: those can be reached. Nor is it where the
// configuration has changed meanwhile.
type UnreachableError struct {
	// err says of each server why.
	err error
}

func (u UnreachableError) Error() string { return u.err.Error() }

func (u UnreachableError) Unwrap() error { return u.err }

// fullError is the word of a server that decides logins, and takes no more of this
// machine's for the moment.
type fullError struct{ error }
