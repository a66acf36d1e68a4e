package transfer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/migrate"
	"github.com/otpgate/otpgate/internal/safefile"
	"github.com/otpgate/otpgate/internal/tokenfile"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// googleName is the file in a home.
const googleName = ".google_authenticator"

// inHomes reads the files in the homes of all users, or of those named.
func inHomes(a *invocation.App, names []string) (people []found, err error) {
	logins, err := homesOf(a, names)
	if err != nil {
		return nil, err
	}
	bar := a.Begin("homes looked at", len(logins))
	for _, login := range logins {
		path := filepath.Join(login.Home, googleName)
		data, err := readOwn(path, login, migrate.MaxOwn)
		if err == nil {
			err = isFirst(a, login)
		}
		switch {
		case len(names) == 0 && errors.Is(err, errNotFirst):
			a.Sum("%s: %v", login.Name, err)
		case len(names) > 0 || !isAbsent(path, err):
			people = append(people, google(a, login.Name, path, data, err))
		}
		bar.Step()
	}
	a.Clear()
	return people, nil
}

// errNotFirst is wrapped by the error for a name with the home of another.
var errNotFirst = errors.New("it is another name of the same account")

// isFirst refuses a name of which another of the same uid is the first and has the
// same home: a code would be good once by each name. Logins by all of them find the
// file of the first.
func isFirst(a *invocation.App, login invocation.Login) error {
	first, known, err := a.Logins.ByUID(login.UID)
	if err != nil || !known || first.Name == login.Name || filepath.Clean(first.Home) != filepath.Clean(login.Home) {
		return err
	}
	return fmt.Errorf("%w, and asked for the codes of %s, whose home it has too", errNotFirst, first.Name)
}

func homesOf(a *invocation.App, names []string) (logins []invocation.Login, err error) {
	if len(names) == 0 {
		return a.Logins.All()
	}
	for _, name := range names {
		login, known, err := a.Logins.ByName(name)
		if err != nil {
			return nil, err
		}
		if !known {
			return nil, fmt.Errorf("user %q: %w", name, invocation.ErrUnknownUser)
		}
		logins = append(logins, login)
	}
	return logins, nil
}

// isAbsent says that there is no file: for many accounts there is no home, or
// something else in its place, or they may not enter it themselves.
func isAbsent(path string, err error) bool {
	if !filepath.IsAbs(path) {
		return true
	}
	if errors.Is(err, fs.ErrPermission) {
		_, err = os.Lstat(path)
	}
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// google makes a person of a file's text, or of what went wrong with it.
func google(a *invocation.App, user, path string, data []byte, err error) found {
	if err == nil {
		err = tokenfile.ExpectNone(data, tokenfile.GoogleFile)
	}
	if err != nil {
		return found{migrate.Person{Imported: admin.Imported{User: user}, Err: err}, path}
	}
	return found{migrate.GoogleAuthenticator(user, data, a.Now()), path}
}

// inFiles reads the files that were named. users is empty, or says whose the
// only one is.
func inFiles(a *invocation.App, paths, users []string) (people []found, err error) {
	for _, given := range paths {
		path, err := filepath.Abs(given)
		if err != nil {
			return nil, err
		}
		user, data, err := namedFile(a, path, users)
		people = append(people, google(a, user, path, data, err))
	}
	return people, nil
}

// namedFile finds out whose a file is and reads it.
func namedFile(a *invocation.App, path string, users []string) (user string, data []byte, err error) {
	user = filepath.Base(path)
	owner, err := ownerOf(a, path)
	switch {
	case len(users) > 0:
		user = users[0]
	case user == googleName && err == nil:
		user = owner.Name
	}
	if err != nil {
		return user, nil, err
	}
	login, known, err := a.Logins.ByName(user)
	switch {
	case err != nil:
		return user, nil, err
	case owner.UID != 0 && !(known && owner.UID == login.UID):
		return user, nil, fmt.Errorf("%s: %w: owned by uid %d, expected root or %s", path, safefile.ErrUnsafe, owner.UID, user)
	}
	data, err = readOwn(path, owner, migrate.MaxOwn)
	return user, data, err
}

// inUsersfile reads a file for pam_oath. In one that is not root's, only lines
// of its owner count.
func inUsersfile(a *invocation.App, given string, options migrate.OathOptions) (people []found, err error) {
	path, err := filepath.Abs(given)
	if err != nil {
		return nil, err
	}
	owner, err := ownerOf(a, path)
	if err != nil {
		return nil, err
	}
	data, err := readOwn(path, owner, migrate.MaxShared)
	if err != nil {
		return nil, err
	}
	if err := tokenfile.ExpectNone(data, tokenfile.Usersfile); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, p := range migrate.Oath(data, a.Now(), options) {
		if owner.UID != 0 && p.User != owner.Name {
			p.Err = fmt.Errorf("%s: %w: it belongs to %s, and counts for %s alone", path, safefile.ErrUnsafe, owner.Name, owner.Name)
		}
		if err := mayShow(a, p.User); err != nil {
			p.User, p.Err = "", err
		}
		people = append(people, found{p, path})
	}
	return people, nil
}

// ownerOf says whose a file is. Who owns it may replace it meanwhile: it is read
// with the rights of that user, and checked again.
func ownerOf(a *invocation.App, path string) (invocation.Login, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return invocation.Login{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Uid == 0 {
		return invocation.Login{Name: "root"}, nil
	}
	login, known, err := a.Logins.ByUID(st.Uid)
	if err == nil && !known {
		err = fmt.Errorf("%s: %w: owned by uid %d, whom this machine does not know", path, safefile.ErrUnsafe, st.Uid)
	}
	return login, err
}

// readOwn reads a file that must belong to login.
func readOwn(path string, login invocation.Login, most int64) ([]byte, error) {
	return safefile.ReadOf(path, login.UID, login.GID, safefile.Rules{Forbidden: 0o077, MaxSize: most})
}

// placeOf says where in a file somebody was found.
func placeOf(p found) string {
	switch {
	case len(p.Lines) == 1:
		return fmt.Sprintf("%s:%d", p.file, p.Lines[0])
	case len(p.Lines) > 1:
		return fmt.Sprintf("%s:%d-%d", p.file, slices.Min(p.Lines), slices.Max(p.Lines))
	case len(p.Entries) == 1:
		return fmt.Sprintf("%s entry %d", p.file, p.Entries[0])
	case len(p.Entries) > 1:
		return fmt.Sprintf("%s entries %d to %d", p.file, slices.Min(p.Entries), slices.Max(p.Entries))
	}
	return p.file
}
