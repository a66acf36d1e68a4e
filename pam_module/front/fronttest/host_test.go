package fronttest

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// What hosts do with SIGCHLD: it must neither confuse the front nor be
// confused by it (authd #306, sudo #297).
func TestSigchld(t *testing.T) {
	eachKit(t, func(t *testing.T, kit *Kit) {
		for _, core := range []struct{ name, want string }{
			{"ask", "PAM_SUCCESS"}, {"slow:100", "PAM_SUCCESS"}, {"crash", "PAM_SYSTEM_ERR"}, {"hang", "PAM_SYSTEM_ERR"},
		} {
			for _, mode := range []string{"default", "ignore", "reap", "count", "blocked"} {
				for _, child := range []string{"-1", "0", "50"} {
					t.Run(core.name+" "+mode+" "+child, func(t *testing.T) {
						t.Parallel()
						service := serviceName(t)
						timeout, clock := " timeout=60", slowClock
						if core.name == "hang" {
							timeout, clock = " timeout=1", realClock
						}
						kit.Stack(t, service, "protocol="+core.name+timeout)
						arguments := []string{"--service", service, "--sigchld", mode, "--own-child", child, "--slow-clock", clock}
						// Long enough for the host's child to end while its person thinks.
						outcome := kit.Login(t, append(arguments, "@sleep:80:123456")...)
						if outcome.Result != core.want {
							t.Errorf("%s, want %s", outcome.Result, core.want)
						}
						if len(outcome.Changed) > 0 {
							t.Errorf("changed: %q", outcome.Changed)
						}
						has, told := child != "-1", outcome.Sigchld > 0
						if listens := mode == "count" || mode == "reap" || mode == "blocked"; told != (has && listens) {
							t.Errorf("the host got %d signals", outcome.Sigchld)
						}
						if has && mode != "ignore" && outcome.OwnChild != 7 {
							t.Errorf("the host's own child was lost: %d", outcome.OwnChild)
						}
					})
				}
			}
		}
	})
}

func TestUnchanged(t *testing.T) {
	eachKit(t, func(t *testing.T, kit *Kit) {
		for name, options := range map[string][]string{
			"closed":     {"--close-stdio"},
			"su":         {"--ruid", "1000"},
			"groups":     {"--ruid", "1000", "--groups", "20"},
			"not root":   {"--uid", "1000"},
			"many times": {"--repeat", "20"},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				for _, core := range []string{"ask", "garbage", "crash"} {
					service := serviceName(t) + core
					kit.Stack(t, service, "protocol="+core)
					for _, outcome := range kit.Logins(t, append(append([]string{"--service", service, "--sigchld", "count"}, options...), "123456")...) {
						if (outcome.Result == "PAM_SUCCESS") != (core == "ask") {
							t.Errorf("%s: %s", core, outcome.Result)
						}
						unchanged(t, outcome)
					}
				}
			})
		}
	})
}

