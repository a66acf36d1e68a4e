package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/otpgate/otpgate/internal/ledger/etcdledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
	"github.com/otpgate/otpgate/internal/wire"
)

var manyPeople = flag.Int("people", 1000, "how many people have entries in BenchmarkManyPeople")

// BenchmarkManyPeople gives many people the entry in etcd that a real login leaves, and the
// file of the ledger that it leaves too. Then it says how large etcd is, what programs
// have in memory, and what a login takes with both, beside the same with nobody else.
// With -people 1000000 it does so for a million: then the members' files too are where
// temporary files are, on a disk, and the ledger's files take 8 GB there.
func BenchmarkManyPeople(b *testing.B) {
	if *manyPeople < measuredPeople {
		b.Fatalf("-people %d, expected %d or more", *manyPeople, measuredPeople)
	}
	config := etcdtest.Config{Members: 3, Options: []string{"--quota-backend-bytes=8589934592"}}
	if *manyPeople > 1000 {
		config.Dir = b.TempDir()
	}
	cluster := etcdtest.Run(b, config)
	shared, files := newVerifier(b, cluster, "server", "1m"), newFiles(b)
	// What the program has in memory is to be its own.
	_ = shared.cmd.Process.Kill()
	<-shared.ended
	shared.program = filepath.Join(built, "ledgerd")
	shared.start(b)
	l := &ledgers{shared: shared, files: files, next: map[string]uint64{}}
	l.measure(b, "nobody else")
	value, record := l.entries(b, cluster)
	begin := b.Elapsed()
	fillEtcd(b, cluster.Settings(b, "server"), value, *manyPeople)
	b.Logf("%d entries of %d bytes stored in etcd in %v", *manyPeople, len(value), (b.Elapsed() - begin).Round(time.Second))
	// An hour of history is kept: who logs in then has two entries.
	busy := *manyPeople / 10
	fillEtcd(b, cluster.Settings(b, "server"), value, busy)
	fillFiles(b, files.dir+"/state/users", record, *manyPeople)
	describe(b, cluster, shared, "before any of them logs in")
	l.measure(b, fmt.Sprintf("%d people", *manyPeople))
	begin = b.Elapsed()
	if stdout, stderr, status := shared.otpctl(b, "ledger", "check"); status != 0 || !strings.HasPrefix(stdout, "All can be used: ") {
		b.Errorf("status %d: %s%s", status, stdout, stderr)
	}
	b.Logf("otpctl ledger check: %v", (b.Elapsed() - begin).Round(time.Second))
	describe(b, cluster, shared, "after otpctl ledger check")
}

// newFiles is a server whose ledger is files.
func newFiles(t testing.TB) *verifier {
	t.Helper()
	programs, err := buildPrograms()
	if err != nil {
		t.Fatal(err)
	}
	v := newSite(t, &machine{config: filepath.Join(t.TempDir(), "otpgate.toml")})
	v.configure(t, "")
	v.run(t, programs+"/verifierd")
	return v
}

// ledgers are a server with the ledger in etcd and one with files, and the next counters
// of those who log in.
type ledgers struct {
	shared, files *verifier
	next          map[string]uint64
}

// measuredPeople log in; they are spread among the others.
const measuredPeople = 20

// measure has them log in at both servers in turns, and says what it takes.
func (l *ledgers) measure(b *testing.B, with string) {
	b.Helper()
	rounds := 3
	if *manyPeople > 1000 {
		rounds = 30
	}
	times := map[*verifier][]time.Duration{}
	for n := range rounds * measuredPeople {
		name := personName(n % measuredPeople * (*manyPeople / measuredPeople))
		if n < measuredPeople && l.next[name] == 0 {
			l.shared.enrollToken(b, name)
			l.files.enrollToken(b, name)
		}
		code, err := hotp.GenerateCodeCustom(secret, l.next[name], hotp.ValidateOpts{Digits: otp.DigitsEight, Algorithm: otp.AlgorithmSHA1})
		if err != nil {
			b.Fatal(err)
		}
		l.next[name]++
		for _, v := range []*verifier{l.shared, l.files} {
			begin := b.Elapsed()
			verdict, told, err := v.login(name, code)
			took := b.Elapsed() - begin
			if err != nil || verdict != wire.Accept {
				b.Fatalf("%s: %v, %q, %v", name, verdict, told, err)
			}
			if n >= measuredPeople { // the first login of each makes files
				times[v] = append(times[v], took)
			}
		}
	}
	for _, side := range []struct {
		what string
		of   *verifier
	}{{"etcd", l.shared}, {"files", l.files}} {
		all := times[side.of]
		slices.Sort(all)
		b.Logf("%-16s ledger in %-5s: %d logins, p50 %.2f ms, p99 %.2f ms", with, side.what, len(all),
			float64(all[len(all)/2].Microseconds())/1000, float64(all[len(all)*99/100].Microseconds())/1000)
	}
}

