package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
)

const (
	ledgerdFile = "otpgate-ledgerd"

	sharedLabel = "otpgate res., three etcd"
	// sharedSite is that of single logins, throngSite that of logins in parallel.
	sharedSite, throngSite = "shared", "throng-shared"
)

// mostShared is what a login may take whose ledger is in three members of etcd, in ms.
const mostShared = 8.0

// sharedLedger is an etcd of three members, all on this machine's disk.
type sharedLedger struct {
	starter
	cluster *etcdtest.Cluster
	server  etcdledger.Settings
}

// starter has package etcdtest, which is for tests, start programs for a bench: what
// would fail a test is a panic, which newSharedLedger takes.
type starter struct {
	testing.TB // nil: whatever is not below is not called
	ends       []func()
}

type startFailed struct{ error }

// Helper implements [testing.TB].
func (s *starter) Helper() {}

// Cleanup implements [testing.TB].
func (s *starter) Cleanup(end func()) { s.ends = append(s.ends, end) }

// Fatal implements [testing.TB].
func (s *starter) Fatal(why ...any) { panic(startFailed{errors.New(fmt.Sprint(why...))}) }

// Fatalf implements [testing.TB].
func (s *starter) Fatalf(format string, values ...any) {
	panic(startFailed{fmt.Errorf(format, values...)})
}

// end ends what was started, the last first.
func (s *starter) end() {
	for len(s.ends) > 0 {
		last := len(s.ends) - 1
		s.ends[last]()
		s.ends = s.ends[:last]
	}
}

// newSharedLedger starts it; what it gives is to be ended also if it failed.
func newSharedLedger() (l *sharedLedger, err error) {
	l = &sharedLedger{}
	dir := filepath.Join(sites, sharedSite, "etcd")
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
		return l, err
	}
	defer func() {
		if failed, ok := recover().(startFailed); ok {
			err = fmt.Errorf("start etcd: %w", failed.error)
		}
	}()
	l.cluster = etcdtest.Run(&l.starter, etcdtest.Config{
		Members: 3, Dir: dir,
		// Like the host: before its neighbours.
		Before: func(int) []string { return []string{"nice", "-n", "-15"} },
	})
	l.server = l.cluster.Settings(&l.starter, "server")
	return l, nil
}

func ledgerSocketOf(site string) string { return filepath.Join(sockets, site+"-ledger") }

// site makes a site of n people whose ledger is in it.
func (l *sharedLedger) site(name string, n int, m model) (*side, error) {
	users, err := otpgateSite(name, realCore, filepath.Join(sites, name, "state"))
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(configOf(name))
	if err != nil {
		return nil, err
	}
	table := fmt.Sprintf("[ledger]\netcd = ['%s']\nca_file = %q\ncertificate_file = %q\nkey_file = %q\nsocket = %q\nprefix = \"%s/\"\ntimeout = \"1m\"\n",
		strings.Join(l.cluster.URLs(), "', '"), l.server.CAFile, l.server.CertificateFile, l.server.KeyFile, ledgerSocketOf(name), name)
	if err := write(configOf(name), string(text)+table); err != nil {
		return nil, err
	}
	through, err := residentService(name)
	if err != nil {
		return nil, err
	}
	s := &side{label: sharedLabel, every: 1, shared: true}
	for i := range n {
		user := crowdName(i)
		if err := write(filepath.Join(users, user+".toml"), m.of(user)); err != nil {
			return nil, err
		}
		s.people = append(s.people, &person{service: through, name: user})
	}
	return s, nil
}

// use has all people of a site have logged in before.
func (l *sharedLedger) use(name string, s *side) error {
	settings := l.server
	settings.Prefix = name + "/"
	store, err := etcdledger.Open(settings)
	if err != nil {
		return err
	}
	defer store.Close()
	makers := 4 * runtime.NumCPU()
	errs := make([]error, makers)
	var work sync.WaitGroup
	for maker := range makers {
		work.Go(func() {
			for i := maker; i < len(s.people) && errs[maker] == nil; i += makers {
				errs[maker] = store.Update(context.Background(), ledger.UserKey(s.people[i].name), hasLoggedIn(modelName))
			}
		})
	}
	work.Wait()
	return errors.Join(errs...)
}

// ledgerd is the command that reaches the ledger of a site.
func ledgerd(site string) *exec.Cmd {
	return exec.Command("nice", "-n", "-15", disk+"/"+ledgerdFile, "--config", configOf(site))
}

// reportShared has the ledger in etcd beside the one in files.
func (b *bench) reportShared(w io.Writer) {
	const line = "%-42s %8s %8s %8s %15s\n"
	fmt.Fprintln(w)
	fmt.Fprintf(w, line, "the ledger in files, and in etcd", "p50 ms", "p95 ms", "p99 ms", "first login p50")
	for _, s := range []*side{b.resident[0], b.shared, b.people} {
		fmt.Fprintf(w, line, s.label, ms(quantile(s.later, 0.5)), ms(quantile(s.later, 0.95)), ms(quantile(s.later, 0.99)), ms(quantile(s.first, 0.5)))
	}
	goal(w, "with three members of etcd on this disk, p50 in ms", float64(quantile(b.shared.later, 0.5).Microseconds())/1000, mostShared)
}
