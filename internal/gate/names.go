package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
	"github.com/otpgate/otpgate/internal/nss"
)

// System asks the machine's name services (NSS): files, LDAP, SSSD and others.
type System struct {
	// Limit bounds what is asked in the name of one host, nil if nothing does.
	Limit *nss.Limit
}

// Canonical returns the system's own spelling of a login name, if it has one.
func (s System) Canonical(name string) (spelled string, known bool, err error) {
	account, found, err := s.Limit.UserByName(name)
	if err != nil {
		return "", false, err
	}
	if !found {
		return name, false, nil
	}
	return account.Name, true, nil
}

// Others returns the names of the uid that a name has, the first one first.
func (s System) Others(name string) ([]string, error) {
	account, found, err := s.Limit.UserByName(name)
	if err != nil || !found {
		return nil, err
	}
	return s.Limit.NamesOf(account.UID)
}

// InGroup says whether the person is a member, by the main group too. The password
// stage knew the person: if nobody else does, a name service did not answer, and
// that is doubt.
func (s System) InGroup(name, group string) (bool, error) { return s.Limit.IsMember(name, group) }

// HasGroup says whether there is such a group.
func (System) HasGroup(group string) (bool, error) {
	_, found, err := nss.GroupByName(group)
	return found, err
}

// ClientNames are what a client's system calls the person who logs in there. What
// groups there are, and who is in them, this machine's system says, as the policy is
// this machine's.
type ClientNames struct {
	// User is the name that was given, Names what the client's system calls the
	// person, its own spelling first; there are none if it does not know the name.
	User  string
	Names []string
	// Groups is asked about groups.
	Groups Names
}

// Canonical implements [Names].
func (c ClientNames) Canonical(user string) (name string, known bool, err error) {
	if len(c.Names) == 0 || user != c.User && !slices.Contains(c.Names, user) {
		return user, false, nil
	}
	return c.Names[0], true, nil
}

// Others implements [Names].
func (c ClientNames) Others(string) ([]string, error) { return c.Names, nil }

// InGroup implements [Names].
func (c ClientNames) InGroup(user, group string) (bool, error) {
	return c.Groups.InGroup(user, group)
}

// find loads the person's file, under the given name, the system's own, or one
// that the person's uid has besides, the first before others. Without the second
// look a person could step round the code by writing the name in another case,
// without the third by another name of the same account.
func (g *Gate) find(user string) (account.Person, bool, error) {
	person, found, err := g.findLike(user, g.likeName)
	if err == nil && !found && g.Config.Ledger != nil && g.Config.Ledger.People {
		return g.findSpelled(person)
	}
	return person, found, err
}

// findSpelled is for somebody without a file whose servers have their people in one place.
// The name service of another server may write the name in another case, under which the
// person enrolled there. It is the same person if this machine's takes it for the same.
func (g *Gate) findSpelled(nobody account.Person) (person account.Person, found bool, err error) {
	files, can := g.Accounts.(liker)
	if !can {
		return nobody, false, nil
	}
	names, err := files.Like(nobody.User)
	if err != nil {
		return account.Person{}, false, ofFiles(err)
	}
	var same []string
	for _, name := range names {
		spelled, known, err := g.Names.Canonical(name)
		if err != nil {
			return account.Person{}, false, blame{"name-service", err}
		}
		if known && spelled == nobody.User {
			same = append(same, name)
		}
	}
	switch len(same) {
	case 0:
		return nobody, false, nil
	case 1:
		if person, err = g.Accounts.Load(same[0]); err != nil {
			return account.Person{}, false, ofFiles(err)
		}
		return person, true, nil
	}
	return account.Person{}, false, blame{"secret-file", fmt.Errorf("user %q: there are secret files of %q, which are the same person by this machine's name service; remove all but one", nobody.User, same)}
}

// findSoon is find for whoever has not proven anything yet: what it costs does not
// grow with the number of people, and so tells nothing. Of the names that differ
// in their cases it tries the common ones alone.
func (g *Gate) findSoon(user string) (account.Person, bool, error) {
	return g.findLike(user, g.commonName)
}

