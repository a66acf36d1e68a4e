package fronttest

import (
	"flag"
	"os"
	"sync"
	"testing"
)

// pair is one build of the front on both paths: forking a core, and asking a
// verifier.
type pair struct{ forked, resident func() *Kit }

var kits struct {
	plain, sanitized, faulty, faultySanitized pair
}

func TestMain(m *testing.M) {
	dir := mustMake("", "fronttest")
	// No core lies beside the front of an ordinary resident kit: no login
	// there may have come from a fork. The faulty ones may.
	lazily := func(options Options, beside bool) pair {
		forked := sync.OnceValue(func() *Kit {
			return must(build(mustMake(dir, "kit"), options))
		})
		return pair{forked, sync.OnceValue(func() *Kit {
			return must(forked().resident(mustMake(dir, "kit"), beside))
		})}
	}
	kits.plain = lazily(Options{}, false)
	kits.sanitized = lazily(Options{CFlags: sanitizers}, false)
	kits.faulty = lazily(faultOptions(), true)
	kits.faultySanitized = lazily(faultOptions(sanitizers...), true)
	// Most of the time these tests wait for a child.
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	status := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(status)
}

func must(kit *Kit, err error) *Kit {
	if err != nil {
		panic(err)
	}
	return kit
}

// mustMake makes a directory that hosts reach which are not root.
func mustMake(dir, name string) string {
	own, err := os.MkdirTemp(dir, name)
	if err != nil {
		panic(err)
	}
	if err := os.Chmod(own, 0o755); err != nil {
		panic(err)
	}
	return own
}

// A report ends the process: pamhost's fails the test at once, and the child's
// has no descriptor to be written to but makes the login fail.
var sanitizers = []string{"-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"}

// eachKit runs test with the front as shipped and with the sanitizers in it,
// on both paths: what holds for a login does so however it is decided.
func eachKit(t *testing.T, test func(*testing.T, *Kit)) {
	t.Helper()
	for name, kit := range map[string]func() *Kit{
		"shipped forked": kits.plain.forked, "shipped resident": kits.plain.resident,
		"sanitized forked": kits.sanitized.forked, "sanitized resident": kits.sanitized.resident,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, kit())
		})
	}
}
