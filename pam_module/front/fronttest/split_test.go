package fronttest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// around writes a stack with a split line, what the items module does behind
// it, and the line that asks. Its result is that of the line which ended it.
func (k *Kit) around(t *testing.T, service, split, between, check string) {
	t.Helper()
	var stack strings.Builder
	fmt.Fprintf(&stack, "auth [ignore=ignore default=die] %s\n", k.Line("split "+split))
	fmt.Fprintf(&stack, "auth requisite %s show %s\n", k.Items, between)
	for _, kind := range []string{"auth", "account"} {
		fmt.Fprintf(&stack, "%s [success=1 ignore=ignore default=die] %s\n", kind, k.Line(check))
		fmt.Fprintf(&stack, "%s [default=die] %s return=27\n%s required %s\n", kind, k.Items, kind, k.Items)
	}
	k.Raw(t, service, stack.String())
}

var passwordPrompt, codePrompt = Prompt{1, "Password: "}, Prompt{1, "Verification code: "}

func told(text string) Prompt { return Prompt{4, text} }

// mostOfAnAnswer leaves room for a code of 6 digits and no more.
var mostOfAnAnswer = strings.Repeat("a", 506)

// askedAgain is what is shown where the code behind the password was wrong.
func askedAgain(between Prompt, rest string) []Prompt {
	return []Prompt{passwordPrompt, between, {3, "That code is not right."}, codePrompt, told(rest)}
}

