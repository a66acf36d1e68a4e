package fronttest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// wrapped are the calls that faults.c makes fail. TestSymbols holds this list
// and cannotFail against what the front really calls.
var wrapped = strings.Fields(`calloc chdir clock_gettime close closedir connect dladdr dlerror dlopen dlsym dup2 fcntl fork fstat
	getgroups getpriority getresgid getresuid getrlimit getsockopt kill localtime_r lstat mkdir open opendir pam_get_authtok pam_get_data pam_get_item pam_get_user
	pam_set_data pam_set_item poll prctl pthread_sigmask readdir read recv sched_getscheduler sched_setscheduler send setgroups setpriority setresgid setresuid setrlimit setsid setsockopt shutdown
	sigaction sigaddset sigaltstack sigemptyset sigfillset sigismember sigpending sigtimedwait snprintf socket socketpair
	stat syscall time vsnprintf waitid write`)

var cannotFail = strings.Fields(`__errno_location __environ environ _exit alarm dirfd explicit_bzero free geteuid getpid getppid mallopt
	memchr memcmp memcpy memset strcmp strlen strncmp strnlen strrchr strspn strtol umask`)

func faultOptions(cflags ...string) Options {
	flags := []string{"-U_FORTIFY_SOURCE", "-Wno-error", filepath.Join(Source(), "test", "faults.c")}
	for _, name := range wrapped {
		flags = append(flags, "-Wl,--wrap="+name)
	}
	return Options{CFlags: cflags, Front: flags}
}

// harmless are the calls without which a login may still succeed, with why.
var harmless = map[string]string{
	// In the host.
	"pidfd_open":        "the child ends by itself",
	"pidfd_send_signal": "the child ends by itself or by its alarm",
	"waitid":            "a child of the front's is not what the verdict comes from",
	"poll":              "only when it waits for the child's end",
	"close":             "closes all the same",
	"shutdown":          "the core needs no end of file once it has given its verdict",
	"clock_gettime":     "only when it waits for the child's end",
	"PAM_CONV":          "the message after a right answer is not shown; at a prompt the core denies",
	"fcntl":             "no log line, or no descriptor for the child; for the socket it denies",
	"sigtimedwait":      "leaves a signal to the host",
	"kill":              "gives a signal back to the host",
	"sigaddset":         "leaves a signal to the host",
	"sigemptyset":       "leaves a signal to the host",
	"sigpending":        "leaves a signal to the host",
	"sigismember":       "leaves a signal to the host",
	"pthread_sigmask":   "blocking again after the conversation, and restoring",
	"snprintf":          "a log line without its head",
	"vsnprintf":         "no log line",
	"localtime_r":       "a log line with a wrong time",
	"time":              "a log line with a wrong time",
	"socket":            "no log line",
	"connect":           "no log line",
	"setsockopt":        "no log line",
	"open":              "no log line; in the child it denies",
	"fstat":             "no log line",
	"write":             "no log line",
	// In the child.
	"sigaction":    "some signals always refuse; the handler is one of the host's, whose code is there too",
	"close_range":  "there is another way",
	"setrlimit":    "raised to the hard limit instead",
	"getrlimit":    "no log line; in the child never reached",
	"getgroups":    "the groups are dropped without asking",
	"stat":         "stays in the caller's control groups",
	"timer_create": "the alarm ends the child at once", "timer_settime": "likewise",
	"getpriority": "as few turns as the caller has", "setpriority": "likewise", "sched_getscheduler": "likewise", "sched_setscheduler": "likewise",
}

// forks are the calls without which the verifier is not asked, and a core is
// forked instead, or no core is known of and the verifier is given all of the time.
var forks = strings.Fields("dladdr socket fcntl connect getsockopt lstat snprintf clock_gettime poll send recv")

// optional are the items that a host may well not have; TestFaults claims so.
var optional = []string{"PAM_RHOST", "PAM_RUSER", "PAM_TTY", "PAM_AUTHTOK"}

// interruptible are the calls where EINTR and a short count mean nothing.
var interruptible = []string{"poll", "recv", "send"}

