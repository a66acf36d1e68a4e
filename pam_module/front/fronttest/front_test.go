package fronttest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func unchanged(t *testing.T, outcome Outcome) {
	t.Helper()
	if len(outcome.Changed) > 0 {
		t.Errorf("the login changed its host: %q", outcome.Changed)
	}
	if outcome.Sigchld > 0 {
		t.Errorf("the host was told of a child that is none of its own")
	}
}

// serviceName keeps the stacks of tests that share a kit apart. libpam wants
// them in lower case.
func serviceName(t *testing.T) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(t.Name()))
}

// verdicts has what the front must make of each core. Anything out of the
// ordinary denies.
var verdicts = []struct{ core, want string }{
	{"accept", "PAM_SUCCESS"},
	{"ignore", "PAM_IGNORE"},
	{"deny", "PAM_AUTH_ERR"},
	{"maxtries", "PAM_MAXTRIES"},
	{"fault", "PAM_SYSTEM_ERR"},
	{"verdict:5", "PAM_SYSTEM_ERR"},
	{"verdict:129", "PAM_SYSTEM_ERR"},
	{"verdict:255", "PAM_SYSTEM_ERR"},
	{"verdictsize:0", "PAM_SYSTEM_ERR"},
	{"verdictsize:2", "PAM_SYSTEM_ERR"},
	{"trailing", "PAM_SYSTEM_ERR"},
	{"trailing:200", "PAM_SYSTEM_ERR"},
	{"trailingbyte", "PAM_SYSTEM_ERR"},
	{"garbage", "PAM_SYSTEM_ERR"},
	{"noise:1", "PAM_SYSTEM_ERR"},
	{"noise:2", "PAM_SYSTEM_ERR"},
	{"noise:3", "PAM_SYSTEM_ERR"},
	{"cut", "PAM_SYSTEM_ERR"},
	{"oversize", "PAM_SYSTEM_ERR"},
	{"halfheader", "PAM_SYSTEM_ERR"},
	{"lie", "PAM_SYSTEM_ERR"}, // ends as if it had answered
	{"big", "PAM_SUCCESS"},
	{"big:16385", "PAM_SYSTEM_ERR"},
	{"nul", "PAM_SYSTEM_ERR"},
	{"empty", "PAM_SYSTEM_ERR"},
	{"notext", "PAM_SUCCESS"},
	{"style:0", "PAM_SYSTEM_ERR"},
	{"style:5", "PAM_SYSTEM_ERR"},
	{"type:0", "PAM_SYSTEM_ERR"},
	{"type:1", "PAM_SYSTEM_ERR"},
	{"type:2", "PAM_SYSTEM_ERR"},
	{"type:18", "PAM_SYSTEM_ERR"},
	{"unread", "PAM_SYSTEM_ERR"},
	{"many", "PAM_SUCCESS"},
	{"many:65", "PAM_SYSTEM_ERR"},
	{"flood", "PAM_SYSTEM_ERR"},
	{"hang", "PAM_SYSTEM_ERR"},
	{"crash:19", "PAM_SYSTEM_ERR"}, // stopped
	{"drip", "PAM_SYSTEM_ERR"},
	{"slow:1500", "PAM_SYSTEM_ERR"},
	{"slow:300", "PAM_SUCCESS"},
	{"accepthang", "PAM_AUTH_ERR"}, // timeout=1 has passed by then
	{"crash", "PAM_SYSTEM_ERR"},
	{"crash:6", "PAM_SYSTEM_ERR"},
	{"crash:9", "PAM_SYSTEM_ERR"},
	{"leave", "PAM_SYSTEM_ERR"},
	{"leave:1", "PAM_SYSTEM_ERR"},
	{"acceptleave", "PAM_SUCCESS"},
	{"acceptcrash", "PAM_SUCCESS"},
	{"stdio", "PAM_SUCCESS"},
}