func (g *Gate) findLike(user string, like func(user string) (string, error)) (person account.Person, found bool, err error) {
	person, err = g.Accounts.Load(user)
	if err == nil {
		return person, true, nil
	}
	if !errors.Is(err, account.ErrNotFound) {
		return account.Person{}, false, ofFiles(err)
	}
	canonical, known, err := g.Names.Canonical(user)
	if err != nil {
		return account.Person{}, false, blame{"name-service", err}
	}
	if !known {
		if canonical, err = like(user); err != nil {
			return account.Person{}, false, ofFiles(err)
		}
	}
	names := []string{canonical}
	if known {
		others, err := g.Names.Others(canonical)
		if err != nil {
			return account.Person{}, false, blame{"name-service", err}
		}
		names = append(names, others...)
	}
	for _, name := range names {
		// Nobody can have enrolled under a name that is no file name.
		if name == user || account.CheckName(name) != nil && name != canonical {
			continue
		}
		person, err = g.Accounts.Load(name)
		if err == nil {
			return person, true, nil
		}
		if !errors.Is(err, account.ErrNotFound) {
			return account.Person{}, false, ofFiles(err)
		}
	}
	return account.Person{User: canonical}, false, nil
}

// errElsewhere is about whoever has not enrolled in this server's files, and so may have
// enrolled on another server.
var errElsewhere = errors.New("people are in etcd, and ledger.people of the configuration is not true: who has not enrolled in the files of this server may have enrolled on another one; set ledger.people = true as there, and run otpctl ledger move --people")

// checkElsewhere fails where it is known that other servers have people where this one does not
// look for them. Where that is not known the login goes on, and the log says so: else an outage of
// etcd would keep out those whom no server ever asked for a code. It is not for what comes before
// the password: there the time that it takes would tell who has enrolled.
func (g *Gate) checkElsewhere(ctx context.Context, request Request) error {
	if l := g.Config.Ledger; l == nil || l.People {
		return nil
	}
	if g.Elsewhere == nil {
		return blame{"internal", errors.New("nothing can say whether other servers have people in etcd")}
	}
	elsewhere, err := g.Elsewhere(ctx)
	var unknown casledger.NotKnownError
	switch {
	case errors.As(err, &unknown):
		if !unknown.Again {
			g.note(request, "not-known", "ledger", fmt.Sprintf("%v; whoever has not enrolled in the files of this server goes on as if nobody were there", err))
		}
	case err != nil:
		return blame{"ledger", fmt.Errorf("find out whether other servers have people in etcd: %w", err)}
	case elsewhere:
		return blame{"ledger", errElsewhere}
	}
	return nil
}

// ofFiles blames the ledger for secret files that are in it, where that cannot be reached
// or counts nowhere.
func ofFiles(err error) error {
	if errors.Is(err, ledger.ErrUnreachable) || ledger.CountsNowhere(err) {
		return blame{"ledger", err}
	}
	return blame{"secret-file", err}
}

// likeName is the name of the one secret file that a name differs from in its
// cases alone, or the name itself. It is for people whom only the password stage
// knows, by LDAP or a data base, and those mostly take any case.
func (g *Gate) likeName(user string) (string, error) {
	files, can := g.Accounts.(liker)
	if !can {
		return user, nil
	}
	names, err := files.Like(user)
	if err != nil {
		return user, err
	}
	return oneLike(user, names)
}

func oneLike(user string, names []string) (string, error) {
	switch len(names) {
	case 0:
		return user, nil
	case 1:
		return names[0], nil
	}
	return "", fmt.Errorf("user %q: the system does not know it, and there are secret files of %q, which differ in their cases; remove all but one", user, names)
}

// commonName is likeName for names in small letters, in capitals, and in small
// letters with one capital in front.
func (g *Gate) commonName(user string) (string, error) {
	lower := strings.ToLower(user)
	_, first := utf8.DecodeRuneInString(lower)
	var names []string
	for _, name := range []string{lower, strings.ToUpper(user), strings.ToUpper(lower[:first]) + lower[first:]} {
		if name == user || slices.Contains(names, name) || account.CheckName(name) != nil {
			continue
		}
		_, err := g.Accounts.Load(name)
		if errors.Is(err, account.ErrNotFound) {
			continue
		}
		if err != nil {
			return "", err
		}
		names = append(names, name)
	}
	return oneLike(user, names)
}

// findAgain is find for somebody found before.
func (g *Gate) findAgain(user string, known account.Person) (account.Person, error) {
	files, can := g.Accounts.(reloader)
	if !can || known.User != user {
		person, _, err := g.find(user)
		return person, err
	}
	person, err := files.Reload(known)
	if errors.Is(err, account.ErrNotFound) {
		person, _, err = g.find(user)
		return person, err
	}
	if err != nil {
		return account.Person{}, ofFiles(err)
	}
	return person, nil
}
