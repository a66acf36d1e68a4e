package ledger_test

import (
	"os"
	"testing"

	"github.com/otpgate/otpgate/internal/ledger/ledgertest"
)

func TestMain(m *testing.M) {
	if dir, ok := os.LookupEnv(killVariable); ok {
		os.Exit(dieAtStep(dir))
	}
	os.Exit(ledgertest.Main(m, openFiles))
}
