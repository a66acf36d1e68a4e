package ledger_test

import (
	"testing"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/ledgertest"
)

func TestFilesKeepThePromises(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T) string { return t.TempDir() + "/state" }, openFiles)
}

func openFiles(dir string) (ledger.Store, error) { return ledger.OpenFiles(dir) }