func TestVerdict(t *testing.T) {
	answers := slices.Repeat([]string{"answer"}, 70)
	eachKit(t, func(t *testing.T, kit *Kit) {
		for _, row := range verdicts {
			t.Run(row.core, func(t *testing.T) {
				t.Parallel()
				service := serviceName(t)
				timeout, clock := "", slowClock
				switch row.core {
				case "hang", "lie", "crash:19", "drip", "slow:1500":
					timeout, clock = "timeout=1 ", realClock
				case "accepthang":
					timeout = "timeout=1 " // which is for the verdict too
				}
				kit.Stack(t, service, timeout+"protocol="+row.core)
				outcome := kit.Login(t, append([]string{"--service", service, "--sigchld", "count", "--pipe-stdio", "--slow-clock", clock}, answers...)...)
				if outcome.Result != row.want {
					t.Errorf("%s, want %s", outcome.Result, row.want)
				}
				if outcome.Stdio != "" {
					t.Errorf("%q was written to the host's descriptors 0 to 2", outcome.Stdio)
				}
				unchanged(t, outcome)
			})
		}
	})
}

// A grandchild that keeps the socket open must not hold up a verdict: it stays until
// it is killed.
func TestGrandchild(t *testing.T) {
	t.Parallel()
	kit := kits.plain.forked()
	kit.Stack(t, "grandchild", "protocol=grandchild")
	outcome := kit.Login(t, "--service", "grandchild", "--slow-clock", realClock)
	if outcome.Result != "PAM_SUCCESS" || len(outcome.Prompts) != 1 {
		t.Fatalf("%s, prompts %v", outcome.Result, outcome.Prompts)
	}
	pid, err := strconv.Atoi(outcome.Prompts[0].Text)
	if err == nil {
		err = unix.Kill(pid, unix.SIGKILL)
	}
	if err != nil {
		t.Errorf("the grandchild is gone already: %v", err)
	}
}

func TestAnswer(t *testing.T) {
	const password = "correct horse"
	long := strings.Repeat("a", 512)
	rows := []struct {
		name, answer string
		want         string // what the core saw
		result       string
	}{
		{"right", "123456", "status=1 text=123456", "PAM_SUCCESS"},
		{"wrong", "654321", "status=1 text=654321", "PAM_AUTH_ERR"},
		{"space", "123456 ", "status=1 text=123456 ", "PAM_AUTH_ERR"},
		{"empty", "", "status=1 text=", "PAM_AUTH_ERR"},
		{"controls", "1\x1b[2J\x7f\n", "status=1 text=1?[2J?\n", "PAM_AUTH_ERR"},
		{"null", "@null", "status=2 text=", "PAM_AUTH_ERR"},
		{"none", "@none", "status=2 text=", "PAM_AUTH_ERR"},
		{"error", "@error", "status=2 text=", "PAM_AUTH_ERR"},
		{"longest", "@long:512", "status=1 text=" + long, "PAM_AUTH_ERR"},
		{"too long", "@long:513", "status=3 text=", "PAM_AUTH_ERR"},
		{"far too long", "@long:1000000", "status=3 text=", "PAM_AUTH_ERR"},
		{"password", password, "status=4 text=", "PAM_AUTH_ERR"},
		{"longer than the password", password + "1", "status=1 text=" + password + "1", "PAM_AUTH_ERR"},
	}
	eachKit(t, func(t *testing.T, kit *Kit) {
		service := serviceName(t)
		kit.Raw(t, service, fmt.Sprintf("auth required %s [authtok=%s]\nauth [success=ok default=die] %s\n", kit.Items, password, kit.Line("protocol=ask")))
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				outcome := kit.Login(t, "--service", service, "--", row.answer)
				want := []Prompt{{1, "Verification code: "}, {4, row.want}}
				if outcome.Result != row.result || !slices.Equal(outcome.Prompts, want) {
					t.Errorf("%s, prompts %v", outcome.Result, outcome.Prompts)
				}
				unchanged(t, outcome)
			})
		}
	})
}

