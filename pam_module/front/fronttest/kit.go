// Package fronttest builds the PAM front, puts a core beside it and drives
// both under the real libpam with pamhost (pam_module/front/test/pamhost).
//
// The entry points are [Build] and [Kit.Login]. A Kit lives in a directory of
// its own and changes nothing outside of it: the stacks are read with
// pam_start_confdir, and a /dev/log is one in a private mount namespace.
package fronttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/testprogram"
)

// Kit is a built front with everything that a login through it needs.
type Kit struct {
	Dir   string   // holds all of it
	Front string   // pam_otpgate.so
	Core  string   // pam_otpgate_core.so beside it; may be replaced
	Host  string   // pamhost
	Items string   // a module that sets PAM_AUTHTOK and PAM_USER
	Conf  string   // the stacks
	Env   []string // pamhost's environment; none by default
	// Verifier is the front's argument verifier= in every stack: "off" at
	// first, so that no verifier of this machine is asked.
	Verifier string
	alive    io.Closer // kept from being collected, and closed, while the verifier is wanted
}

// Source is the directory of the front's sources, looked for from where go test runs the
// tests of a package: a program that was built with -trimpath does not know where its own are.
var Source = sync.OnceValue(func() string {
	const front = "pam_module/front"
	dir, err := os.Getwd()
	if err != nil {
		panic(fmt.Sprintf("look for %s: %v", front, err))
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, front, "build.sh")); err == nil {
			return filepath.Join(at, front)
		}
		if at == filepath.Dir(at) {
			panic(fmt.Sprintf("expected %s in %s or above it", front, dir))
		}
	}
})

// Options choose how a Kit is built. The zero value builds the front as it is
// shipped, beside a core that does what the user name or protocol= says.
type Options struct {
	CFlags []string // for the front, pamhost and the fake core
	Front  []string // more for the front alone
}