// Every call of the front's fails once, in the host and in the child
// (pam_u2f CVE-2025-23013): nobody may get in by that.
func TestFaults(t *testing.T) {
	for _, side := range []string{"parent", "child"} {
		for _, kind := range []string{"hard", "eintr", "zero", "short"} {
			for _, core := range []string{"ask:1", "deny", "ignore"} {
				for _, options := range []string{"--pipe-stdio", "--close-stdio"} {
					// What differs elsewhere is only what hard has shown already.
					if kind != "hard" && (side == "child" || core == "ignore" || options == "--close-stdio") || side == "child" && core == "ignore" {
						continue
					}
					t.Run(strings.Join([]string{side, kind, core, options[2:]}, " "), func(t *testing.T) {
						t.Parallel()
						everyCall(t, kits.faulty.forked(), alone(core), side, kind, options)
					})
					if side == "child" {
						continue
					}
					t.Run(strings.Join([]string{"resident", kind, core, options[2:]}, " "), func(t *testing.T) {
						t.Parallel()
						everyCall(t, kits.faulty.resident(), alone(core), side, kind, options)
					})
				}
			}
		}
	}
}

// The same where the lines go to a file.
func TestFaultsOfLogFile(t *testing.T) {
	for name, kit := range map[string]func() *Kit{"forked": kits.faulty.forked, "resident": kits.faulty.resident} {
		for _, kind := range []string{"hard", "short"} {
			if kind == "short" && name == "resident" {
				continue // the file is no other one
			}
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				v := alone("deny")
				v.host = NewLogFile(t, 0o600).Host
				everyCall(t, kit(), v, "parent", kind, "--close-stdio")
			})
		}
	}
}

// What is left behind on the way out of a failure (pam_u2f CVE-2025-23013 was
// found there) is for the sanitizers to see.
func TestFaultsSanitized(t *testing.T) {
	for name, kit := range map[string]func() *Kit{"forked": kits.faultySanitized.forked, "resident": kits.faultySanitized.resident} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			everyCall(t, kit(), alone("ask:1"), "parent", "hard", "--pipe-stdio", "--together")
		})
	}
}

// victim is a stack that is to fail, and what its login is answered.
type victim struct {
	core   string // says "deny", "ignore" or else asks
	write  func(t *testing.T, kit *Kit, service string)
	answer string
	asks   int      // how many questions reach the host at most
	host   []string // more options of pamhost
}

// alone is a line behind a module that knows the password.
func alone(core string) victim {
	return victim{core, func(t *testing.T, kit *Kit, service string) {
		kit.Stack(t, service, "timeout=20 debug protocol="+core, "authtok=secret")
	}, "123456", 1, nil}
}

// everyCall has each call fail in a login of its own; more are more options of
// pamhost's.
func everyCall(t *testing.T, kit *Kit, v victim, side, kind, option string, more ...string) {
	service := serviceName(t)
	v.write(t, kit, service)
	journals := t.TempDir()
	const atOnce = 16
	for first := 1; ; first += atOnce {
		for i, outcome := range faulty(t, kit, v, service, journals, first, first+atOnce-1, side, kind, slices.Concat(v.host, more, []string{option})...) {
			content, err := os.ReadFile(filepath.Join(journals, strconv.Itoa(first+i)))
			if err != nil {
				if first+i < 20 {
					t.Fatalf("only %d calls", first+i)
				}
				return
			}
			// A child that was late and its successor have failed at the same call.
			failed := slices.Compact(strings.Fields(string(content)))
			if len(failed) != 1 {
				t.Fatalf("call %d: %q have failed, expected one", first+i, failed)
			}
			v.judge(t, kit, first+i, kind, failed[0], outcome)
		}
	}
}

// faulty are the outcomes of logins of which each has another call that fails.
func faulty(t *testing.T, kit *Kit, v victim, service, journals string, first, last int, side, kind string, options ...string) []Outcome {
	t.Helper()
	report := filepath.Join(journals, "report")
	env := []string{"ASAN_OPTIONS=log_path=" + report, "UBSAN_OPTIONS=log_path=" + report, "OTPGATE_FAULT_SIDE=" + side, "OTPGATE_FAULT_KIND=" + kind, "OTPGATE_FAULT_LOG=" + journals}
	outcomes, err := kit.run(env, append(options, "--service", service, "--ruid", "1000", "--groups", "2", "--sigchld", "count", "--own-child", "0",
		"--faults", fmt.Sprintf("%d:%d", first, last), v.answer))
	if reports, _ := filepath.Glob(report + "*"); err != nil || len(reports) > 0 || len(outcomes) != last-first+1 {
		for _, name := range reports {
			text, _ := os.ReadFile(name)
			t.Logf("%s", text)
		}
		t.Fatalf("calls %d to %d, %d outcomes: %v", first, last, len(outcomes), err)
	}
	return outcomes
}