func TestPrompts(t *testing.T) {
	rows := []struct {
		name, core string
		options    []string
		want       []Prompt
		result     string
	}{
		{"controls are replaced", "controls", nil, []Prompt{{4, "a?[2J?b?\nc???d?eü█🔑??????"}}, "PAM_SUCCESS"},
		{"every style", "messages", nil, []Prompt{{4, "for your information"}, {3, "that was wrong"}, {2, "Name: "}}, "PAM_SUCCESS"},
		{"silent", "messages", []string{"--silent"}, []Prompt{{2, "Name: "}}, "PAM_SUCCESS"},
		{"no null token", "messages", []string{"--silent", "--disallow-null"}, []Prompt{{2, "Name: "}}, "PAM_SUCCESS"},
		{"no conversation", "messages", []string{"--no-conv"}, []Prompt{}, "PAM_AUTH_ERR"},
		{"no conversation needed", "accept", []string{"--no-conv"}, []Prompt{}, "PAM_SUCCESS"},
	}
	eachKit(t, func(t *testing.T, kit *Kit) {
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				service := serviceName(t)
				kit.Stack(t, service, "protocol="+row.core)
				outcome := kit.Login(t, append(append([]string{"--service", service}, row.options...), "answer")...)
				if outcome.Result != row.result || !slices.Equal(outcome.Prompts, row.want) {
					t.Errorf("%s, prompts %v, want %s, %v", outcome.Result, outcome.Prompts, row.result, row.want)
				}
				unchanged(t, outcome)
			})
		}
	})
}

func TestStartFrame(t *testing.T) {
	eachKit(t, func(t *testing.T, kit *Kit) {
		service := serviceName(t)
		kit.Stack(t, service, "protocol=start config=/nowhere/otpgate.toml timeout=77 debug")
		outcome := kit.Login(t, "--service", service, "--user", "alice", "--rhost", "192.0.2.7", "--ruser", "bob", "--tty", "pts/1")
		want := "version=1\n2=" + service + "\n1=alice\n3=192.0.2.7\n4=bob\n5=pts/1\n6=start\n7=/nowhere/otpgate.toml\n9=77\n8="
		if len(outcome.Prompts) != 1 || outcome.Prompts[0].Text != want {
			t.Errorf("%v, want %q", outcome.Prompts, want)
		}
		kit.Stack(t, service, "")
		outcome = kit.Login(t, "--service", service, "--user", "start")
		want = "version=1\n2=" + service + "\n1=start\n9=120"
		if len(outcome.Prompts) != 1 || outcome.Prompts[0].Text != want {
			t.Errorf("%v, want %q", outcome.Prompts, want)
		}
	})
}