// Build compiles a Kit. It fails the test if that cannot be done.
func Build(tb testing.TB, options Options) *Kit {
	tb.Helper()
	dir := tb.TempDir()
	// Hosts that are not root must reach it too.
	for _, path := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(path, 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	kit, err := build(dir, options)
	if err != nil {
		tb.Fatal(err)
	}
	return kit
}

func build(dir string, options Options) (*Kit, error) {
	kit := &Kit{
		Dir: dir, Front: filepath.Join(dir, "pam_otpgate.so"), Core: filepath.Join(dir, "pam_otpgate_core.so"),
		Host: filepath.Join(dir, "pamhost"), Items: filepath.Join(dir, "items.so"), Conf: filepath.Join(dir, "pam.d"),
		Verifier: "off",
	}
	if err := os.Mkdir(kit.Conf, 0o755); err != nil {
		return nil, err
	}
	// Without a default, libpam itself complains to the log.
	if err := os.WriteFile(filepath.Join(kit.Conf, "other"), []byte("auth required pam_deny.so\n"), 0o644); err != nil {
		return nil, err
	}
	test := filepath.Join(Source(), "test")
	core, err := filepath.Glob(filepath.Join(test, "fakecore", "*.c"))
	if err != nil {
		return nil, err
	}
	host, err := filepath.Glob(filepath.Join(test, "pamhost", "*.c"))
	if err != nil {
		return nil, err
	}
	flags := append([]string{"-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1", "-g"}, options.CFlags...)
	shared := append([]string{"-shared", "-fPIC"}, flags...)
	gcc := []string{"gcc", "-o"}
	for path, how := range map[string]source{
		kit.Front: {before: []string{filepath.Join(Source(), "build.sh")}, cflags: strings.Join(append(append([]string{}, options.CFlags...), options.Front...), " ")},
		kit.Host: {before: gcc, after: slices.Concat(flags, []string{"-Wl,--export-dynamic-symbol=clock_gettime,--export-dynamic-symbol=syscall",
			filepath.Join(test, "pamclock.c")}, host, []string{"-lpam", "-lpthread", "-ldl"})},
		filepath.Join(dir, fakeVerifier): {before: gcc, after: append(flags, filepath.Join(test, "fakeverifier.c"), "-ldl")},
		kit.Core:                         {before: gcc, after: slices.Concat(shared, []string{"-fvisibility=hidden"}, core)},
		kit.Items:                        {before: gcc, after: append(shared, filepath.Join(test, "items.c"), "-lpam")},
	} {
		data, err := compiled(how)
		if err != nil {
			return nil, err
		}
		// A file of the kit's own: tests put others into its place, and write into it.
		if err := testprogram.Write(path, data); err != nil {
			return nil, err
		}
	}
	return kit, nil
}

// ignoreMark is what a Stack returns for the front's PAM_IGNORE, which libpam
// never passes on.
const ignoreMark = "PAM_AUTHTOK_EXPIRED"

// Stack writes a service whose result is the front's own, for every kind of
// call. before are arguments for the items module ahead of the front, as
// authtok=secret; none leaves it out.
func (k *Kit) Stack(tb testing.TB, service, arguments string, before ...string) {
	tb.Helper()
	var stack strings.Builder
	if len(before) > 0 {
		fmt.Fprintf(&stack, "auth required %s %s\n", k.Items, strings.Join(before, " "))
	}
	for _, kind := range []string{"auth", "account", "session", "password"} {
		fmt.Fprintf(&stack, "%s [success=1 ignore=ignore default=die] %s\n", kind, k.Line(arguments))
		fmt.Fprintf(&stack, "%s [default=die] %s return=27\n", kind, k.Items)
		fmt.Fprintf(&stack, "%s required %s\n", kind, k.Items)
	}
	k.Raw(tb, service, stack.String())
}

// Line is the front with its arguments, as a line in pam.d ends.
func (k *Kit) Line(arguments string) string {
	if k.Verifier != "" {
		arguments += " verifier=" + k.Verifier
	}
	return k.Front + " " + arguments
}

// Raw writes a service file as it is.
func (k *Kit) Raw(tb testing.TB, service, stack string) {
	tb.Helper()
	if err := os.WriteFile(filepath.Join(k.Conf, service), []byte(stack), 0o644); err != nil {
		tb.Fatal(err)
	}
}

// Prompt is one message that reached the conversation.
type Prompt struct {
	Style int    `json:"style"` // 1 echo off, 2 echo on, 3 error, 4 info, as in libpam
	Text  string `json:"text"`
}

func (p Prompt) String() string { return fmt.Sprintf("%d:%.200q", p.Style, p.Text) }

// Outcome is what pamhost says of one login.
type Outcome struct {
	Result       string   `json:"result"`
	Acct         string   `json:"acct"`
	Setcred      string   `json:"setcred"`
	OpenSession  string   `json:"open_session"`
	CloseSession string   `json:"close_session"`
	Chauthtok    string   `json:"chauthtok"`
	Prompts      []Prompt `json:"prompts"`
	Changed      []string `json:"changed"` // facts about the host before (-) and after (+)
	Sigchld      int      `json:"sigchld"`
	OwnChild     int      `json:"own_child"`
	Stdio        string   `json:"stdio"`
	AuthNS       int64    `json:"auth_ns"`
	TotalNS      int64    `json:"total_ns"`
}

// asked counts the prompts that want an answer.
func (o Outcome) asked() int {
	count := 0
	for _, prompt := range o.Prompts {
		if prompt.Style == 1 || prompt.Style == 2 {
			count++
		}
	}
	return count
}

// limit is far above what any logins in a test take.
const limit = 5 * time.Minute

// How many seconds the front's clock takes for each of its own. Without another word it
// is slow: a verifier has two seconds to take a login, a core one to load and one to
// leave, which a busy machine may need. realClock is for logins that are to run out of time,
// and for those that come to the same end without it.
const (
	slowClock = "10"
	realClock = "1"
)

// Logins runs pamhost with its arguments and returns an Outcome a login. Unless they say
// otherwise, the front's clock is slow.
func (k *Kit) Logins(tb testing.TB, arguments ...string) []Outcome {
	tb.Helper()
	outcomes, err := k.run(k.Env, arguments)
	if err != nil {
		tb.Fatal(err)
	}
	return outcomes
}

// Login is Logins for one login.
func (k *Kit) Login(tb testing.TB, arguments ...string) Outcome {
	tb.Helper()
	outcomes := k.Logins(tb, arguments...)
	if len(outcomes) != 1 {
		tb.Fatalf("pamhost %q: %d logins, want 1", arguments, len(outcomes))
	}
	return outcomes[0]
}

func (k *Kit) run(env, arguments []string) ([]Outcome, error) {
	if !slices.Contains(arguments, "--slow-clock") {
		arguments = slices.Concat([]string{"--slow-clock", slowClock}, arguments)
	}
	command := exec.Command(k.Host, append([]string{"--confdir", k.Conf}, arguments...)...)
	command.Env = append([]string{}, env...)
	var output, complaints bytes.Buffer
	command.Stdout, command.Stderr = &output, &complaints
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	// The signal is sent when the thread ends that started the host.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := command.Start(); err != nil {
		return nil, err
	}
	hung := time.AfterFunc(limit, func() { _ = command.Process.Kill() })
	err := command.Wait()
	if !hung.Stop() {
		err = errors.Join(err, errors.New("pamhost hung"))
	}
	if err == nil && complaints.Len() > 0 {
		err = errors.New("it complains")
	}
	if err != nil {
		return nil, fmt.Errorf("pamhost %.400s: %w\n%s%s", strings.Join(arguments, " "), err, output.Bytes(), complaints.Bytes())
	}
	var outcomes []Outcome
	for line := range bytes.Lines(output.Bytes()) {
		var outcome Outcome
		if err := json.Unmarshal(line, &outcome); err != nil {
			return nil, fmt.Errorf("pamhost: %w: %.400s", err, line)
		}
		for _, result := range []*string{&outcome.Result, &outcome.Acct, &outcome.OpenSession, &outcome.CloseSession, &outcome.Chauthtok} {
			if *result == ignoreMark {
				*result = "PAM_IGNORE"
			}
		}
		outcomes = append(outcomes, outcome)
	}
	return outcomes, nil
}
