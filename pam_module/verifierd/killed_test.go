package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/pam_module/front/fronttest"
)

// core is the real one, built once, with the flags of the build, whose compiled packages
// then serve here too.
var core = sync.OnceValue(func() string {
	path := filepath.Join(filepath.Dir(verifierd), "pam_otpgate_core.so")
	if output, err := exec.Command("go", "build", "-trimpath", "-buildmode=c-shared", "-ldflags", "-s -w", "-o", path, "../core").CombinedOutput(); err != nil {
		panic(fmt.Sprintf("%v\n%s", err, output))
	}
	return path
})

// realKit is the front with the real core beside it, asking the place's
// verifier first.
func realKit(tb testing.TB, p *installation) *fronttest.Kit {
	tb.Helper()
	kit := fronttest.Build(tb, fronttest.Options{})
	// Opened so that go test takes no old result when only that has changed.
	if _, err := os.ReadFile(filepath.Join("..", "core", "main.go")); err != nil {
		tb.Fatal(err)
	}
	// In the place of the kit's own core.
	if err := errors.Join(os.Remove(kit.Core), os.Link(core(), kit.Core)); err != nil {
		tb.Fatal(err)
	}
	kit.Verifier = p.socket
	kit.Stack(tb, "login", "config="+p.config+" timeout=300") // so that no login ends by that
	return kit
}

// A host that is not root can read no secret. The verifier answers for its own
// user, and nobody gets in as another where a core would have to be forked.
func TestHostOfAUser(t *testing.T) {
	const daemonUID = "1"
	p := newInstallation(t, "", wide)
	people := map[string]*person{"daemon": p.enroll(t, "daemon"), "root": p.enroll(t, "root")}
	kit := realKit(t, p)
	for _, dir := range []string{kit.Dir, filepath.Dir(kit.Dir)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	login := func(uid, user string, want bool) {
		t.Helper()
		outcome := kit.Login(t, "--service", "login", "--uid", uid, "--user", user, people[user].code(t))
		if (outcome.Result == "PAM_SUCCESS") != want || outcome.Result == "PAM_IGNORE" || len(outcome.Changed) > 0 {
			t.Errorf("uid %s as %s: %+v", uid, user, outcome)
		}
	}
	login("0", "daemon", true) // by fork
	login(daemonUID, "daemon", false)
	p.run(t)
	login(daemonUID, "daemon", true)
	login(daemonUID, "root", false)
	login("0", "root", true)
	p.configure(t, wide+"[verifier]\nallow = [\"daemon\"]\n")
	login(daemonUID, "root", true)
}

// host is a PAM host that logs people in one after the other.
type host struct {
	in  io.WriteCloser
	out *bufio.Scanner
}

func startHost(t *testing.T, kit *fronttest.Kit) *host {
	t.Helper()
	command := exec.Command(kit.Host, "--confdir", kit.Conf, "--service", "login", "--stdin", "--time")
	command.Env = []string{}
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = command.Wait() })
	// Sixteen take all the time there is, and a verifier that is started again
	// would be last in the queue.
	if err := unix.Setpriority(unix.PRIO_PROCESS, command.Process.Pid, 10); err != nil {
		t.Fatal(err)
	}
	return &host{in, bufio.NewScanner(out)}
}

func (h *host) login(user, answer string) (result string, err error) {
	if _, err := fmt.Fprintf(h.in, "%s\t%s\n", user, answer); err != nil {
		return "", err
	}
	if !h.out.Scan() {
		return "", errors.Join(errors.New("the host ended"), h.out.Err())
	}
	fields := strings.Fields(h.out.Text())
	if len(fields) != 3 {
		return "", fmt.Errorf("the host says %q", h.out.Text())
	}
	return fields[2], nil
}

// killing is a verifier that is killed again and again, and those who log in
// meanwhile.
type killing struct {
	*installation
	// alive is held for writing while the verifier is killed and started.
	alive                           sync.RWMutex
	over                            atomic.Bool
	logins, cut, burned, in, person atomic.Int64
}