func TestArguments(t *testing.T) {
	rows := []struct{ arguments, want string }{
		{"timeout=1", "PAM_SUCCESS"}, // of a clock that is slow
		{"timeout=600", "PAM_SUCCESS"},
		{"timeout=060", "PAM_SUCCESS"},
		{"config=/", "PAM_SUCCESS"},
		{"config=/" + strings.Repeat("a", 800), "PAM_SUCCESS"},
		{"timeout=0", "PAM_SERVICE_ERR"},
		{"timeout=601", "PAM_SERVICE_ERR"},
		{"timeout=0060", "PAM_SERVICE_ERR"},
		{"timeout=99999999999999999999", "PAM_SERVICE_ERR"},
		{"timeout=-1", "PAM_SERVICE_ERR"},
		{"timeout=+1", "PAM_SERVICE_ERR"},
		{"timeout=1s", "PAM_SERVICE_ERR"},
		{"timeout=", "PAM_SERVICE_ERR"},
		{"timeout", "PAM_SERVICE_ERR"},
		{"timeout=5 timeout=5", "PAM_SERVICE_ERR"},
		{"config=", "PAM_SERVICE_ERR"},
		{"config=etc/otpgate.toml", "PAM_SERVICE_ERR"},
		{"config=/a config=/a", "PAM_SERVICE_ERR"},
		{"protocol=", "PAM_SERVICE_ERR"},
		{"protocol=accept protocol=accept", "PAM_SERVICE_ERR"},
		{"protocol=" + strings.Repeat("a", 65), "PAM_SERVICE_ERR"},
		{"protocol=\x1b[2J", "PAM_SERVICE_ERR"},
		{"debug debug", "PAM_SERVICE_ERR"},
		{"debug=1", "PAM_SERVICE_ERR"},
		{"split split", "PAM_SERVICE_ERR"},
		{"split=1", "PAM_SERVICE_ERR"},
		{"Split", "PAM_SERVICE_ERR"},
		{"nullok", "PAM_SERVICE_ERR"},
		{"Timeout=5", "PAM_SERVICE_ERR"},
		{"accept", "PAM_SERVICE_ERR"},
		{"%s%n", "PAM_SERVICE_ERR"},
	}
	eachKit(t, func(t *testing.T, kit *Kit) {
		for _, row := range rows {
			service := serviceName(t)
			kit.Stack(t, service, row.arguments)
			outcome := kit.Login(t, "--service", service, "--user", "accept", "--slow-clock", "60")
			if outcome.Result != row.want {
				t.Errorf("%q: %s, want %s", row.arguments, outcome.Result, row.want)
			}
			unchanged(t, outcome)
		}
	})
}

func TestUser(t *testing.T) {
	rows := []struct {
		name, user string
		want       string
	}{
		{"plain", "alice", "PAM_SUCCESS"},
		{"longest", strings.Repeat("a", 255), "PAM_SUCCESS"},
		{"too long", strings.Repeat("a", 256), "PAM_AUTH_ERR"},
		{"far too long", strings.Repeat("a", 100000), "PAM_AUTH_ERR"},
		{"escape", "al\x1b[2Jice", "PAM_AUTH_ERR"},
		{"newline", "alice\n", "PAM_AUTH_ERR"},
		{"C1", "alice\u009b", "PAM_AUTH_ERR"},
		{"not UTF-8", "alice\xff", "PAM_AUTH_ERR"},
		{"cut off", "alice\xe2\x96", "PAM_AUTH_ERR"},
		{"umlaut", "jürgen", "PAM_SUCCESS"},
	}
	eachKit(t, func(t *testing.T, kit *Kit) {
		service := serviceName(t)
		kit.Stack(t, service, "protocol=accept")
		for _, row := range rows {
			outcome := kit.Login(t, "--service", service, "--user", row.user)
			if outcome.Result != row.want {
				t.Errorf("%s: %s, want %s", row.name, outcome.Result, row.want)
			}
			unchanged(t, outcome)
		}
		// libpam asks for a name that the host does not know.
		for answer, want := range map[string]string{"alice": "PAM_SUCCESS", "": "PAM_AUTH_ERR", "@null": "PAM_AUTH_ERR", "@error": "PAM_AUTH_ERR"} {
			outcome := kit.Login(t, "--service", service, "--user", "", "--", answer)
			if outcome.Result != want {
				t.Errorf("name %q at the prompt: %s, want %s", answer, outcome.Result, want)
			}
		}
	})
}

// Over-long items deny instead of being cut.
func TestItems(t *testing.T) {
	eachKit(t, func(t *testing.T, kit *Kit) {
		service := serviceName(t)
		kit.Stack(t, service, "protocol=accept")
		for option, room := range map[string]int{"--rhost": 1024, "--ruser": 255, "--tty": 255} {
			for size, want := range map[int]string{room: "PAM_SUCCESS", room + 1: "PAM_SYSTEM_ERR", 70000: "PAM_SYSTEM_ERR"} {
				outcome := kit.Login(t, "--service", service, option, strings.Repeat("x", size))
				if outcome.Result != want {
					t.Errorf("%s of %d bytes: %s, want %s", option, size, outcome.Result, want)
				}
			}
		}
	})
}

