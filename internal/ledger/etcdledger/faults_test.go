package etcdledger_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
	"github.com/otpgate/otpgate/internal/testwait"
)

var errUsed = errors.New("used")

// login uses up a code.
func login(store ledger.Store, name string, step int64) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return store.Update(ctx, ledger.UserKey(name), use(step))
}

func use(step int64) func(*ledger.Entry) error {
	return func(entry *ledger.Entry) error {
		if entry.Used["phone"].Step >= step {
			return errUsed
		}
		entry.Used = map[string]ledger.Use{"phone": {Step: step}}
		return nil
	}
}

func open(t *testing.T, settings etcdledger.Settings) *casledger.Store {
	t.Helper()
	store, err := etcdledger.Open(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// Whichever byte of etcd's answers is the last one that comes, a code is used up
// once, and a right one is taken.
func TestCutAnswers(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	proxy := etcdtest.NewProxy(t, cluster.Members[0])
	settings := cluster.Settings(t, "server")
	settings.Endpoints = []string{proxy.URL}
	store, direct := open(t, settings), open(t, cluster.Settings(t, "other"))
	// What a login on a connection that is there gets back.
	if err := login(store, "alice", 1); err != nil {
		t.Fatal(err)
	}
	before := proxy.Passed()
	if err := login(store, "alice", 2); err != nil {
		t.Fatal(err)
	}
	answers := proxy.Passed() - before
	for cut := range answers + 1 {
		step, cuts := int64(cut+3), proxy.Cuts()
		proxy.CutAfter(cut)
		if err := login(store, "alice", step); err != nil {
			t.Errorf("cut after %d of %d bytes: %v", cut, answers, err)
		}
		if cut < answers/2 && proxy.Cuts() == cuts {
			t.Errorf("nothing was cut after %d bytes", cut)
		}
		if err := login(direct, "alice", step); err != errUsed {
			t.Errorf("cut after %d bytes: the same code again: %v", cut, err)
		}
	}
}

// Fifty simultaneous logins with one code at three servers: one gets in, each time.
func TestOneCodeAtThreeServers(t *testing.T) {
	cluster := etcdtest.Start(t, 3)
	var servers []ledger.Store
	for n := range 3 {
		settings := cluster.Settings(t, fmt.Sprintf("server%d", n))
		// Each server asks another member first.
		settings.Endpoints = append(settings.Endpoints[n:], settings.Endpoints[:n]...)
		servers = append(servers, open(t, settings))
	}
	for round := range 20 {
		var won atomic.Int32
		var all sync.WaitGroup
		for n := range 50 {
			all.Go(func() {
				switch err := login(servers[n%len(servers)], "alice", int64(round+1)); err {
				case nil:
					won.Add(1)
				case errUsed:
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Fatalf("round %d: %d logins got in, expected one", round, won.Load())
		}
	}
}

// crowd are people who log in all the time, each with a code after the other.
type crowd struct {
	end chan struct{}
	all sync.WaitGroup
	in  [4]atomic.Int64
}

// startCrowd has each person log in at each server in turn, with the next code and
// then with the same one again, which nobody may take.
func startCrowd(t *testing.T, servers []ledger.Store) *crowd {
	c := &crowd{end: make(chan struct{})}
	for n := range c.in {
		c.all.Go(func() {
			name := fmt.Sprintf("person%d", n)
			for step := int64(1); ; step++ {
				select {
				case <-c.end:
					return
				default:
				}
				switch err := login(servers[int(step)%len(servers)], name, step); err {
				case nil:
					c.in[n].Add(1)
				case errUsed:
					// Nobody else changes that entry.
					t.Errorf("%s's code %d is refused", name, step)
				default:
					t.Errorf("%s's code %d: %v", name, step, err)
				}
				if err := login(servers[int(step+1)%len(servers)], name, step); err != errUsed {
					t.Errorf("%s's code %d again: %v", name, step, err)
				}
			}
		})
	}
	return c
}

// wait returns once everybody has got in some times more.
func (c *crowd) wait(t *testing.T) {
	t.Helper()
	for n := range c.in {
		target := c.in[n].Load() + 3
		testwait.Until(t, fmt.Sprintf("person%d gets in", n), func() bool { return c.in[n].Load() >= target })
	}
}

func (c *crowd) stop() {
	close(c.end)
	c.all.Wait()
}

func threeServers(t *testing.T, cluster *etcdtest.Cluster) []ledger.Store {
	t.Helper()
	var servers []ledger.Store
	for n := range 3 {
		settings := cluster.Settings(t, fmt.Sprintf("server%d", n))
		settings.Limits.Try = time.Second // as it is in use: a member that hangs is left
		settings.Endpoints = append(settings.Endpoints[n:], settings.Endpoints[:n]...)
		servers = append(servers, open(t, settings))
	}
	return servers
}

// The leader is killed, again and again, while people log in.
func TestLeaderKilled(t *testing.T) {
	t.Parallel()
	cluster := etcdtest.Start(t, 3)
	people := startCrowd(t, threeServers(t, cluster))
	defer people.stop()
	people.wait(t)
	for range 3 {
		leader := cluster.Leader(t)
		leader.Kill()
		people.wait(t)
		leader.Start()
		cluster.Ready(t)
		people.wait(t)
	}
}

// A member hangs: first one that follows, then the leader. Logins go on at the others.
func TestMemberHangs(t *testing.T) {
	t.Parallel()
	cluster := etcdtest.Start(t, 3)
	people := startCrowd(t, threeServers(t, cluster))
	defer people.stop()
	people.wait(t)
	for _, leads := range []bool{false, true} {
		leader := cluster.Leader(t)
		for _, member := range cluster.Members {
			if (member == leader) != leads {
				continue
			}
			member.Stop()
			people.wait(t)
			member.Continue()
			cluster.Ready(t)
			people.wait(t)
			break
		}
	}
}

// Without a majority nobody gets in, and the error says why. Once it is back, used is
// used.
func TestNoMajority(t *testing.T) {
	t.Parallel()
	cluster := etcdtest.Start(t, 3)
	settings := cluster.Settings(t, "server")
	store := open(t, settings)
	if err := login(store, "alice", 1); err != nil {
		t.Fatal(err)
	}
	for _, member := range cluster.Members[:2] {
		member.Kill()
	}
	var says []string
	for _, url := range cluster.URLs() {
		says = append(says, url+": ")
	}
	for _, err := range wantDenied(t, settings, 2, says...) {
		if !errors.Is(err, casledger.ErrUnavailable) {
			t.Errorf("without a majority: %v", err)
		}
	}
	for _, member := range cluster.Members[:2] {
		member.Start()
	}
	cluster.Ready(t)
	if err := login(store, "alice", 1); err != errUsed {
		t.Errorf("the code from before: %v", err)
	}
	if err := login(store, "alice", 3); err != nil {
		t.Error(err)
	}
}