func personName(n int) string { return fmt.Sprintf("user%07d", n) }

// entries are what a login by an app leaves: the value in etcd, and the ledger's file.
func (l *ledgers) entries(t testing.TB, cluster *etcdtest.Cluster) (value, record []byte) {
	t.Helper()
	for _, v := range []*verifier{l.shared, l.files} {
		v.enroll(t, "model")
		if verdict, told, err := v.login("model", code(t, 0)); err != nil || verdict != wire.Accept {
			t.Fatalf("%v, %q, %v", verdict, told, err)
		}
	}
	registers, err := etcdledger.NewCluster(cluster.Settings(t, "server"))
	if err != nil {
		t.Fatal(err)
	}
	defer registers.Close()
	now, err := registers.Get(t.Context(), "users/model")
	if err != nil {
		t.Fatal(err)
	}
	if record, err = os.ReadFile(l.files.dir + "/state/users/model"); err != nil {
		t.Fatal(err)
	}
	return now.Value, record
}

// mostOfTransaction is how much etcd puts at once.
const mostOfTransaction = 128

// fillEtcd gives that many people the entry, each with a mark of its own, as casledger
// has it behind the first byte. Those who have one keep it.
func fillEtcd(t testing.TB, settings etcdledger.Settings, value []byte, people int) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(settings.CertificateFile, settings.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := os.ReadFile(settings.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	client, err := clientv3.New(clientv3.Config{Endpoints: settings.Endpoints, Logger: zap.NewNop(), TLS: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	inParallel(t, (people+mostOfTransaction-1)/mostOfTransaction, func(batch int) error {
		var puts []clientv3.Op
		for n := batch * mostOfTransaction; n < min(people, (batch+1)*mostOfTransaction); n++ {
			if n%(*manyPeople/measuredPeople) == 0 && n/(*manyPeople/measuredPeople) < measuredPeople {
				continue // whoever logs in has an entry already
			}
			own := slices.Clone(value)
			_, _ = rand.Read(own[1:17])
			puts = append(puts, clientv3.OpPut(settings.Prefix+"users/"+personName(n), string(own)))
		}
		_, err := client.Txn(context.Background()).Then(puts...).Commit()
		return err
	})
}

// fillFiles gives that many people the file. Those who have one keep it.
func fillFiles(t testing.TB, dir string, record []byte, people int) {
	t.Helper()
	inParallel(t, people, func(n int) error {
		file, err := os.OpenFile(filepath.Join(dir, personName(n)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if errors.Is(err, os.ErrExist) {
			return nil
		}
		if err == nil {
			_, err = file.Write(record)
			err = errors.Join(err, file.Close())
		}
		return err
	})
}

// inParallel does something for each number below count.
func inParallel(t testing.TB, count int, do func(n int) error) {
	t.Helper()
	workers := 2 * runtime.NumCPU()
	errs := make([]error, workers)
	var all sync.WaitGroup
	for worker := range workers {
		all.Go(func() {
			for n := worker; n < count && errs[worker] == nil; n += workers {
				errs[worker] = do(n)
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// describe says how large etcd is, and what programs have in memory.
func describe(t testing.TB, cluster *etcdtest.Cluster, v *verifier, when string) {
	t.Helper()
	registers, err := etcdledger.NewCluster(cluster.Settings(t, "server"))
	if err != nil {
		t.Fatal(err)
	}
	defer registers.Close()
	status, err := registers.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for n, member := range status.Members {
		t.Logf("%s: member %d: file %d MiB, %d MiB in use, memory %s, leader %v", when, n+1, member.Bytes>>20, member.InUse>>20, memoryOf(t, cluster.Members[n].Pid()), member.Leader)
	}
	t.Logf("%s: otpgate-ledgerd: memory %s", when, memoryOf(t, v.cmd.Process.Pid))
}

// memoryOf is what a process has in memory: the program's own, and with what is mapped
// of files, as etcd's of its data.
func memoryOf(t testing.TB, pid int) string {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for line := range strings.Lines(string(status)) {
		if key, value, _ := strings.Cut(line, ":"); key == "RssAnon" || key == "VmRSS" {
			var kB int
			if _, err := fmt.Sscan(value, &kB); err != nil {
				t.Fatal(err)
			}
			parts = append(parts, fmt.Sprintf("%s %d MiB", key, kB>>10))
		}
	}
	return strings.Join(parts, ", ")
}