// splits are what the engine does for the line with split, what the module
// behind it does, and what the engine does for the line that asks.
var splits = []struct {
	name, split, between, check string
	answers                     []string
	want                        []Prompt
	result                      string
}{
	{"code behind", "split", "", "ask", []string{"secret123456"},
		[]Prompt{passwordPrompt, told("authtok=secret"), told("status=1 text=123456")}, "PAM_SUCCESS"},
	{"wrong code behind", "split", "", "ask", []string{"secret000000"},
		[]Prompt{passwordPrompt, told("authtok=secret"), told("status=1 text=000000")}, "PAM_AUTH_ERR"},
	{"password known already", "split", "authtok=secret", "ask", []string{"secret123456"},
		[]Prompt{passwordPrompt, told("authtok=secret"), told("status=1 text=123456")}, "PAM_SUCCESS"},
	{"another length", "split:8", "", "ask", []string{"secret12345678"},
		[]Prompt{passwordPrompt, told("authtok=secret"), told("status=1 text=12345678")}, "PAM_AUTH_ERR"},
	{"in groups", "splitgroups", "", "ask", []string{"secret12-34"},
		[]Prompt{passwordPrompt, told("authtok=secret"), told("status=1 text=12-34")}, "PAM_AUTH_ERR"},
	{"in groups, without the dash", "splitgroups", "", "ask", []string{"secret12345", "@error"},
		[]Prompt{passwordPrompt, told("authtok=secret12345"), codePrompt, told("status=2 text=")}, "PAM_AUTH_ERR"},
	{"in groups, dash elsewhere", "splitgroups", "", "ask", []string{"secret1-234", "@error"},
		[]Prompt{passwordPrompt, told("authtok=secret1-234"), codePrompt, told("status=2 text=")}, "PAM_AUTH_ERR"},
	{"in groups, dashes alone", "splitgroups", "", "ask", []string{"secret-----", "@error"},
		[]Prompt{passwordPrompt, told("authtok=secret-----"), codePrompt, told("status=2 text=")}, "PAM_AUTH_ERR"},
	{"longest end", "split:32", "", "ask", []string{"x" + strings.Repeat("1", 32)},
		[]Prompt{passwordPrompt, told("authtok=x"), told("status=1 text=" + strings.Repeat("1", 32))}, "PAM_AUTH_ERR"},
	{"no code, host repeats", "split", "", "ask", []string{"secret", "secret"},
		[]Prompt{passwordPrompt, told("authtok=secret"), codePrompt, told("status=4 text=")}, "PAM_AUTH_ERR"},
	{"no code, host asks", "split", "", "ask", []string{"secret", "123456"},
		[]Prompt{passwordPrompt, told("authtok=secret"), codePrompt, told("status=1 text=123456")}, "PAM_SUCCESS"},
	{"too short", "split", "", "ask", []string{"secret12345", "@error"},
		[]Prompt{passwordPrompt, told("authtok=secret12345"), codePrompt, told("status=2 text=")}, "PAM_AUTH_ERR"},
	{"other characters", "split", "", "ask", []string{"secret12345x", "@error"},
		[]Prompt{passwordPrompt, told("authtok=secret12345x"), codePrompt, told("status=2 text=")}, "PAM_AUTH_ERR"},
	{"the code alone", "split", "", "ask", []string{"123456", "123456"},
		[]Prompt{passwordPrompt, told("authtok=123456"), codePrompt, told("status=4 text=")}, "PAM_AUTH_ERR"},
	{"one byte is left", "split", "", "ask", []string{"x123456"},
		[]Prompt{passwordPrompt, told("authtok=x"), told("status=1 text=123456")}, "PAM_SUCCESS"},
	{"empty", "split", "", "ask", []string{"", "123456"},
		[]Prompt{passwordPrompt, told("authtok="), codePrompt, told("status=1 text=123456")}, "PAM_SUCCESS"},
	{"longest", "split", "", "ask", []string{mostOfAnAnswer + "123456"},
		[]Prompt{passwordPrompt, told("authtok=" + mostOfAnAnswer), told("status=1 text=123456")}, "PAM_SUCCESS"},
	{"too long for a code", "split", "", "ask", []string{mostOfAnAnswer + "a123456", "@error"},
		[]Prompt{passwordPrompt, told("authtok=" + mostOfAnAnswer + "a123456"), codePrompt, told("status=2 text=")}, "PAM_AUTH_ERR"},
	{"no password", "split", "", "ask", []string{"@error"}, []Prompt{passwordPrompt}, "PAM_AUTH_ERR"},
	{"null password", "split", "", "ask", []string{"@null"}, []Prompt{passwordPrompt}, "PAM_AUTH_ERR"},
	{"nothing to take off", "ignore", "", "ask", []string{"secret123456", "123456"},
		[]Prompt{passwordPrompt, told("authtok=secret123456"), codePrompt, told("status=1 text=123456")}, "PAM_SUCCESS"},
	{"not asked", "ignore", "", "ignore", []string{"secret123456"},
		[]Prompt{passwordPrompt, told("authtok=secret123456")}, "PAM_IGNORE"},
	{"second prompt, whole", "split", "", "asktwice", []string{"secret000000", "secret000000"},
		askedAgain(told("authtok=secret"), "status=1 text=000000 status=4 text="), "PAM_AUTH_ERR"},
	{"second prompt, rest", "split", "", "asktwice", []string{"secret000000", "secret"},
		askedAgain(told("authtok=secret"), "status=1 text=000000 status=4 text="), "PAM_AUTH_ERR"},
	{"second prompt, code again", "split", "", "asktwice", []string{"secret000000", "000000"},
		askedAgain(told("authtok=secret"), "status=1 text=000000 status=1 text=000000"), "PAM_AUTH_ERR"},
	{"second prompt, right code", "split", "", "asktwice", []string{"secret000000", "123456"},
		askedAgain(told("authtok=secret"), "status=1 text=000000 status=1 text=123456"), "PAM_SUCCESS"},
	{"a prompt with echo is the host's", "split", "", "askon", []string{"secret123456", "bob"},
		[]Prompt{passwordPrompt, told("authtok=secret"), {2, "Verification code: "}, told("status=1 text=bob")}, "PAM_AUTH_ERR"},
	{"a module asks again", "split", "reprompt", "ask", []string{"secret123456", "secret123456", "secret123456"},
		[]Prompt{passwordPrompt, told("authtok=secret"), {1, "Password again: "}, codePrompt, told("status=4 text=")}, "PAM_AUTH_ERR"},
	{"a module asks again and gets the rest", "split", "reprompt", "ask", []string{"secret123456", "secret"},
		[]Prompt{passwordPrompt, told("authtok=secret"), {1, "Password again: "}, told("status=1 text=123456")}, "PAM_SUCCESS"},
	{"a module forgets", "split", "forget", "ask", []string{"secret123456", "secret123456"},
		[]Prompt{passwordPrompt, told("authtok=secret"), codePrompt, told("status=4 text=")}, "PAM_AUTH_ERR"},
	{"a module forgets, host gives the rest", "split", "forget", "ask", []string{"secret123456", "secret"},
		[]Prompt{passwordPrompt, told("authtok=secret"), codePrompt, told("status=4 text=")}, "PAM_AUTH_ERR"},
	{"another user", "split", "user=bob", "ask", []string{"secret123456", "123456"},
		[]Prompt{passwordPrompt, told("authtok=secret")}, "PAM_AUTH_ERR"},
	{"another user, nothing taken off", "split", "user=bob", "ask", []string{"secret", "123456"},
		[]Prompt{passwordPrompt, told("authtok=secret")}, "PAM_AUTH_ERR"},
	{"the same user again", "split", "user=alice", "ask", []string{"secret123456"},
		[]Prompt{passwordPrompt, told("authtok=secret"), told("status=1 text=123456")}, "PAM_SUCCESS"},
}

