package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/otpctl/command"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// The scripts in testdata drive the command as a process of its own. Its clock
// stands at $CLOCK, what it logs goes to $WORK/authpriv, what it sends to the
// file $POST, if that is set. If they are set, $PEOPLE ("ALICE=alice") stands
// for the system's accounts, $LOGINS
// ("alice:4711:4711:/home/alice") for what is known of each, $GROUPS ("staff=alice,bob") for its groups, and
// $SENDER for a sender that does as it says.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"otpctl": runCommand})
}

func runCommand() {
	log, err := os.OpenFile(os.Getenv("AUTHPRIV"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(9)
	}
	world := invocation.World{
		Version: "1.2.3", Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Now:          func() time.Time { return clock(os.Getenv) },
		Log:          audit.Writer{Writer: log},
		Synchronised: func() bool { return os.Getenv("SYNCHRONISED") != "no" },
	}
	if path := os.Getenv("POST"); path != "" {
		world.Sender = postbox{path}
	}
	if groups := os.Getenv("GROUPS"); groups != "" {
		world.Groups = fakeGroups(strings.Fields(groups))
	}
	if logins := os.Getenv("LOGINS"); logins != "" {
		world.Logins = fakeLogins(strings.Fields(logins))
	}
	if how := os.Getenv("SENDER"); how != "" {
		world.Sender = fakeSender(how)
	}
	if root := os.Getenv("ROOT"); root != "" {
		onTree(&world, root)
	}
	world.Patience, _ = time.ParseDuration(os.Getenv("PATIENCE"))
	if people := os.Getenv("PEOPLE"); people != "" {
		world.Lookup = func(name string) (string, bool, error) {
			for known := range strings.FieldsSeq(people) {
				if alias, canonical, _ := strings.Cut(known, "="); alias == name {
					return canonical, true, nil
				}
			}
			return name, false, nil
		}
	}
	os.Exit(command.Run(world, os.Args[1:]))
}

// postbox is a sender that writes each message as a line of JSON to a file.
type postbox struct{ path string }

func (p postbox) Send(_ context.Context, m deliver.Message) (deliver.Delivery, error) {
	file, err := os.OpenFile(p.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return deliver.Delivery{}, errors.New("the post office is closed")
	}
	defer file.Close()
	return deliver.Delivery{Channel: m.Channel, To: m.Email + m.Phone}, json.NewEncoder(file).Encode(m)
}

func clock(getenv func(string) string) time.Time {
	now, err := time.Parse(time.RFC3339, getenv("CLOCK"))
	if err != nil {
		return time.Now()
	}
	return now
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup:               setUp,
		Condition:           func(name string) (bool, error) { return name == "root" && os.Geteuid() == 0, nil },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ctl": ctl, "bare": bare, "totp": setCode, "login": login, "terminal": onTerminal, "snap": snap, "mode": mode, "recovery": recoveryCode, "field": field,
			"hotp": setCounterCode, "sent": setSent, "wrong": setWrong,
		},
	})
}

