package breakglass

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/pelletier/go-toml/v2"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/safefile"
)

// Save writes a person's file, whole or not at all, in the place of an earlier one.
// dir is made if its last part is missing. Codes of before that are not among these
// are worthless from then on; one that was used stays used.
func Save(dir string, codes Codes) error {
	if err := account.CheckName(codes.User); err != nil {
		return err
	}
	path := Path(dir, codes.User)
	text, err := toml.Marshal(codes)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	// What could not be read back would keep the person out.
	if _, err := Parse(path, codes.User, text); err != nil {
		return fmt.Errorf("not written: %w", err)
	}
	opened, err := create(dir)
	if err != nil {
		return err
	}
	defer opened.Close()
	return locked(opened, func() error {
		err := safefile.Replace(opened, codes.User+suffix, text, 0o600)
		if err == nil {
			return nil
		}
		if errors.As(err, new(safefile.PlacedError)) {
			err = fmt.Errorf("%w. So the codes of before are worthless: once the disk is in order, run this command again", err)
		}
		return err
	})
}

// Settle has the disk keep the files in dir. After a save that failed, one may be as it
// is to be, and not be there any more after a power failure.
func Settle(dir string) error {
	opened, err := safefile.OpenServiceDir(dir)
	if err != nil {
		return fmt.Errorf("directory of break-glass codes: %w", err)
	}
	defer opened.Close()
	return safefile.SyncDir(opened)
}

// Remove takes a person's file away. Its error wraps ErrNone if there is none.
func Remove(dir, user string) error {
	if err := account.CheckName(user); err != nil {
		return err
	}
	opened, err := safefile.OpenServiceDir(dir)
	if err == nil {
		defer opened.Close()
		err = locked(opened, func() error { return safefile.Remove(opened, user+suffix) })
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", Path(dir, user), ErrNone)
	}
	return err
}

// create opens dir, which is made if its last part is missing.
func create(dir string) (*safefile.File, error) {
	opened, err := safefile.OpenServiceDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err = safefile.MakeDir(dir, 0o700, safefile.Owner{}); err == nil {
			opened, err = safefile.OpenServiceDir(dir)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("directory of break-glass codes: %w", err)
	}
	return opened, nil
}

// locked does something with the directory, one at a time.
func locked(opened *safefile.File, do func() error) error {
	unlock, err := safefile.LockDir(opened)
	if err != nil {
		return fmt.Errorf("directory of break-glass codes: %w", err)
	}
	defer unlock()
	return do()
}