func TestSplit(t *testing.T) {
	eachKit(t, func(t *testing.T, kit *Kit) {
		for _, row := range splits {
			t.Run(row.name, func(t *testing.T) {
				t.Parallel()
				service := serviceName(t)
				kit.around(t, service, "protocol="+row.split, row.between, "protocol="+row.check)
				outcome := kit.Login(t, append([]string{"--service", service, "--setcred", "--acct", "--sigchld", "count", "--"}, row.answers...)...)
				if outcome.Result != row.result || !slices.Equal(outcome.Prompts, row.want) {
					t.Errorf("%s, prompts %v,\nwant %s, %v", outcome.Result, outcome.Prompts, row.result, row.want)
				}
				unchanged(t, outcome)
			})
		}
	})
}

// splitVerdicts are what the engine may say of a code, and what the front makes of it.
var splitVerdicts = []struct{ core, want string }{
	{"tails:16", "PAM_SUCCESS"},
	{"tails:17", "PAM_SYSTEM_ERR"},
	{"deny", "PAM_AUTH_ERR"},
	{"fault", "PAM_SYSTEM_ERR"},
	{"accept", "PAM_SYSTEM_ERR"},
	{"maxtries", "PAM_SYSTEM_ERR"},
	{"verdict:5", "PAM_SYSTEM_ERR"}, // without a length
	{"verdict:6", "PAM_SYSTEM_ERR"},
	{"verdictsize:0", "PAM_SYSTEM_ERR"},
	{"verdictsize:2", "PAM_SYSTEM_ERR"},
	{"splitlong", "PAM_SYSTEM_ERR"},
	{"splitblind", "PAM_AUTH_ERR"},
	{"splitblind:0", "PAM_SYSTEM_ERR"},
	{"splitother:5", "PAM_AUTH_ERR"},
	{"splitother:12", "PAM_AUTH_ERR"},
	{"splitother:13", "PAM_AUTH_ERR"},
	{"splitother:70", "PAM_AUTH_ERR"}, // 64 bits further than 6
	{"splitother:255", "PAM_AUTH_ERR"},
	{"splitother:6", "PAM_SUCCESS"},
	{"rawtail:0", "PAM_SYSTEM_ERR"},
	{"rawtail:1", "PAM_SYSTEM_ERR"},
	{"rawtail:2", "PAM_SYSTEM_ERR"},
	{"rawtail:3", "PAM_SYSTEM_ERR"},
	{"rawtail:4", "PAM_SYSTEM_ERR"},
	{"rawtail:5", "PAM_SYSTEM_ERR"},
	{"rawtail:6", "PAM_SYSTEM_ERR"},
	{"rawtail:7", "PAM_SYSTEM_ERR"},
	{"rawtail:8", "PAM_SYSTEM_ERR"},
	{"rawtail:9", "PAM_SYSTEM_ERR"},
	{"rawtail:10", "PAM_SYSTEM_ERR"},
	{"rawtail:11", "PAM_SYSTEM_ERR"},
	{"ask", "PAM_SYSTEM_ERR"},
	{"messages", "PAM_SYSTEM_ERR"},
	{"flood", "PAM_SYSTEM_ERR"},
	{"garbage", "PAM_SYSTEM_ERR"},
	{"trailing", "PAM_SYSTEM_ERR"},
	{"hang", "PAM_SYSTEM_ERR"},
	{"crash", "PAM_SYSTEM_ERR"},
}

