// Package keyfiles examines the keys that encrypt secret files, and what is encrypted
// with them.
//
// The entry point is [Exam]: add everybody, then Examine. It tells nothing of a key
// but its name.
package keyfiles

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/keyring"
)

// Exam looks at the keys of one configuration.
type Exam struct {
	// Settings have the paths as they are reached from here.
	Settings config.Config
	// Files is what messages call the place of the secret files.
	Files string

	// keyless are people with a secret whose key was not found, and unreadable those with
	// one that no key helps: it was changed, or planted. plain are those with one that is
	// not encrypted.
	keyless, unreadable problem
	plain               []string
}

// problem is people who have the same, and what is said of the first of them.
type problem struct {
	users []string
	first error
}

// add adds a secret of user's, once a person.
func (p *problem) add(user string, err error) {
	if n := len(p.users); n > 0 && p.users[n-1] == user {
		return
	}
	if p.users = append(p.users, user); p.first == nil {
		p.first = err
	}
}

// Add looks at the secrets of a person.
func (e *Exam) Add(person account.Person) {
	for _, f := range person.Factors {
		switch err := f.Unreadable(); {
		case errors.Is(err, keyring.ErrNoKey):
			e.keyless.add(person.User, err)
		case err != nil:
			e.unreadable.add(person.User, err)
		}
	}
	for _, f := range person.Factors {
		if !f.Kind.IsSent() && !f.IsEncrypted() {
			e.plain = append(e.plain, person.User)
			return
		}
	}
}

// Examine returns what it finds.
func (e *Exam) Examine() (found []finding.Finding) {
	broken := false
	for i, path := range e.Settings.Secrets.Keys {
		_, spare, err := keyring.ReadFile(path)
		if err != nil {
			broken = true
			found = append(found, e.badKey(path, i == 0, err))
			continue
		}
		found = append(found, e.spare(path, i == 0, spare)...)
		found = append(found, e.beside(path)...)
	}
	if !broken { // or that was said of the file
		found = append(found, e.cannotBeRead(e.keyless)...)
	}
	found = append(found, e.cannotBeRead(e.unreadable)...)
	if n := len(e.plain); n > 0 && len(e.Settings.Secrets.Keys) > 0 && !e.Settings.Secrets.Required {
		found = append(found, finding.Finding{Severity: finding.Warning, ID: "secrets-plain", File: e.Files,
			What:    "Secrets of " + some(e.plain) + " are not encrypted, and secrets.keys names a key.",
			Follows: "Who reads their files, or a backup of them, can compute their codes.", Fix: "otpctl secrets encrypt"})
	}
	return found
}

func (e *Exam) cannotBeRead(p problem) []finding.Finding {
	if len(p.users) == 0 {
		return nil
	}
	return []finding.Finding{{Severity: finding.Error, ID: "secret-unreadable", File: e.Files,
		What:    fmt.Sprintf("Secrets of %s cannot be read: %s.", some(p.users), p.first),
		Follows: "Codes of their apps and tokens end in a fault. Recovery codes and codes that are sent work.",
		Fix:     "otpctl secrets status says which and why; see docs/secrets.md."}}
}

// badKey says what is wrong with a key's file, and whom it concerns.
func (e *Exam) badKey(path string, first bool, err error) finding.Finding {
	f := finding.Finding{Severity: finding.Warning, ID: "key-file", File: path, What: "It has no key that counts: " + strings.TrimPrefix(err.Error(), path+": ") + ".",
		Follows: "What is encrypted with it cannot be read.", Fix: "It must belong to its directory's owner, with mode 0400. If others could read it: otpctl secrets init makes another key, otpctl secrets rotate changes to it."}
	if errors.Is(err, fs.ErrNotExist) {
		f.What = "There is no such file, and secrets.keys names it."
		f.Fix = "Bring it back from the spare copy: otpctl secrets open SPARE " + path + " --identity FILE. If a unit puts it there, see why that failed."
	}
	switch {
	case len(e.keyless.users) > 0:
		f.Severity = finding.Error
		f.Follows = "Codes of " + some(e.keyless.users) + " end in a fault. Recovery codes and codes that are sent work."
	case first:
		f.Severity = finding.Error
		f.Follows = "Nobody can enroll: secrets cannot be encrypted."
	}
	return f
}

// spare says who would have to enroll again if the file were lost. first is of the key
// that encrypts: it does not before that was thought of.
func (e *Exam) spare(path string, first bool, spare keyring.Spare) []finding.Finding {
	f := finding.Finding{Severity: finding.Warning, ID: "key-without-spare", File: path, What: "The file says nothing of a spare copy of the key.",
		Follows: "If it is lost, everybody has to enroll again.",
		Fix:     `otpctl secrets init makes a key and a spare copy, otpctl secrets rotate changes to it. If there is a copy elsewhere, say so with a line in the file: "# There is a spare copy elsewhere."`}
	switch {
	case spare == keyring.SpareMade:
		return nil
	case spare == keyring.SpareNone:
		f.Severity, f.What = finding.Note, "The key was made without a spare copy."
	case first:
		f.Severity, f.Follows = finding.Error, "Nobody can enroll: it encrypts nothing until that is decided."
	}
	return []finding.Finding{f}
}

// beside finds a key that goes wherever the files go that it encrypts.
func (e *Exam) beside(path string) []finding.Finding {
	users := e.Settings.Paths.Users
	f := finding.Finding{Severity: finding.Warning, ID: "key-beside-files", File: path,
		Follows: "Who gets the files gets the key: the encryption protects nothing there.",
		Fix:     "Move it to a directory of its own, such as /var/lib/otpgate-keys, name that in secrets.keys, and see what has copies of both."}
	repository := repositoryOf(path)
	switch {
	case within(path, filepath.Dir(users)):
		f.What = "The key is in the directory of the files that it encrypts, or in one beside it."
	case repository != "" && repository == repositoryOf(users):
		f.What = "The key and the files that it encrypts are in one repository, that of " + repository + "."
	default:
		return nil
	}
	return []finding.Finding{f}
}

func within(path, dir string) bool {
	below, err := filepath.Rel(dir, path)
	return err == nil && below != ".." && !strings.HasPrefix(below, "../")
}

// repositoryOf is the nearest directory above path that has a repository, "" if none
// has.
func repositoryOf(path string) string {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		for _, name := range []string{".git", ".hg", ".bzr", "_darcs", ".svn"} {
			if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
				return dir
			}
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}

// some names the first of several people.
func some(users []string) string {
	if more := len(users) - 1; more > 0 {
		return fmt.Sprintf("%s and %d more", users[0], more)
	}
	return users[0]
}
