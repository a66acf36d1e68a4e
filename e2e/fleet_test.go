package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/e2e/network"
	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
)

// wholeRun is a test's own until that has started something, which then stays until all
// tests have ended.
type wholeRun struct {
	testing.TB
	ends []func()
	// over is set once all tests have ended, and failed if something was wrong, then or
	// before.
	over, failed bool
}

func (r *wholeRun) Cleanup(end func()) { r.ends = append(r.ends, end) }

func (r *wholeRun) Helper() {
	if !r.over {
		r.TB.Helper()
	}
}

// Deadline is that of the test, for who waits in testwait.Until: a fleet that is never
// ready would hold its lock until go test ends all.
func (r *wholeRun) Deadline() (deadline time.Time, ok bool) {
	if limited, has := r.TB.(interface{ Deadline() (time.Time, bool) }); has {
		return limited.Deadline()
	}
	return time.Time{}, false
}

// Failed says whether anything was wrong with what is here for all tests. The test may have
// failed for a reason of its own.
func (r *wholeRun) Failed() bool { return r.failed }

func (r *wholeRun) Errorf(format string, args ...any) {
	r.failed = true
	if !r.over {
		r.TB.Helper()
		r.TB.Errorf(format, args...)
		return
	}
	fmt.Fprintf(os.Stderr, "FAIL: "+format+"\n", args...)
}

func (r *wholeRun) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	if !r.over {
		r.TB.FailNow()
	}
	runtime.Goexit()
}

// endFleet ends the fleet, if there is one, and says whether all went well.
func endFleet() bool { return theFleet.run == nil || theFleet.run.end() }

// end ends what was started, the last first, and says whether all went well.
func (r *wholeRun) end() bool {
	r.over = true
	for _, end := range slices.Backward(r.ends) {
		done := make(chan struct{})
		go func() { // Fatalf ends it
			defer close(done)
			end()
		}()
		<-done
	}
	r.ends = nil
	return !r.failed
}

// theFleet is the one of all tests. The first that needs it starts it.
var theFleet struct {
	sync.Mutex
	run *wholeRun
	*machine.Fleet
	etcd *etcdtest.Cluster
}

// fleetOf is for a test that needs the fleet.
func fleetOf(t machine.T) *machine.Fleet {
	t.Helper()
	theFleet.Lock()
	defer theFleet.Unlock()
	if theFleet.run == nil {
		theFleet.run = &wholeRun{TB: t.(testing.TB)}
		if whole := machine.NewFleet(theFleet.run, startFleetLedger); !theFleet.run.failed {
			theFleet.Fleet = whole
			theFleet.run.Cleanup(keepRegisters)
		}
	}
	if theFleet.Fleet == nil {
		t.Fatalf("the fleet has not started, see the first test that needed it")
	}
	return theFleet.Fleet
}

// startFleetLedger runs etcd with one member: that a majority decides is what TestPartition
// is for.
func startFleetLedger(place *network.Namespace) func(server string) string {
	theFleet.etcd = etcdtest.Run(theFleet.run, etcdtest.Config{
		Members: 1, Hosts: []string{place.Address}, Before: func(int) []string { return place.Before() },
	})
	return func(server string) string { return ledgerTable(theFleet.run, theFleet.etcd, server, "1m") }
}

// etcdRegisters are the values of the fleet's ledger in etcd, by their keys.
func etcdRegisters(t testing.TB) map[string]string {
	t.Helper()
	registers := map[string]string{}
	said := strings.NewReader(theFleet.etcd.Etcdctl(t, "get", "", "--prefix", "--write-out", "json"))
	// Warnings are JSON too, with other keys.
	for decoder := json.NewDecoder(said); decoder.More(); {
		var answer struct{ Kvs []struct{ Key, Value []byte } }
		if err := decoder.Decode(&answer); err != nil {
			t.Fatalf("what etcdctl says: %v", err)
		}
		for _, register := range answer.Kvs {
			registers[string(register.Key)] = string(register.Value)
		}
	}
	return registers
}

// keepRegisters has the ledger in etcd searched for secrets, as those in files are: etcd
// and its data are gone by then.
func keepRegisters() {
	for register, value := range etcdRegisters(theFleet.run) {
		machine.KeepOutput("etcd's "+register, value)
		machine.KeepOutput("the name of etcd's "+register, strings.ReplaceAll(register, "/", " "))
	}
}

// ledgerTable is the table [ledger] of a server with a certificate in that name, without
// its socket. Logins wait that long for the ledger.
func ledgerTable(t testing.TB, cluster *etcdtest.Cluster, name, timeout string) string {
	t.Helper()
	settings := cluster.Settings(t, name)
	return fmt.Sprintf("[ledger]\netcd = ['%s']\nca_file = %q\ncertificate_file = %q\nkey_file = %q\ntimeout = %q\n",
		strings.Join(cluster.URLs(), "', '"), settings.CAFile, settings.CertificateFile, settings.KeyFile, timeout)
}

// Whoever waits on behalf of all tests waits as long as the test may that began.
func TestWholeRunHasDeadline(t *testing.T) {
	t.Parallel()
	want, limited := t.Deadline()
	var waits testing.TB = &wholeRun{TB: t}
	asked, can := waits.(interface{ Deadline() (time.Time, bool) })
	if !can {
		t.Fatal("it has no deadline")
	}
	if got, has := asked.Deadline(); has != limited || !got.Equal(want) {
		t.Errorf("expected %v %v, found %v %v", want, limited, got, has)
	}
}

// unheard is a test whose errors are not its own.
type unheard struct{ testing.TB }

func (unheard) Errorf(string, ...any) {}

// After an error nobody is given a fleet of which a part is missing.
func TestWholeRunKeepsErrors(t *testing.T) {
	t.Parallel()
	run := &wholeRun{TB: unheard{t}}
	if run.Failed() {
		t.Error("it has failed from the start")
	}
	run.Errorf("ip: no such device")
	if !run.Failed() || run.end() {
		t.Error("an error while something was started is forgotten")
	}
}
