// Package breakglass keeps the codes by which people get into a machine while what
// decides its logins cannot be reached: USER.toml each in one directory, with the
// hashes of the codes.
//
// The entry points are [New], [Load] and [Codes.Verify]. The package promises that a
// file is believed only if its owner, mode and contents are right, that a code is
// good once on each machine and for one name alone, and that no error quotes a code
// or a hash. What was used up is in the machine's own ledger.
package breakglass

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/safefile"
	"github.com/otpgate/otpgate/internal/tomlfile"
)

// Count is how many codes are made at once.
const Count = 8

// Codes are those of one person, as the file has them.
type Codes struct {
	// Version is that of the format: 1.
	Version int `toml:"version"`
	// User is the login name, as in the file's name.
	User string `toml:"user"`
	// Made is when the codes were made.
	Made time.Time `toml:"made,omitzero"`
	// Hashes are the codes' hashes, as otpctl break-glass writes them. The codes
	// cannot be told from them.
	Hashes []string `toml:"hashes"`
}

// ErrNone is wrapped by the error for somebody who has no such codes.
var ErrNone = errors.New("no break-glass codes")

// ErrHidden is wrapped by the error where the process may not look into the directory, as
// one of an ordinary user's may not.
var ErrHidden = errors.New("break-glass codes are not for this user to look at")

// New makes a person's codes, and what to keep of them.
func New(user string, now time.Time) (codes []string, kept Codes) {
	kept = Codes{Version: 1, User: user, Made: now.UTC().Truncate(time.Second)}
	for range Count {
		code := factor.NewRecoveryCode()
		codes = append(codes, code)
		kept.Hashes = append(kept.Hashes, hash(user, code))
	}
	return codes, kept
}

// hash binds a code to its person: under another name it is worth nothing, and it is
// no recovery code either.
func hash(user, code string) string {
	sum := sha256.Sum256([]byte("otpgate break-glass\x00" + user + "\x00" + code))
	return hex.EncodeToString(sum[:])
}

// The form of a code is that of a recovery code: so many bytes, in groups of the
// characters with a dash between them.
const (
	Length     = factor.RecoveryLength
	Group      = factor.RecoveryGroup
	Characters = factor.RecoveryCharacters
)

// IsCode says whether text has the exact form of a code.
func IsCode(text string) bool { return factor.IsRecovery(text) }

// Key is what the machine's own ledger keeps of a person's codes under.
func Key(user string) ledger.Key { return ledger.Key{Kind: ledger.BreakGlass, Name: user} }

// Verify checks a code. A right one is marked as used in entry.
func (c Codes) Verify(code string, entry *ledger.Entry) factor.Outcome {
	if !IsCode(code) {
		return factor.Wrong
	}
	given, found := hash(c.User, code), 0
	for _, kept := range c.Hashes {
		found |= subtle.ConstantTimeCompare([]byte(kept), []byte(given))
	}
	switch {
	case found == 0:
		return factor.Wrong
	case slices.Contains(entry.UsedHashes, given):
		return factor.Used
	}
	entry.UsedHashes = c.remembered(append(entry.UsedHashes, given))
	return factor.Right
}

// mostUsed is how many used codes are remembered: an entry of the ledger has room for
// some 900, and one that is full keeps everybody out.
const mostUsed = 512

// remembered forgets the oldest of those that were used, beyond what is remembered. None
// of the codes that the person has is forgotten. Others are kept as long as they can be,
// as the same hashes may be installed again.
func (c Codes) remembered(used []string) []string {
	tooMany := len(used) - mostUsed
	return slices.DeleteFunc(used, func(kept string) bool {
		forget := tooMany > 0 && !slices.Contains(c.Hashes, kept)
		if forget {
			tooMany--
		}
		return forget
	})
}

// Left counts the codes that are still good on the machine with that entry.
func (c Codes) Left(entry ledger.Entry) int {
	left := 0
	for _, kept := range c.Hashes {
		if !slices.Contains(entry.UsedHashes, kept) {
			left++
		}
	}
	return left
}

// suffix is what the files' names end in.
const suffix = ".toml"

// rules of a file are those of a secret file.
var rules = safefile.Rules{Forbidden: 0o077, MaxSize: 64 << 10}

// Path is where a person's file is.
func Path(dir, user string) string { return filepath.Join(dir, user+suffix) }

// Load reads the file of the person with this login name. Its error wraps ErrNone if
// there is none.
func Load(dir, user string) (Codes, error) {
	if err := account.CheckName(user); err != nil {
		return Codes{}, err
	}
	opened, err := safefile.OpenServiceDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Codes{}, fmt.Errorf("%s: %w", Path(dir, user), ErrNone)
	case errors.Is(err, fs.ErrPermission):
		return Codes{}, fmt.Errorf("%w: %w", ErrHidden, err)
	case err != nil:
		return Codes{}, fmt.Errorf("directory of break-glass codes: %w", err)
	}
	defer opened.Close()
	data, err := safefile.ReadIn(opened, user+suffix, rules)
	if errors.Is(err, fs.ErrNotExist) {
		return Codes{}, fmt.Errorf("%s: %w", Path(dir, user), ErrNone)
	}
	if err != nil {
		return Codes{}, fmt.Errorf("break-glass codes: %w", err)
	}
	return Parse(Path(dir, user), user, data)
}

// Parse reads data, the contents of the file at path, which must be that of the
// person with this login name.
func Parse(path, user string, data []byte) (Codes, error) {
	var codes Codes
	if err := tomlfile.Decode(path, data, &codes); err != nil {
		return Codes{}, err
	}
	if problem, key := codes.check(user); problem != "" {
		return Codes{}, tomlfile.At(path, data, problem, key)
	}
	return codes, nil
}

// maxHashes bounds what is compared for each code that somebody types.
const maxHashes = 64

func (c Codes) check(user string) (problem, key string) {
	switch {
	case c.Version != 1:
		return "expected 1", "version"
	case c.User != user:
		return fmt.Sprintf("expected %q, as the file is called", user), "user"
	case len(c.Hashes) == 0:
		return "expected hashes, as otpctl break-glass writes them; take the file away if there are to be none", "hashes"
	case len(c.Hashes) > maxHashes:
		return fmt.Sprintf("expected at most %d", maxHashes), "hashes"
	}
	if err := CheckHashes(c.Hashes); err != nil {
		return err.Error(), "hashes"
	}
	return "", ""
}

// CheckHashes refuses what are no hashes of codes, or some of them twice.
func CheckHashes(hashes []string) error {
	for i, kept := range hashes {
		switch {
		case len(kept) != 2*sha256.Size || strings.Trim(kept, "0123456789abcdef") != "":
			return fmt.Errorf("number %d is no hash: expected %d digits of base 16, as otpctl break-glass --json prints them", i+1, 2*sha256.Size)
		case slices.Contains(hashes[:i], kept):
			return fmt.Errorf("number %d is there twice", i+1)
		}
	}
	return nil
}

// Names lists those who have a file in dir, in order. No directory is nobody. Its error
// wraps ErrHidden as that of Load.
func Names(dir string) ([]string, error) {
	opened, err := safefile.OpenServiceDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w: %w", ErrHidden, err)
	}
	if err != nil {
		return nil, fmt.Errorf("directory of break-glass codes: %w", err)
	}
	defer opened.Close()
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("directory of break-glass codes: %w", err)
	}
	var names []string
	for _, entry := range entries {
		// What an editor leaves there is nobody's.
		if name, ok := strings.CutSuffix(entry.Name(), suffix); ok && account.CheckName(name) == nil {
			names = append(names, name)
		}
	}
	return names, nil
}