// setUp makes a private configuration, unless the script brings one.
func setUp(env *testscript.Env) error {
	env.Setenv("CLOCK", "2026-11-22T10:00:05Z")
	env.Setenv("TZ", "UTC")
	env.Setenv("AUTHPRIV", filepath.Join(env.WorkDir, "authpriv"))
	env.Setenv("TERM", "xterm-256color")
	// A process of the race detector sleeps a second before it ends.
	env.Setenv("GORACE", "atexit_sleep_ms=0")
	if err := os.Chmod(env.WorkDir, 0o700); err != nil {
		return err
	}
	paths := fmt.Sprintf("[paths]\nusers = %q\nstate = %q\nbreak_glass = %q\n",
		filepath.Join(env.WorkDir, "users"), filepath.Join(env.WorkDir, "state"), filepath.Join(env.WorkDir, "break-glass"))
	name := filepath.Join(env.WorkDir, "otpgate.toml")
	policy, err := os.ReadFile(filepath.Join(env.WorkDir, "policy.toml"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if !bytes.Contains(policy, []byte("[remote]")) { // there the servers say so
		paths += "\n[totp]\nissuer = \"example.com\"\n"
	}
	policy = bytes.ReplaceAll(policy, []byte("WORK/"), []byte(env.WorkDir+"/"))
	return os.WriteFile(name, append(policy, paths...), 0o644)
}

// ctl STATUS ARGUMENT... runs otpctl with the private configuration and wants
// that exit status.
func ctl(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec("otpctl", append([]string{"--config", ts.MkAbs("otpgate.toml")}, args[1:]...)...)
	if got := statusOf(ts, err); got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// bare STATUS ARGUMENT... is ctl without a configuration.
func bare(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := statusOf(ts, ts.Exec("otpctl", args[1:]...)); got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

func statusOf(ts *testscript.TestScript, err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	ts.Check(err)
	return 0
}

// setCode NAME FILE [SECONDS] sets the variable NAME to the code that an app
// with the URI of FILE (of enroll --json) shows that many seconds from now.
func setCode(ts *testscript.TestScript, _ bool, args []string) {
	var made struct{ URI string }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &made))
	offset := 0
	if len(args) > 2 {
		var err error
		offset, err = strconv.Atoi(args[2])
		ts.Check(err)
	}
	ts.Setenv(args[0], codeOf(ts, made.URI, clock(ts.Getenv).Add(time.Duration(offset)*time.Second)))
}

// setCounterCode NAME FILE COUNTER sets the variable NAME to the code that a
// token has at that counter. FILE is of enroll --json, or a secret in base32
// whose codes have six digits.
func setCounterCode(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[1])
	made := struct {
		Secret string
		Digits otp.Digits
	}{Digits: otp.DigitsSix}
	if json.Unmarshal([]byte(text), &made) != nil {
		made.Secret = strings.TrimSpace(text)
	}
	counter, err := strconv.ParseUint(args[2], 10, 63)
	ts.Check(err)
	code, err := hotp.GenerateCodeCustom(made.Secret, counter, hotp.ValidateOpts{Digits: made.Digits})
	ts.Check(err)
	ts.Setenv(args[0], code)
}

// setSent NAME sets the variable NAME to the code that was sent last.
func setSent(ts *testscript.TestScript, _ bool, args []string) {
	sent := sentIn(ts, ts.Getenv("POST"))
	ts.Setenv(args[0], sent[len(sent)-1])
}

// sentIn are the codes that went to a postbox.
func sentIn(ts *testscript.TestScript, path string) (codes []string) {
	for line := range strings.Lines(ts.ReadFile(path)) {
		var message deliver.Message
		ts.Check(json.Unmarshal([]byte(line), &message))
		codes = append(codes, message.Code)
	}
	return codes
}

// codeOf asks an implementation that is not this project's.
func codeOf(ts *testscript.TestScript, uri string, at time.Time) string {
	key, err := otp.NewKeyFromURL(uri)
	ts.Check(err)
	code, err := totp.GenerateCodeCustom(key.Secret(), at, totp.ValidateOpts{
		Period: uint(key.Period()), Digits: key.Digits(), Algorithm: key.Algorithm(),
	})
	ts.Check(err)
	return code
}

// login DECISION USER CODE... logs in with these codes, one after the other,
// and wants that decision. For the code "wrong" it gives one that is, also of those
// that this login had sent.
func login(ts *testscript.TestScript, _ bool, args []string) {
	g, err := gate.Open(ts.MkAbs("otpgate.toml"), audit.Writer{Writer: ts.Stdout()})
	ts.Check(err)
	defer g.Close()
	g.Now = func() time.Time { return clock(ts.Getenv) }
	g.Host = "server1"
	g.Sender = postbox{ts.MkAbs(sentAtLogins)}
	request := gate.Request{User: args[1], Service: "sshd", RemoteHost: "192.0.2.7"}
	if client := ts.Getenv("CLIENT"); client != "" {
		g.Client, g.ClientWrong, g.ClientSends = client, 4, 1
	}
	g.Peer = ts.Getenv("PEER")
	if service := ts.Getenv("SERVICE"); service != "" {
		request.Service = service
	}
	if from := ts.Getenv("FROM"); from != "" {
		request.RemoteHost = from
	}
	verdict := g.Login(context.Background(), request, &typist{ts, args[2:]})
	if verdict.Decision.String() != args[0] {
		ts.Fatalf("login is %s (%s, %s), want %s", verdict.Decision, verdict.Rule, verdict.Reason, args[0])
	}
}

// typist answers each prompt with the next code.
type typist struct {
	ts    *testscript.TestScript
	codes []string
}

func (t *typist) Ask(string) (gate.Answer, error) {
	if len(t.codes) == 0 {
		return gate.Answer{}, errors.New("no more codes")
	}
	code := t.codes[0]
	t.codes = t.codes[1:]
	if code == "wrong" {
		setWrong(t.ts, false, []string{"TYPED"})
		code = t.ts.Getenv("TYPED")
	}
	return gate.Answer{Text: code}, nil
}

func (t *typist) Tell(gate.Tone, string) {}

// recoveryCode NAME FILE N sets the variable NAME to recovery code number N of
// FILE (of recovery --json or confirm --json).
func recoveryCode(ts *testscript.TestScript, _ bool, args []string) {
	var made struct {
		Codes []string `json:"recovery_codes"`
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &made))
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	ts.Setenv(args[0], made.Codes[n])
}

// field NAME FILE OUT writes a text of the JSON object in FILE to the file OUT.
func field(ts *testscript.TestScript, _ bool, args []string) {
	var object map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &object))
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(object[args[0]].(string)+"\n"), 0o600))
}

// mode WANT FILE looks at the permission bits.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}