// What the core finds in its child, under the hosts that make it hardest.
func TestConfinement(t *testing.T) {
	const want = `environ=0 block=GOMAXPROCS=1
uid=0,0,0 gid=0,0,0 groups=0
cwd=/ umask=077
pdeathsig=0 dumpable=0 leader=1 alarm=125 last=425
core=0 as=infinite
sigpipe=ignored handlers=14, blocked=
fds=0:/dev/null,1:/dev/null,2:/dev/null,3:socket:[1,
`
	kit := *kits.plain.forked()
	// Enough for the environment to look like other things on the stack.
	kit.Env = []string{"LD_LIBRARY_PATH=/tmp", "GODEBUG=x=1", "TZ=/etc/passwd", "LANG=tlh", "http_proxy=http://192.0.2.1/"}
	service := "confinement"
	kit.Stack(t, service, "protocol=self")
	for name, options := range map[string][]string{
		"plain":   nil,
		"su":      {"--ruid", "1000"},
		"groups":  {"--ruid", "1000", "--groups", "40"},
		"closed":  {"--close-stdio"},
		"reaping": {"--sigchld", "reap"},
		"blocked": {"--sigchld", "blocked"},
		"ignored": {"--sigchld", "ignore"},
		"limited": {"--limit-as", "200"},
		"files":   {"--limit-fsize", "100000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outcome := kit.Login(t, append([]string{"--service", service}, options...)...)
			unchanged(t, outcome)
			if len(outcome.Prompts) != 1 {
				t.Fatalf("%s, prompts %v", outcome.Result, outcome.Prompts)
			}
			got := regexp.MustCompile(`socket:\[[0-9]+`).ReplaceAllString(outcome.Prompts[0].Text, "socket:[1")
			if got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

// goCore builds a real Go core, which tells what it sees of the host.
func goCore(t *testing.T) *Kit {
	t.Helper()
	return buildCore(t, "gocore")
}

// buildCore builds a front beside the Go core of that name.
func buildCore(t *testing.T, name string) *Kit {
	t.Helper()
	kit := Build(t, Options{})
	// With the flags of the build, whose compiled packages then serve here too.
	command := exec.Command("go", "build", "-trimpath", "-buildmode=c-shared", "-ldflags", "-s -w", "-o", kit.Core, ".")
	command.Dir = filepath.Join(Source(), "fronttest", "testdata", name)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return kit
}

// A Go runtime reads the first environment of the process, wherever environ
// points; nothing of the host's may get there (duo PSA-2017-002).
func TestGoEnvironment(t *testing.T) {
	t.Parallel()
	kit := goCore(t)
	kit.Stack(t, "go", "")
	hostile := []string{"GODEBUG=inittrace=1,gctrace=1,randautoseed=0", "GOGC=off", "GOMAXPROCS=7", "GOTRACEBACK=crash", "GOMEMLIMIT=1"}
	for name, test := range map[string]struct{ env, options []string }{
		"hostile":    {env: hostile},
		"one":        {env: hostile[:1]},
		"none":       {},
		"many":       {env: append(hostile, strings.Split(strings.Repeat("A=1 ", 500), " ")...)},
		"setuid":     {env: hostile, options: []string{"--ruid", "1000"}},
		"not root":   {env: hostile, options: []string{"--uid", "1000"}},
		"limited":    {env: hostile, options: []string{"--limit-as", "200"}},
		"threads":    {env: hostile, options: []string{"--threads", "2"}},
		"many times": {env: hostile, options: []string{"--repeat", "5"}},
	} {
		t.Run(name, func(t *testing.T) {
			own := *kit
			own.Env = test.env
			for _, outcome := range own.Logins(t, append([]string{"--service", "go", "--pipe-stdio"}, test.options...)...) {
				want := `environ=["GOMAXPROCS=1"] GODEBUG="" GOMAXPROCS=1 GOGC=100 auxv=true`
				if len(test.env) == 0 {
					// There is no room for it where the host has none of its own.
					want = "environ=[] GODEBUG=\"\" GOMAXPROCS=" + strconv.Itoa(cpus(t)) + " GOGC=100 auxv=true"
				}
				if name == "not root" {
					// /proc/self/auxv is root's in a process that must not be dumped.
					want = strings.Replace(want, "auxv=true", "auxv=false", 1)
				}
				if outcome.Result != "PAM_SUCCESS" || len(outcome.Prompts) != 1 || outcome.Prompts[0].Text != want {
					t.Errorf("%s, prompts %v, want %q", outcome.Result, outcome.Prompts, want)
				}
				if outcome.Stdio != "" {
					t.Errorf("written to the host's descriptors: %q", outcome.Stdio)
				}
				unchanged(t, outcome)
			}
		})
	}
}

func cpus(t *testing.T) int {
	t.Helper()
	output, err := exec.Command("nproc").Output()
	if err != nil {
		t.Fatal(err)
	}
	count, err := strconv.Atoi(strings.TrimSpace(string(output)))
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// Threads that load libraries hold the loader's lock at the fork.
func TestThreads(t *testing.T) {
	t.Parallel()
	for churn, kit := range map[string]*Kit{"2": kits.plain.forked(), "0": kits.sanitized.forked()} {
		kit.Stack(t, "threads", "protocol=ask")
		log := NewLog(t)
		logins := kit.Logins(t, "--service", "threads", "--dev", log.Dev, "--threads", "4", "--repeat", "25", "--churn", churn, "--slow-clock", realClock, "123456")
		if len(logins) != 100 {
			t.Errorf("%d logins", len(logins))
		}
		for _, outcome := range logins {
			if outcome.Result != "PAM_SUCCESS" {
				t.Errorf("%s, prompts %v", outcome.Result, outcome.Prompts)
			}
		}
		if t.Failed() {
			t.Logf("churn %s: %q", churn, log.Lines(t))
		}
	}
}

// A host's other threads may have left the loader's lists half changed at the
// fork: a child that dies of that has let nobody in and asked nothing.
func TestCoreEndsWhileLoading(t *testing.T) {
	t.Parallel()
	kit := Build(t, Options{})
	kit.Stack(t, "crash", "protocol=ask debug")
	const tries = 5
	for _, crashes := range []int{tries - 1, tries} {
		for i := range crashes {
			if err := os.WriteFile(fmt.Sprintf("%s/crash.%d", kit.Dir, i+1), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		log := NewLogFile(t, 0o600) // which takes any number of lines
		outcome := kit.Login(t, append(log.Host, "--service", "crash", "--sigchld", "count", "123456")...)
		text, err := os.ReadFile(log.Path)
		if err != nil {
			t.Fatal(err)
		}
		said := string(text)
		begun, ended := strings.Count(said, " loads "+kit.Core), strings.Count(said, " ended before it had loaded\"")
		// On a machine that is too slow a child is given up before it has crashed.
		late := strings.Count(said, " has not loaded in time")
		right := outcome.Result == "PAM_SUCCESS" && ended == crashes && begun == ended+late+1
		if crashes+late >= tries {
			right = outcome.Result == "PAM_SYSTEM_ERR" && begun == tries && ended+late == tries &&
				(strings.Contains(said, "each child ended before it had loaded "+kit.Core) || strings.Contains(said, "no child could load "+kit.Core+" in time"))
		}
		if !right {
			t.Errorf("%d crashes: %+v\n%s", crashes, outcome, said)
		}
		unchanged(t, outcome)
		for i := range crashes {
			_ = os.Remove(fmt.Sprintf("%s/crash.%d", kit.Dir, i+1)) // of a child that was late
		}
	}
}

// Or they wait for good, as another thread held the loader's lock. Each is given up after
// a while, and the next is given more time.
func TestCoreHangsWhileLoading(t *testing.T) {
	t.Parallel()
	kit := Build(t, Options{})
	kit.Stack(t, "hang", "protocol=ask debug")
	for i := range 2 {
		if err := os.WriteFile(fmt.Sprintf("%s/hang.%d", kit.Dir, i+1), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	log := NewLogFile(t, 0o600)
	outcome := kit.Login(t, append(log.Host, "--service", "hang", "--sigchld", "count", "--slow-clock", realClock, "123456")...)
	text, err := os.ReadFile(log.Path)
	if err != nil {
		t.Fatal(err)
	}
	if late := strings.Count(string(text), " has not loaded in time"); outcome.Result != "PAM_SUCCESS" || late < 2 {
		t.Errorf("%d children were given up: %+v\n%s", late, outcome, text)
	}
	unchanged(t, outcome)
}

// A core that cannot be used denies, and the log says what to do.
func TestCore(t *testing.T) {
	log := NewLog(t)
	write := func(content string, mode os.FileMode) func(string) error {
		return func(path string) error {
			if err := os.WriteFile(path, []byte(content), mode); err != nil {
				return err
			}
			return os.Chmod(path, mode)
		}
	}
	kit := Build(t, Options{})
	kit.Stack(t, "core", "protocol=accept")
	good := kit.Core + ".good"
	if err := os.Rename(kit.Core, good); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name   string
		place  func(string) error
		reason string
	}{
		{"missing", func(string) error { return nil }, "expected the core there: No such file or directory; reinstall otpgate"},
		{"link", func(path string) error { return os.Symlink(good, path) }, "expected a file of root's that others cannot write, found mode 120777 of uid 0"},
		{"directory", func(path string) error { return os.Mkdir(path, 0o755) }, "found mode 40755"},
		{"others may write", write("x", 0o646), "found mode 100646"},
		{"group may write", write("x", 0o664), "found mode 100664"},
		{"another's", func(path string) error {
			if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
				return err
			}
			return os.Chown(path, 1000, 1000)
		}, "found mode 100644 of uid 1000"},
		{"text", write("no library\n", 0o644), "the core cannot be loaded: "},
		{"empty", write("", 0o644), "the core cannot be loaded: "},
		{"another library", func(path string) error {
			content, err := os.ReadFile(kit.Items)
			if err != nil {
				return err
			}
			return os.WriteFile(path, content, 0o644)
		}, "expected the function otpgate_core_serve in it; reinstall otpgate"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if err := row.place(kit.Core); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = os.RemoveAll(kit.Core) }()
			outcome := kit.Login(t, "--service", "core", "--dev", log.Dev)
			if outcome.Result != "PAM_SYSTEM_ERR" {
				t.Errorf("%s", outcome.Result)
			}
			unchanged(t, outcome)
			if lines := strings.Join(log.Lines(t), "\n"); !strings.Contains(lines, row.reason) || !strings.Contains(lines, kit.Core) {
				t.Errorf("the log does not say %q with the path:\n%s", row.reason, lines)
			}
		})
	}
}

func TestLog(t *testing.T) {
	eachKit(t, func(t *testing.T, kit *Kit) {
		log := NewLog(t)
		service := serviceName(t)
		logged := func(arguments string, options ...string) []string {
			t.Helper()
			kit.Stack(t, service, arguments)
			unchanged(t, kit.Login(t, append([]string{"--service", service, "--dev", log.Dev}, options...)...))
			return log.Lines(t)
		}
		line := func(user, reason string) string {
			return fmt.Sprintf(`^<83>(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 123][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2} otpgate\[[0-9]+\]: user=%s service=%s verdict=fault rule=front reason="%s"$`,
				regexp.QuoteMeta(user), service, regexp.QuoteMeta(reason))
		}
		for _, row := range []struct {
			arguments string
			options   []string
			want      string
		}{
			{"nullok", nil, line(`""`, `argument 1 in pam.d is \"nullok\", expected one of split, config=PATH, protocol=NAME, timeout=SECONDS, verifier=off|PATH, debug`)},
			{"debug timeout=0", nil, line(`""`, `argument 2 in pam.d is \"timeout=0\", expected whole seconds from 1 to 600 after timeout=`)},
			{"protocol=garbage", nil, line("alice", "the WHO sent a frame of 5526608 bytes, at most 16384 are allowed")},
			{"protocol=ask timeout=100", []string{"@later:100001:123456"}, line("alice", "the dialogue took longer than timeout= allows")},
			{"protocol=crash", nil, line("alice", "the WHO ended before its verdictINSTEAD")},
			{"protocol=crash", []string{"--user", `a" verdict=accepted b\`}, line(`"a\" verdict=accepted b\\"`, "the WHO ended before its verdictINSTEAD")},
			{"protocol=crash", []string{"--user", "jürgen"}, line(`"jürgen"`, "the WHO ended before its verdictINSTEAD")},
			{"protocol=crash", []string{"--user", "a\x1b[2J\nb"}, line(`"a?[2J?b"`, "the user name holds control characters or is not UTF-8")},
			{"protocol=ask", []string{"--rename", "root", "123456"}, line("alice", "the host changed the user name during the dialogue")},
			{"protocol=accept", []string{"--rhost", strings.Repeat("x", 2000)}, line("alice", "start field 3 is longer than 1024 bytes")},
		} {
			lines := logged(row.arguments, row.options...)
			instead := "; if it cannot start in this host, otpgate-verifierd must run, which answers in its place"
			if kit.Verifier != "off" {
				instead = ""
			}
			want := strings.NewReplacer("WHO", kit.answers(), "INSTEAD", instead).Replace(row.want)
			if len(lines) != 1 || !regexp.MustCompile(want).MatchString(lines[0]) {
				t.Errorf("%s: %q, want %q", row.arguments, lines, want)
			}
		}
		// No answer and no password may show up, however talkative the log.
		kit.Raw(t, service, fmt.Sprintf("auth required %s authtok=hunter2\nauth required %s\n", kit.Items, kit.Line("protocol=ask debug")))
		for _, answer := range []string{"123456", "hunter2"} {
			_ = kit.Login(t, "--service", service, "--dev", log.Dev, answer)
			lines := strings.Join(log.Lines(t), "\n")
			for _, secret := range []string{"123456", "hunter2", base64.StdEncoding.EncodeToString([]byte("hunter2"))} {
				if strings.Contains(lines, secret) {
					t.Errorf("%s is in the log:\n%s", secret, lines)
				}
			}
			if !strings.Contains(lines, "<87>") {
				t.Errorf("debug logs nothing: %q", lines)
			}
		}
		if lines := logged("protocol=accept"); len(lines) != 0 {
			t.Errorf("a login without fault logs %q", lines)
		}
	})
}
