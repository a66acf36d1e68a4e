package verifierlogin

import (
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/testwait"
)

// verifierd is the real one.
var verifierd string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "verifierlogin")
	if err != nil {
		panic(err)
	}
	verifierd = filepath.Join(dir, "otpgate-verifierd")
	// Read so that go test takes no old result when only the verifier has changed.
	sources, err := filepath.Glob("../../pam_module/verifierd/*.go")
	for _, source := range sources {
		if _, err := os.ReadFile(source); err != nil {
			panic(err)
		}
	}
	if err != nil || len(sources) == 0 {
		panic("no verifier to build")
	}
	if output, err := exec.Command("go", "build", "-o", verifierd, "../../pam_module/verifierd").CombinedOutput(); err != nil {
		panic(fmt.Sprintf("%v\n%s", err, output))
	}
	status := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(status)
}

// records is a log that can be read.
type records struct {
	mu  sync.Mutex
	all []audit.Record
}

func (r *records) Write(record audit.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, record)
}

// take returns what was written since the last call.
func (r *records) take() (rules []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, record := range r.all {
		rules = append(rules, record.Verdict+" "+record.Rule)
	}
	r.all = nil
	return rules
}

// rig is an engine that asks the verifier of a configuration.
type rig struct {
	*Engine
	dir          string
	log, decided records
	paused       time.Duration
}

const secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"

// newRig has the configuration text, by which alice is enrolled. No verifier runs.
func newRig(t *testing.T, text string) *rig {
	t.Helper()
	r := &rig{dir: t.TempDir()}
	config := r.dir + "/otpgate.toml"
	text += fmt.Sprintf("\n[paths]\nusers = %q\nstate = %q\nsocket = %q\n", r.dir+"/users", r.dir+"/state", r.dir+"/run/verifier.sock")
	alice := fmt.Sprintf("version = 1\nuser = \"alice\"\n[[factor]]\nid = \"phone\"\nkind = \"totp\"\nsecret = %q\nconfirmed = 2026-01-01T00:00:00Z\n", secret)
	if err := errors.Join(os.Mkdir(r.dir+"/users", 0o700), os.Mkdir(r.dir+"/state", 0o700), os.Mkdir(r.dir+"/run", 0o755),
		os.WriteFile(config, []byte(text), 0o644), os.WriteFile(r.dir+"/users/alice.toml", []byte(alice), 0o600)); err != nil {
		t.Fatal(err)
	}
	here, err := gate.Open(config, &r.log)
	if err != nil {
		t.Fatal(err)
	}
	// A secret file that would be read here has no secret: the verifier alone has any.
	here.Accounts = nil
	here.Ledger = nil
	r.Engine = &Engine{
		Here: here, Config: config, Rule: "remote", Decided: &r.decided, Pause: func(d time.Duration) { r.paused += d },
		// The verifier is not late because the machine stood still for a while.
		patience: time.Hour,
	}
	return r
}

func (r *rig) socket() string { return r.Here.Config.Paths.Socket }

// start starts the verifier, which ends with t at the latest.
func (r *rig) start(t *testing.T) *exec.Cmd {
	t.Helper()
	command := exec.Command(verifierd, "--config", r.Config)
	r.launch(t, command)
	testwait.Until(t, "the verifier listens", func() bool {
		conn, err := net.Dial("unix", r.socket())
		return err == nil && conn.Close() == nil
	})
	return command
}

// launch starts a command with files, and kills it at the end of t.
func (r *rig) launch(t *testing.T, command *exec.Cmd, files ...*os.File) {
	t.Helper()
	command.ExtraFiles = files
	started := make(chan error)
	go func() {
		// The signal is sent when the thread ends that started the process.
		runtime.LockOSThread()
		command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		started <- command.Start()
		_ = command.Wait() // it is killed
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill() })
}

// code is alice's code that many steps from now.
func code(t *testing.T, steps int) string {
	t.Helper()
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil || len(raw) < 16 {
		t.Fatal(err)
	}
	text, err := totp.GenerateCode(secret, time.Now().Add(time.Duration(steps)*30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// script is a person with a list of answers.
type script struct {
	answers []gate.Answer
	told    string
	// typing is what happens while the person types the first one.
	typing func()
}

func (p *script) Ask(prompt string) (gate.Answer, error) {
	p.told += prompt + "\n"
	if typing := p.typing; typing != nil {
		p.typing = nil
		typing()
	}
	if len(p.answers) == 0 {
		return gate.Answer{}, errors.New("no answer is left")
	}
	answer := p.answers[0]
	p.answers = p.answers[1:]
	return answer, nil
}

func (p *script) Tell(tone gate.Tone, text string) {
	p.told += strings.Repeat("!", int(tone)-1) + text + "\n"
}

// says is who types these.
func says(texts ...string) *script {
	p := &script{}
	for _, text := range texts {
		p.answers = append(p.answers, gate.Answer{Text: text})
	}
	return p
}

func (r *rig) login(t *testing.T, request gate.Request, person *script) gate.Verdict {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	return r.Login(ctx, request, person)
}

func by(user string) gate.Request {
	return gate.Request{User: user, Service: "otpgate-sftpd", Protocol: "sftp", RemoteHost: "192.0.2.7", TTY: "ssh"}
}

// ends gives ends of a password.
type ends string

func (e ends) Tail(n, _ int, alphabet string) (string, bool, error) {
	if n >= len(e) || strings.Trim(string(e[len(e)-n:]), alphabet) != "" {
		return "", false, nil
	}
	return string(e[len(e)-n:]), true, nil
}