// judge looks at a login in which a call has failed.
func (v victim) judge(t *testing.T, kit *Kit, at int, kind, failed string, outcome Outcome) {
	t.Helper()
	if wrong := misjudged(kit, kind, v.core, failed, outcome.Result); wrong != "" {
		t.Errorf("call %d, %s: %s %s", at, failed, outcome.Result, wrong)
	}
	if asked := outcome.asked(); asked > v.asks {
		t.Errorf("call %d, %s: asked %d times", at, failed, asked)
	}
	if outcome.Stdio != "" {
		t.Errorf("call %d, %s: wrote %q to the host", at, failed, outcome.Stdio)
	}
	// A mask that cannot be restored stays; that call cannot fail in truth.
	if len(outcome.Changed) > 0 && failed != "pthread_sigmask" {
		t.Errorf("call %d, %s: changed %q", at, failed, outcome.Changed)
	}
	if outcome.OwnChild != 7 {
		t.Errorf("call %d, %s: the host's own child was lost", at, failed)
	}
}

// misjudged says what is wrong with a login's result after one call has failed.
func misjudged(kit *Kit, kind, core, failed, result string) string {
	excused := harmless[failed] != "" || kit.Verifier != "off" && slices.Contains(forks, failed) ||
		slices.Contains(interruptible, failed) || kind == "zero" && slices.Contains(optional, failed)
	interrupted := kind == "eintr" && slices.Contains(interruptible, failed) || kind == "short" && (failed == "send" || failed == "recv")
	letsIn := result == "PAM_SUCCESS" || result == "PAM_IGNORE"
	switch {
	case letsIn && core == "deny":
		return "though the core denies"
	case result == "PAM_IGNORE" && core != "ignore":
		return "though the core does not say so"
	case letsIn && !excused:
		return "though nothing excuses it"
	case !letsIn && core != "deny" && interrupted:
		return "though it was only interrupted"
	}
	return ""
}

// Kernels and hosts without these calls altogether.
func TestMissingCalls(t *testing.T) {
	kit := kits.faulty.forked()
	kit.Stack(t, "missing", "timeout=60 protocol=ask")
	kit.Stack(t, "missing-self", "timeout=60 protocol=self")
	for name, want := range map[string]string{
		"pidfd_open": "PAM_SUCCESS", "pidfd_send_signal": "PAM_SUCCESS", "close_range": "PAM_SUCCESS", "socket": "PAM_SUCCESS",
		"kill": "PAM_SUCCESS", "waitid": "PAM_SUCCESS", "pthread_sigmask": "PAM_SYSTEM_ERR", "clock_gettime": "PAM_SYSTEM_ERR",
		"prctl": "PAM_SYSTEM_ERR", "setgroups": "PAM_SYSTEM_ERR",
	} {
		for _, side := range []string{"parent", "child"} {
			t.Run(name+" "+side, func(t *testing.T) {
				t.Parallel()
				inChild := slices.Contains([]string{"close_range", "prctl", "setgroups"}, name)
				if inChild != (side == "child") {
					return
				}
				own := *kit
				own.Env = []string{"OTPGATE_FAULT_SIDE=" + side, "OTPGATE_FAULT_KIND=enosys", "OTPGATE_FAULT_NAME=" + name}
				outcome := own.Login(t, "--service", "missing", "--ruid", "1000", "--groups", "2", "123456")
				if outcome.Result != want {
					t.Errorf("%s, want %s", outcome.Result, want)
				}
				// waitid would have collected the child.
				if name != "waitid" && len(outcome.Changed) > 0 {
					t.Errorf("changed: %q", outcome.Changed)
				}
			})
		}
	}
	own := *kit
	own.Env = []string{"OTPGATE_FAULT_SIDE=child", "OTPGATE_FAULT_KIND=enosys", "OTPGATE_FAULT_NAME=close_range"}
	outcome := own.Login(t, "--service", "missing-self")
	if len(outcome.Prompts) != 1 || !regexp.MustCompile(`(?m)^fds=0:/dev/null,1:/dev/null,2:/dev/null,3:socket:\[[0-9]*,$`).MatchString(outcome.Prompts[0].Text) {
		t.Errorf("without close_range the core has %v", outcome.Prompts)
	}
}

