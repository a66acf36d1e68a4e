package ledger_test

import (
	"os"
	"testing"

	"github.com/otpgate/otpgate/internal/ledger/ledgertest"
)

func TestMain(m *testing.M) { os.Exit(ledgertest.Main(m, openFiles)) }