// TestKilled kills the verifier at any moment of sixteen hosts' logins: 500
// times in its long variant. Whoever finds none has a core forked.
func TestKilled(t *testing.T) {
	kills := 50
	if *soak {
		kills = 500
	}
	k := &killing{installation: newInstallation(t, memoryDisk, wide)}
	kit := realKit(t, k.installation)
	var hosts sync.WaitGroup
	for range 16 {
		host := startHost(t, kit)
		hosts.Go(func() { k.loop(t, host) })
	}
	process := k.run(t)
	done := 0
	// Chance may have it that the first ones hit nothing.
	for ; done < kills || (!k.hit(kills) && done < 20*kills); done++ {
		time.Sleep(time.Duration(rand.IntN(40)) * time.Millisecond)
		k.alive.Lock()
		_ = process.Process.Kill()
		_ = process.wait(t)
		k.alive.Unlock()
		// Without one for a while; those who must not be cut off wait.
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
		k.alive.Lock()
		process = k.run(t)
		k.alive.Unlock()
	}
	k.over.Store(true)
	hosts.Wait()
	t.Logf("%d kills in %d logins of %d people: %d let in, %d right codes cut off, %d of those used up", done, k.logins.Load(),
		k.person.Load(), k.in.Load(), k.cut.Load(), k.burned.Load())
	if !k.hit(kills) {
		t.Error("the kills hit nothing")
	}
	k.ledgerIsWhole(t)
}

// hit says whether so many kills came in the middle of logins that mattered.
func (k *killing) hit(kills int) bool {
	return k.cut.Load() > 0 && k.in.Load() >= int64(kills)
}

// loop logs in one person after the other until the kills are over.
func (k *killing) loop(t *testing.T, h *host) {
	for !k.over.Load() {
		who := k.enroll(t, fmt.Sprintf("user%d", k.person.Add(1)))
		for who.next < codes-12 && !k.over.Load() {
			if !k.try(t, h, who) {
				return
			}
		}
	}
}

// try is a round of logins with one code: right, used and wrong. It says
// whether the host is still there.
func (k *killing) try(t *testing.T, h *host, who *person) bool {
	entered := 0
	code := who.code(t)
	login := func(answer string) string {
		result, err := h.login(who.name, answer)
		if err != nil {
			t.Error(err)
		}
		k.logins.Add(1)
		if result == "PAM_SUCCESS" {
			k.in.Add(1)
		}
		if result == "PAM_IGNORE" {
			t.Errorf("%s was not asked", who.name)
		}
		return result
	}
	result := login(fmt.Sprintf("@sleep:%d:%s", rand.IntN(6), code))
	if result == "PAM_SUCCESS" {
		entered++
	} else {
		k.cut.Add(1)
		entered += k.again(t, who, code, login)
	}
	for range 2 {
		if login(code) == "PAM_SUCCESS" {
			entered++
		}
		if login(who.wrong(t)) == "PAM_SUCCESS" {
			t.Errorf("%s got in with a wrong code", who.name)
		}
	}
	if entered > 1 || result == "" {
		t.Errorf("%s got in %d times with one code", who.name, entered)
	}
	return result != ""
}

// again is for somebody who was cut off: while the verifier is left alone, the
// same code is good unless its use was written down, and then the next one is.
// It returns how often the same code was.
func (k *killing) again(t *testing.T, who *person, code string, login func(string) string) int {
	k.alive.RLock()
	defer k.alive.RUnlock()
	if login(code) == "PAM_SUCCESS" {
		return 1
	}
	k.burned.Add(1)
	if result := login(who.code(t)); result != "PAM_SUCCESS" {
		t.Errorf("%s: a right code was refused with %s while nobody was killed", who.name, result)
	}
	return 0
}

func (k *killing) ledgerIsWhole(t *testing.T) {
	t.Helper()
	store, err := ledger.OpenFiles(filepath.Join(k.dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	records, err := os.ReadDir(filepath.Join(k.dir, "state", "users"))
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, record := range records {
		if !strings.HasPrefix(record.Name(), "user") {
			t.Logf("left behind: %s", record.Name())
			continue
		}
		if _, err := store.View(context.Background(), ledger.Key{Kind: ledger.User, Name: record.Name()}); err != nil {
			t.Errorf("%s: %v", record.Name(), err)
		}
		read++
	}
	if read == 0 {
		t.Error("the ledger is empty")
	}
}