// Each call is either made to fail above or known not to.
func TestSymbols(t *testing.T) {
	t.Parallel()
	plain := Build(t, Options{CFlags: []string{"-U_FORTIFY_SOURCE", "-fno-stack-protector"}})
	output, err := exec.Command("nm", "-D", plain.Front).Output()
	if err != nil {
		t.Fatal(err)
	}
	known := append(append([]string{"__cxa_finalize", "__gmon_start__", "_ITM_deregisterTMCloneTable", "_ITM_registerTMCloneTable"}, wrapped...), cannotFail...)
	used := map[string]bool{}
	for line := range strings.Lines(string(output)) {
		fields := strings.Fields(line)
		name, _, _ := strings.Cut(fields[len(fields)-1], "@")
		if defined := len(fields) == 3; defined && !strings.HasPrefix(name, "pam_sm_") && fields[1] != "V" {
			t.Errorf("exports %s", name)
		} else if !defined && !slices.Contains(known, name) {
			t.Errorf("calls %s, which no test makes fail", name)
		}
		used[name] = true
	}
	for _, name := range wrapped {
		if !used[name] {
			t.Errorf("no longer calls %s", name)
		}
	}
	for _, name := range []string{"pam_sm_authenticate", "pam_sm_setcred", "pam_sm_acct_mgmt", "pam_sm_open_session", "pam_sm_close_session", "pam_sm_chauthtok"} {
		if !used[name] {
			t.Errorf("does not export %s", name)
		}
	}
}

func TestObject(t *testing.T) {
	t.Parallel()
	info, err := os.Stat(kits.plain.forked().Front)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() >= 100<<10 {
		t.Errorf("%d bytes, want less than 100 kB", info.Size())
	}
	output, err := exec.Command("readelf", "-dlW", kits.plain.forked().Front).Output()
	if err != nil {
		t.Fatal(err)
	}
	text := string(output)
	for _, want := range []string{"BIND_NOW", "GNU_RELRO"} {
		if !strings.Contains(text, want) {
			t.Errorf("linked without %s", want)
		}
	}
	if regexp.MustCompile(`GNU_STACK .*RWE`).MatchString(text) {
		t.Error("wants an executable stack")
	}
	for _, match := range regexp.MustCompile(`NEEDED.*\[(.*)\]`).FindAllStringSubmatch(text, -1) {
		if !slices.Contains([]string{"libpam.so.0", "libc.so.6"}, match[1]) {
			t.Errorf("links %s", match[1])
		}
	}
	symbols, err := exec.Command("nm", "--dynamic", "--undefined-only", kits.plain.forked().Front).Output()
	if err != nil {
		t.Fatal(err)
	}
	// Built with a newer glibc these are symbols that an older one has not,
	// where the module then cannot be loaded.
	if newer := regexp.MustCompile(`\S*(?:strto[a-z]+|scanf)\S*`).FindAllString(string(symbols), -1); newer != nil {
		t.Errorf("calls %q, which are other symbols from glibc 2.38 on; expected code of its own", newer)
	}
}

func TestTidy(t *testing.T) {
	t.Parallel()
	sources, err := filepath.Glob(filepath.Join(Source(), "*.c"))
	if err != nil {
		t.Fatal(err)
	}
	output, err := exec.Command("clang-tidy", append(append([]string{"--quiet"}, sources...), "--", "-std=c11", "-D_GNU_SOURCE", "-O2")...).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, output)
	}
	for _, compiler := range []string{"gcc", "clang"} {
		build := exec.Command(filepath.Join(Source(), "build.sh"), filepath.Join(t.TempDir(), "front.so"))
		build.Env = append(os.Environ(), "CC="+compiler)
		if output, err := build.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", compiler, err, output)
		}
	}
}

// The numbers of both halves are written down twice.
func TestWireNumbers(t *testing.T) {
	t.Parallel()
	header, err := os.ReadFile(filepath.Join(Source(), "wire.h"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, match := range regexp.MustCompile(`(?m)^#define (WIRE_\w+) (\w+)`).FindAllStringSubmatch(string(header), -1) {
		value, err := strconv.ParseInt(match[2], 0, 64)
		if err != nil {
			t.Fatal(err)
		}
		got[match[1]] = value
	}
	want := wireNumbers(t)
	for name, value := range want {
		if have, ok := got[name]; !ok || have != value {
			t.Errorf("%s is %d in C, %d in Go", name, have, value)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is in C only", name)
		}
	}
}
