package account_test

import (
	"os"
	"testing"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/account/accounttest"
	"github.com/otpgate/otpgate/internal/keyring"
)

func openFiles(address string, keys ...string) (account.Store, error) {
	dir, err := account.Place{Path: address, Keys: keyring.New(keys...)}.Open()
	if err != nil {
		return nil, err
	}
	return dir, nil
}

func TestMain(m *testing.M) { os.Exit(accounttest.Main(m, openFiles)) }

// Files keep the promises. They are in memory: the lock of the directory is waited for
// only so long, and how long a disk takes is not what is tested.
func TestStore(t *testing.T) {
	accounttest.Run(t, func(t *testing.T) string {
		dir, err := os.MkdirTemp("/dev/shm", "otpgate-account")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		return dir
	}, openFiles)
}
