package ledger_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/ledger"
)

// median runs do b.N times and reports the middle duration: a disk that is
// shared has outliers that make a mean useless.
func median(b *testing.B, do func(i int)) {
	b.Helper()
	times := make([]time.Duration, 0, b.N)
	for i := 0; b.Loop(); i++ {
		begin := time.Now()
		do(i)
		times = append(times, time.Since(begin))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Nanoseconds())/1000, "µs/median")
	b.ReportMetric(float64(times[len(times)*95/100].Nanoseconds())/1000, "µs/p95")
}

// login changes an entry as a code that is accepted does.
func login(i int) func(*ledger.Entry) error {
	return func(entry *ledger.Entry) error {
		entry.Used = map[string]ledger.Use{"4d2c1a": {Step: int64(i)}}
		entry.LastLogin = time.Unix(int64(1_700_000_000+i), 0)
		return nil
	}
}

// BenchmarkUsers shows that a login costs the same with one user as with many.
func BenchmarkUsers(b *testing.B) {
	for _, users := range []int{1, 100_000} {
		dir := b.TempDir()
		store := newStore(b, dir)
		update(b, store, alice, login(0))
		record, err := os.ReadFile(dir + "/users/alice")
		for i := 1; i < users && err == nil; i++ {
			err = os.WriteFile(fmt.Sprintf("%s/users/user%d", dir, i), record, 0o600)
		}
		if err != nil {
			b.Fatal(err)
		}
		unix.Sync()
		b.Run(fmt.Sprintf("View/%d", users), func(b *testing.B) {
			median(b, func(int) { wrong(b, store, alice) })
		})
		b.Run(fmt.Sprintf("Update/%d", users), func(b *testing.B) {
			median(b, func(i int) { update(b, store, alice, login(i+1)) })
		})
	}
}

// BenchmarkFirst is the first Update of each person.
func BenchmarkFirst(b *testing.B) {
	store := newStore(b, b.TempDir())
	median(b, func(i int) {
		update(b, store, ledger.Key{Kind: ledger.User, Name: fmt.Sprint("user", i)}, login(i))
	})
}

// withFile opens path, does what is to be done with it, and closes it.
func withFile(b *testing.B, path string, flags int, steps []func(fd int) error) {
	fd, err := unix.Open(path, flags|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	for _, step := range steps {
		if err == nil {
			err = step(fd)
		}
	}
	if err != nil {
		b.Fatal(err)
	}
	unix.Close(fd)
}

// BenchmarkFormats holds the ways to put 200 bytes on disk side by side,
// without locks, checks and encoding.
func BenchmarkFormats(b *testing.B) {
	dir := b.TempDir()
	parent, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(parent)
	page, slots := make([]byte, 4096), filepath.Join(dir, "slots")
	if err := os.WriteFile(slots, make([]byte, 8192), 0o600); err != nil {
		b.Fatal(err)
	}
	unix.Sync()

	with := func(path string, flags int, steps ...func(fd int) error) {
		withFile(b, path, flags, steps)
	}
	replace := func(fd int) error { return unix.Rename(dir+"/new", dir+"/record") }
	syncParent := func(int) error { return unix.Fsync(parent) }
	record := func(fd int) error { _, err := unix.Write(fd, page[:200]); return err }
	turn := 0
	slot := func(fd int) error {
		turn++
		page[turn%4096]++
		_, err := unix.Pwrite(fd, page, int64(turn%2)*4096)
		return err
	}
	slotThrough := func(fd int) error {
		turn++
		page[turn%4096]++
		_, err := unix.Pwritev2(fd, [][]byte{page}, int64(turn%2)*4096, unix.RWF_DSYNC)
		return err
	}
	formats := []struct {
		name string
		do   func()
	}{
		{"replace", func() { with(dir+"/new", unix.O_WRONLY|unix.O_TRUNC, record, unix.Fsync, replace, syncParent) }},
		{"replace-without-directory-sync", func() { with(dir+"/new", unix.O_WRONLY|unix.O_TRUNC, record, unix.Fsync, replace) }},
		{"append+fdatasync", func() { with(dir+"/log", unix.O_WRONLY|unix.O_APPEND, record, unix.Fdatasync) }},
		{"slots+fsync", func() { with(slots, unix.O_RDWR, slot, unix.Fsync) }},
		{"slots+fdatasync", func() { with(slots, unix.O_RDWR, slot, unix.Fdatasync) }},
		{"slots+O_DSYNC", func() { with(slots, unix.O_RDWR|unix.O_DSYNC, slot) }},
		{"slots+RWF_DSYNC", func() { with(slots, unix.O_RDWR, slotThrough) }},
		{"slots-without-sync", func() { with(slots, unix.O_RDWR, slot) }},
	}
	for _, format := range formats {
		b.Run(format.name, func(b *testing.B) { median(b, func(int) { format.do() }) })
	}
}