// What an engine says to a split line that it cannot say there denies.
func TestSplitVerdict(t *testing.T) {
	rows := splitVerdicts
	eachKit(t, func(t *testing.T, kit *Kit) {
		for _, row := range rows {
			t.Run(row.core, func(t *testing.T) {
				t.Parallel()
				service := serviceName(t)
				timeout, clock := "", slowClock
				if row.core == "hang" {
					timeout, clock = "timeout=1 ", realClock
				}
				kit.around(t, service, timeout+"protocol="+row.core, "expect=secret", "protocol=ask")
				outcome := kit.Login(t, "--service", service, "--sigchld", "count", "--slow-clock", clock, "secret123456", "123456", "123456")
				if outcome.Result != row.want {
					t.Errorf("%s, want %s, prompts %v", outcome.Result, row.want, outcome.Prompts)
				}
				unchanged(t, outcome)
			})
		}
	})
	// And to a line without split it can say nothing about one.
	kit := kits.plain.forked()
	for _, core := range []string{"split", "splitblind", "tails", "rawtail"} {
		kit.Stack(t, "no-split", "protocol="+core)
		if outcome := kit.Login(t, "--service", "no-split", "123456"); outcome.Result != "PAM_SYSTEM_ERR" {
			t.Errorf("%s without split: %s", core, outcome.Result)
		}
	}
}

// The engine is told in the line that asks, and only behind a line with split.
func TestSplitStartFrame(t *testing.T) {
	eachKit(t, func(t *testing.T, kit *Kit) {
		service := serviceName(t)
		kit.around(t, service, "protocol=split debug", "", "protocol=start debug")
		for password, behind := range map[string]string{"secret123456": "\n12=", "secret": ""} {
			outcome := kit.Login(t, "--service", service, password)
			want := "version=1\n2=" + service + "\n1=alice\n6=start\n9=120\n8=\n11=" + behind
			if n := len(outcome.Prompts); n != 3 || outcome.Prompts[2].Text != want {
				t.Errorf("%v, want %q", outcome.Prompts, want)
			}
		}
	})
}

// A stack that takes codes off and asks for none is a mistake that lets
// everybody in, and the log says so.
func TestSplitUnasked(t *testing.T) {
	eachKit(t, func(t *testing.T, kit *Kit) {
		service := serviceName(t)
		kit.Raw(t, service, fmt.Sprintf("auth required %s\nauth required %s\n", kit.Line("split protocol=split"), kit.Items))
		for _, password := range []string{"secret123456", "secret"} {
			log := NewLog(t)
			outcome := kit.Login(t, "--service", service, "--setcred", "--dev", log.Dev, password)
			lines := strings.Join(log.Lines(t), "\n")
			if outcome.Setcred != "PAM_SUCCESS" || !strings.Contains(lines, "let in without a code: the line with split") {
				t.Errorf("%s: %s, then %s: %s", password, outcome.Result, outcome.Setcred, lines)
			}
		}
		asked := serviceName(t) + "-asked"
		kit.around(t, asked, "protocol=split", "", "protocol=ask")
		log := NewLog(t)
		outcome := kit.Login(t, "--service", asked, "--setcred", "--dev", log.Dev, "secret123456")
		if lines := log.Lines(t); outcome.Setcred != "PAM_SUCCESS" || len(lines) > 0 {
			t.Errorf("with both lines: %s, then %s: %q", outcome.Result, outcome.Setcred, lines)
		}
	})
}

