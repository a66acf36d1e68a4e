package etcdledger_test

import (
	"encoding/json"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
	"github.com/otpgate/otpgate/internal/ledger/ledgertest"
)

// An address of the suite is the settings, so that other processes can have them.
func openAddress(address string) (ledger.Store, error) {
	var settings etcdledger.Settings
	if err := json.Unmarshal([]byte(address), &settings); err != nil {
		return nil, err
	}
	return etcdledger.Open(settings)
}

func TestMain(m *testing.M) { os.Exit(ledgertest.Main(m, openAddress)) }

func TestOneMember(t *testing.T) { keepsThePromises(t, 1) }

func TestThreeMembers(t *testing.T) { keepsThePromises(t, 3) }

func keepsThePromises(t *testing.T, members int) {
	cluster := etcdtest.Start(t, members)
	settings := cluster.Settings(t, "server")
	var ledgers atomic.Int32
	ledgertest.Run(t, func(t *testing.T) string {
		fresh := settings
		fresh.Prefix = fmt.Sprintf("otpgate/%d/", ledgers.Add(1))
		address, err := json.Marshal(fresh)
		if err != nil {
			t.Fatal(err)
		}
		return string(address)
	}, openAddress)
}