// The verdict holds for one name (authd CVE-2024-9313).
func TestRename(t *testing.T) {
	eachKit(t, func(t *testing.T, kit *Kit) {
		service := serviceName(t)
		kit.Stack(t, service, "protocol=ask")
		rows := []struct {
			options      []string
			result, acct string
		}{
			{nil, "PAM_SUCCESS", "PAM_SUCCESS"},
			{[]string{"--rename", "alice"}, "PAM_SUCCESS", "PAM_SUCCESS"},
			{[]string{"--rename", "root"}, "PAM_AUTH_ERR", "PAM_IGNORE"},
			{[]string{"--rename", ""}, "PAM_AUTH_ERR", "PAM_IGNORE"},
			{[]string{"--acct-user", "root"}, "PAM_SUCCESS", "PAM_PERM_DENIED"},
			{[]string{"--acct-user", "alice"}, "PAM_SUCCESS", "PAM_SUCCESS"},
		}
		for _, row := range rows {
			outcome := kit.Login(t, append(append([]string{"--service", service, "--acct"}, row.options...), "123456")...)
			if outcome.Result != row.result || outcome.Acct != row.acct {
				t.Errorf("%q: %s and %s, want %s and %s", row.options, outcome.Result, outcome.Acct, row.result, row.acct)
			}
		}
		kit.Stack(t, service, "protocol=ignore")
		for user, want := range map[string]string{"alice": "PAM_IGNORE", "root": "PAM_PERM_DENIED"} {
			if outcome := kit.Login(t, "--service", service, "--acct", "--acct-user", user); outcome.Acct != want {
				t.Errorf("not asked, then %s: %s, want %s", user, outcome.Acct, want)
			}
		}
	})
}

// A second attempt on the same handle starts from nothing.
func TestAgain(t *testing.T) {
	t.Parallel()
	kit := kits.sanitized.forked()
	kit.Stack(t, "again", "protocol=ask")
	outcome := kit.Login(t, "--service", "again", "--acct", "--again", "2", "123456", "000000")
	if outcome.Result != "PAM_AUTH_ERR" || outcome.Acct != "PAM_IGNORE" {
		t.Errorf("right, then wrong: %s and %s", outcome.Result, outcome.Acct)
	}
	outcome = kit.Login(t, "--service", "again", "--acct", "--again", "2", "000000", "123456")
	if outcome.Result != "PAM_SUCCESS" || outcome.Acct != "PAM_SUCCESS" {
		t.Errorf("wrong, then right: %s and %s", outcome.Result, outcome.Acct)
	}
}

func TestOtherStages(t *testing.T) {
	t.Parallel()
	kit := kits.sanitized.forked()
	kit.Stack(t, "stages", "protocol=accept")
	outcome := kit.Login(t, "--service", "stages", "--acct", "--setcred", "--session", "--chauthtok")
	if outcome.Result != "PAM_SUCCESS" || outcome.Acct != "PAM_SUCCESS" || outcome.Setcred != "PAM_SUCCESS" ||
		outcome.OpenSession != "PAM_IGNORE" || outcome.CloseSession != "PAM_IGNORE" || outcome.Chauthtok != "PAM_IGNORE" {
		t.Errorf("%+v", outcome)
	}
}

// A person who takes longer than timeout= is denied whatever the answer.
func TestLateAnswer(t *testing.T) {
	t.Parallel()
	kit := kits.plain.forked()
	kit.Stack(t, "late", "timeout=100 protocol=ask")
	outcome := kit.Login(t, "--service", "late", "@later:100001:123456")
	if outcome.Result != "PAM_SYSTEM_ERR" {
		t.Errorf("%s", outcome.Result)
	}
	unchanged(t, outcome)
}