// timeout= holds for the engine's part; the person may type for longer.
func TestSplitTimeout(t *testing.T) {
	t.Parallel()
	kit := kits.plain.forked()
	for arguments, want := range map[string]string{
		"timeout=100 protocol=ignore": "PAM_IGNORE", "timeout=1 protocol=accepthang": "PAM_SYSTEM_ERR",
		"timeout=1 protocol=slow:1500": "PAM_SYSTEM_ERR", "timeout=1 protocol=hang": "PAM_SYSTEM_ERR",
	} {
		kit.around(t, "split-timeout", arguments, "", "protocol=ignore")
		if outcome := kit.Login(t, "--service", "split-timeout", "--slow-clock", realClock, "@later:100001:secret123456"); outcome.Result != want {
			t.Errorf("%s: %s, want %s", arguments, outcome.Result, want)
		}
	}
}

// Each call of pam_authenticate on a handle starts afresh, as sudo makes three.
func TestSplitAgain(t *testing.T) {
	eachKit(t, func(t *testing.T, kit *Kit) {
		service := serviceName(t)
		kit.around(t, service, "protocol=split", "", "protocol=ask")
		for name, row := range map[string]struct {
			answers      []string
			result, acct string
			want         []Prompt
		}{
			"wrong, then right": {[]string{"secret000000", "secret123456"}, "PAM_SUCCESS", "PAM_SUCCESS",
				[]Prompt{passwordPrompt, told("authtok=secret"), told("status=1 text=000000"),
					passwordPrompt, told("authtok=secret"), told("status=1 text=123456")}},
			"right, then none": {[]string{"secret123456", "secret", "secret"}, "PAM_AUTH_ERR", "PAM_IGNORE",
				[]Prompt{passwordPrompt, told("authtok=secret"), told("status=1 text=123456"),
					passwordPrompt, told("authtok=secret"), codePrompt, told("status=4 text=")}},
		} {
			outcome := kit.Login(t, append([]string{"--service", service, "--acct", "--again", "2"}, row.answers...)...)
			if outcome.Result != row.result || outcome.Acct != row.acct || !slices.Equal(outcome.Prompts, row.want) {
				t.Errorf("%s: %s and %s, prompts %v", name, outcome.Result, outcome.Acct, outcome.Prompts)
			}
		}
		// A code that no line asked for is not there for the next call, whose
		// stack jumps over the line with split.
		kit.Raw(t, service, fmt.Sprintf("auth [success=2 default=ignore] %s once=25\nauth [ignore=ignore default=die] %s\nauth requisite %s return=7\nauth required %s\n",
			kit.Items, kit.Line("split protocol=split"), kit.Items, kit.Line("protocol=ask")))
		outcome := kit.Login(t, "--service", service, "--again", "2", "secret123456", "000000")
		want := []Prompt{passwordPrompt, codePrompt, told("status=1 text=000000")}
		if outcome.Result != "PAM_AUTH_ERR" || !slices.Equal(outcome.Prompts, want) {
			t.Errorf("left over: %s, prompts %v", outcome.Result, outcome.Prompts)
		}
		// Nor when that line is reached and gets no password.
		kit.Raw(t, service, fmt.Sprintf("auth required %s\nauth requisite %s once=7\nauth required %s\n",
			kit.Line("split protocol=split"), kit.Items, kit.Line("protocol=start")))
		outcome = kit.Login(t, "--service", service, "--again", "2", "secret123456", "@error")
		start := outcome.Prompts[len(outcome.Prompts)-1]
		if outcome.Result == "PAM_SUCCESS" || len(outcome.Prompts) != 3 || !strings.HasPrefix(start.Text, "version=1") || strings.Contains(start.Text, "\n11=") {
			t.Errorf("left over, no password: %s, prompts %v", outcome.Result, outcome.Prompts)
		}
	})
}

