// Package secretfiles reads all secret files of a configuration, each as a login would,
// and keeps what the doctor asks of them.
//
// The entry points are [Open] and [Read]. They promise to list a store once and to read
// each file once, several at a time, as there may be very many; that nothing refers to a
// secret when they are read; and that what is found does not depend on which file was read first.
package secretfiles

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/asking"
	"github.com/otpgate/otpgate/internal/doctor/keyfiles"
)

// Files are the secret files that a store has, or why they are not known.
type Files struct {
	Store account.Store // nil if it could not be opened
	// Names are the people who have one, and Strays what else is there, both in order.
	Names, Strays []string
	// Unopened says why the store could not be opened, Unlisted why what is in it could
	// not be listed.
	Unopened, Unlisted error
}

// Open lists what is in the store that open opens.
func Open(open func() (account.Store, error)) Files {
	store, err := open()
	if err != nil {
		return Files{Unopened: err}
	}
	f := Files{Store: store}
	f.Names, f.Strays, f.Unlisted = store.List()
	return f
}

// Close closes the store, if there is one.
func (f Files) Close() error {
	if f.Store == nil {
		return nil
	}
	return f.Store.Close()
}

// People are those who have secret files, by what these say.
type People struct {
	// Bad are those whose file a login could not use.
	Bad []Bad
	// Enrolled are those who have enrolled.
	Enrolled []asking.Person
	// Addresses is how many have a mail address, and Managing how many can get into
	// self-service.
	Addresses, Managing int
	// Keys has looked at everybody's secrets.
	Keys keyfiles.Exam
	// Waiting are people whose codes are to be sent, by the table of the configuration
	// that would say how and is not there.
	Waiting map[string][]string
}

// Bad is a file that a login could not use, and why.
type Bad struct {
	Name, Path string
	Err        error
}

// Meant is how many have enrolled or were meant to: their file is wrong.
func (p *People) Meant() int { return len(p.Bad) + len(p.Enrolled) }

// Read reads all files. place is what messages call where they are.
func Read(f Files, settings config.Config, place string) *People {
	p := &People{Keys: keyfiles.Exam{Settings: settings, Files: place}, Waiting: map[string][]string{}}
	if f.Store == nil || f.Unlisted != nil {
		return p
	}
	p.Enrolled = make([]asking.Person, 0, len(f.Names))
	loadAll(f.Store, f.Names, func(name string, person account.Person, err error) {
		if err != nil {
			p.Bad = append(p.Bad, Bad{name, f.Store.Path(name), err})
			return
		}
		p.add(settings, person)
	})
	return p
}

func (p *People) add(settings config.Config, person account.Person) {
	p.Keys.Add(person)
	if person.Email != "" {
		p.Addresses++
	}
	if !person.Enrolled() {
		return
	}
	if canManage(person) {
		p.Managing++
	}
	p.Enrolled = append(p.Enrolled, asking.Person{Name: person.User, Protocols: person.Protocols})
	p.wait(settings, person)
}

// canManage says whether somebody who has enrolled can get into self-service: by a link
// that is mailed, and a code that is not.
func canManage(person account.Person) bool {
	shows := func(f account.Factor) bool { return !f.Confirmed.IsZero() && !f.Kind.IsSent() }
	return person.Email != "" && (len(person.Recovery.Hashes) > 0 || slices.ContainsFunc(person.Factors, shows))
}

// wait looks at the confirmed factors of a person who counts. A text message goes by
// email where it can.
func (p *People) wait(settings config.Config, person account.Person) {
	for _, f := range person.Factors {
		switch {
		case f.Confirmed.IsZero():
		case f.Kind == account.Email && settings.Email == nil:
			p.Waiting["[email]"] = append(p.Waiting["[email]"], person.User)
		case f.Kind == account.SMS && settings.SMS == nil && (settings.Email == nil || !person.EmailInstead()):
			p.Waiting["[sms]"] = append(p.Waiting["[sms]"], person.User)
		}
	}
}

// loadAll reads secret files, several at once. take gets each in the order of the names.
func loadAll(store account.Store, names []string, take func(name string, person account.Person, err error)) {
	type loaded struct {
		person account.Person
		err    error
	}
	const atOnce = 4096 // so that not all secrets are in memory
	found := make([]loaded, min(atOnce, len(names)))
	for some := range slices.Chunk(names, atOnce) {
		var next atomic.Int64
		var work sync.WaitGroup
		for range runtime.GOMAXPROCS(0) {
			work.Go(func() {
				for i := next.Add(1) - 1; i < int64(len(some)); i = next.Add(1) - 1 {
					found[i].person, found[i].err = store.Load(some[i])
				}
			})
		}
		work.Wait()
		for i, name := range some {
			take(name, found[i].person, found[i].err)
		}
	}
}
