package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
)

// Backup is what is kept of one person: the secret file as it is, and of the
// ledger what was used and when. Remembered logins, codes on their way and wrong
// codes are of the day and are not in it.
type Backup struct {
	User  string
	Text  []byte
	Entry ledger.Entry
}

// Backup reads what is to be kept of a person. The file comes first: what is
// used between the two is used in the backup.
func (g People) Backup(ctx context.Context, user string) (Backup, error) {
	dir, err := gate.PlaceOf(g.Config).Open()
	if err != nil {
		return Backup{}, err
	}
	defer dir.Close()
	text, err := dir.Text(user)
	if err != nil {
		return Backup{}, err
	}
	entry, err := g.Ledger.View(ctx, ledger.UserKey(user))
	if err != nil {
		return Backup{}, err
	}
	kept := ledger.Entry{Used: entry.Used, UsedHashes: entry.UsedHashes, LastLogin: entry.LastLogin, Grace: entry.Grace, PeerGraces: entry.PeerGraces}
	return Backup{user, text, kept}, nil
}

// Restore says how a backup comes back.
type Restore struct {
	Backup
	// Replace lets it take the place of a secret file that is there.
	Replace bool
	// Recovery brings the recovery codes back too. Which of them were used after
	// the backup only the ledger knows, and it may be gone.
	Recovery bool
}

// Restored is what came back.
type Restored struct {
	Person account.Person
	// RecoveryLeft counts the recovery codes that are good.
	RecoveryLeft int
	// Withheld counts those in the backup that did not come back.
	Withheld int
	// Forgotten are tokens of which the ledger here knows nothing: their codes
	// that were used after the backup are good again.
	Forgotten []string
}

// Restore writes a person from a backup, all or nothing. What the ledger here
// knows to be used stays used, what the backup knows as well, and of apps
// whatever could have been used until now. With dry it only looks.
func (g People) Restore(ctx context.Context, r Restore, dry bool) (done Restored, err error) {
	if err := account.CheckName(r.User); err != nil {
		return Restored{}, err
	}
	if dry {
		done.Person, done.Withheld, err = r.person(g.Accounts, g.Config)
		done.RecoveryLeft = factor.RecoveryLeft(done.Person, r.Entry)
		return done, err
	}
	dir, err := gate.PlaceOf(g.Config).Create()
	if err != nil {
		return Restored{}, err
	}
	defer dir.Close()
	err = dir.Change(r.User, func(person *account.Person) error {
		withheld := 0
		if *person, withheld, err = r.person(dir, g.Config); err != nil {
			return err
		}
		return g.Ledger.Update(ctx, ledger.UserKey(person.User), func(entry *ledger.Entry) error {
			done = Restored{Person: *person, Withheld: withheld, Forgotten: forgotten(*person, *entry)}
			g.spendRestored(r, *person, entry)
			done.RecoveryLeft = factor.RecoveryLeft(*person, *entry)
			return nil
		})
	})
	return done, err
}

// person is whom the backup holds, and how many recovery codes were left out.
func (r Restore) person(files gate.Accounts, settings config.Config) (found account.Person, withheld int, err error) {
	switch known, err := files.Load(r.User); {
	case err == nil && !known.Enabled:
		// The backup may be of before somebody shut the person out.
		return account.Person{}, 0, fmt.Errorf("user %q: %w, and it is disabled", r.User, ErrEnrolled)
	case err == nil && !r.Replace:
		return account.Person{}, 0, fmt.Errorf("user %q: %w", r.User, ErrEnrolled)
	case err != nil && !errors.Is(err, account.ErrNotFound) && !errors.Is(err, fs.ErrNotExist):
		return account.Person{}, 0, err
	}
	person, err := gate.PlaceOf(settings).Parse("users/"+r.User+".toml in the backup", r.User, r.Text)
	if err == nil {
		// What was used of a device is known by its secret alone.
		err = person.Unreadable()
	}
	if err == nil {
		// What could not be written must not be marked as used either.
		err = gate.PlaceOf(settings).CanKeep(person)
	}
	if !r.Recovery {
		withheld = len(person.Recovery.Hashes)
		person.Recovery = account.Recovery{}
	}
	return person, withheld, err
}

// forgotten names the person's tokens of which entry knows nothing.
func forgotten(person account.Person, entry ledger.Entry) (ids []string) {
	for _, f := range person.Factors {
		if _, known := entry.Used[factor.Fingerprint(person.User, f)]; f.Kind == account.HOTP && !known {
			ids = append(ids, f.ID)
		}
	}
	return ids
}

// spendRestored notes all that may have been used.
func (g People) spendRestored(r Restore, person account.Person, entry *ledger.Entry) {
	factor.MergeUsed(r.Entry, entry)
	for _, f := range person.Factors {
		if f.Kind != account.TOTP {
			continue
		}
		totp := factor.TOTP{User: person.User, Factor: f}
		use := entry.Used[totp.Fingerprint()]
		use.Step = totp.Step(g.Now()) + int64(max(0, use.Drift)+g.Config.TOTP.Window)
		factor.MarkUsed(person.User, f, use, entry)
	}
	if r.Entry.LastLogin.After(entry.LastLogin) {
		entry.LastLogin = r.Entry.LastLogin
	}
	moveGraces(r.Entry, entry)
}