// Whatever happens, no password and no code is in the log; and it says where
// to look when a module between the lines goes its own way.
func TestSplitLog(t *testing.T) {
	eachKit(t, func(t *testing.T, kit *Kit) {
		service := serviceName(t)
		for between, warning := range map[string]string{"": "", "reprompt": "use_first_pass", "user=bob": "the user name has changed"} {
			for _, core := range []string{"split", "splitblind:9", "rawtail:0"} {
				log := NewLog(t)
				kit.around(t, service, "debug protocol="+core, between, "debug protocol=asktwice")
				kit.Login(t, "--service", service, "--dev", log.Dev, "secret123456", "secret123456", "secret123456")
				lines := strings.Join(log.Lines(t), "\n")
				if strings.Contains(lines, "secret") || strings.Contains(lines, "123456") {
					t.Errorf("%s, %s: %s", core, between, lines)
				}
				if core == "split" && !strings.Contains(lines, warning) {
					t.Errorf("%s: want %q: %s", between, warning, lines)
				}
			}
		}
	})
}

func TestSplitRename(t *testing.T) {
	eachKit(t, func(t *testing.T, kit *Kit) {
		service := serviceName(t)
		kit.around(t, service, "protocol=split", "", "protocol=ask")
		for user, want := range map[string]string{"alice": "PAM_SUCCESS", "root": "PAM_AUTH_ERR", "": "PAM_AUTH_ERR"} {
			outcome := kit.Login(t, "--service", service, "--rename", user, "secret123456")
			if outcome.Result != want {
				t.Errorf("renamed to %q at the password prompt: %s, want %s", user, outcome.Result, want)
			}
			// The line with split denies by itself.
			if want != "PAM_SUCCESS" && !slices.Equal(outcome.Prompts, []Prompt{passwordPrompt}) {
				t.Errorf("renamed to %q, the stack goes on: %v", user, outcome.Prompts)
			}
		}
	})
}

// behindSplit is a victim whose password has its code behind it.
func behindSplit(split, check string) victim {
	core := check
	if split == "deny" {
		core = split
	}
	rest := "secret"
	if split == "ignore" {
		rest = "secret123456"
	}
	return victim{core, func(t *testing.T, kit *Kit, service string) {
		kit.around(t, service, "timeout=20 debug protocol="+split, "expect="+rest, "timeout=20 debug protocol="+check)
	}, "secret123456", 2, nil}
}

// Every call of both lines fails once.
func TestSplitFaults(t *testing.T) {
	for _, kind := range []string{"hard", "eintr", "zero", "short"} {
		for _, v := range []victim{behindSplit("split", "ask:1"), behindSplit("deny", "ask:1"), behindSplit("ignore", "ignore")} {
			for name, kit := range map[string]func() *Kit{"forked": kits.faulty.forked, "resident": kits.faulty.resident} {
				if kind != "hard" && v.core == "ignore" {
					continue
				}
				t.Run(strings.Join([]string{name, kind, v.core}, " "), func(t *testing.T) {
					t.Parallel()
					everyCall(t, kit(), v, "parent", kind, "--pipe-stdio")
				})
			}
		}
	}
	for name, kit := range map[string]func() *Kit{"forked": kits.faultySanitized.forked, "resident": kits.faultySanitized.resident} {
		t.Run(name+" sanitized", func(t *testing.T) {
			t.Parallel()
			everyCall(t, kit(), behindSplit("split", "ask:1"), "parent", "hard", "--pipe-stdio", "--together")
		})
	}
}
