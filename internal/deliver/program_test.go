package deliver

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/testprogram"
)

// command writes a shell script in a directory that only its owner can write.
func command(t *testing.T, script string) Program {
	t.Helper()
	path := filepath.Join(t.TempDir(), "otpgate-send")
	if err := testprogram.Write(path, []byte("#!/bin/sh\n"+script)); err != nil {
		t.Fatal(err)
	}
	return Program{Path: path, Config: "/etc/here.toml"}
}

func TestProgramPassesMessage(t *testing.T) {
	kept := filepath.Join(t.TempDir(), "kept")
	p := command(t, "exec >"+kept+".facts; cat >"+kept+"; tr '\\0' ' ' </proc/$$/cmdline; tr '\\0' ' ' </proc/$$/environ; pwd")
	if _, err := p.Send(context.Background(), message); err == nil {
		t.Error("expected an error without an answer")
	}
	data, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	var request Request
	if err := json.Unmarshal(data, &request); err != nil || request != (Request{Config: p.Config, Message: message}) {
		t.Errorf("%v: %s", err, data)
	}
	facts, err := os.ReadFile(kept + ".facts")
	if want := "/bin/sh " + p.Path + " /\n"; err != nil || string(facts) != want {
		t.Errorf("expected arguments, environment and directory %q, found %q %v", want, facts, err)
	}
}

// Nor does an error show a link that was to be sent.
func TestProgramHidesLink(t *testing.T) {
	m := message
	m.Code, m.Link = "", "https://otp.example.com/l/abcdefgh"
	_, err := command(t, `echo '{"error":"no to https://otp.example.com/l/abcdefgh"}'; exit 1`).Send(context.Background(), m)
	if err == nil || err.Error() != "no to …" {
		t.Errorf("found %v", err)
	}
}

func TestProgramAnswers(t *testing.T) {
	for _, test := range []struct {
		name, script string
		want         Delivery
		err          string
	}{
		{"sent", `echo '{"delivery":{"channel":"email","to":"a…e@h","failed":"no phone"},"error":""}'`, Delivery{Email, "a…e@h", "no phone"}, ""},
		{"cleaned", `printf %s '{"delivery":{"channel":"sms","to":"a\u001b[2J","failed":"b\r\nc"},"error":""}'`, Delivery{SMS, "a?[2J", "b  c"}, ""},
		{"failed", `printf %s '{"error":"both\u0007 down"}'; exit 1`, Delivery{}, "both? down"},
		{"code in the error", `echo '{"error":"no to 471147"}'; exit 1`, Delivery{}, "no to …"},
		{"no answer", `exit 0`, Delivery{}, "gave no answer that can be understood (exit status 0)"},
		{"died", `kill -9 $$`, Delivery{}, "gave no answer that can be understood (signal: killed)"},
		{"not JSON", `echo sent; exit 3`, Delivery{}, "gave no answer that can be understood (exit status 3)"},
		{"half", `printf '{"delivery":{"channel":"email"'`, Delivery{}, "no answer that can be understood"},
		{"unknown", `echo '{"sent":true}'`, Delivery{}, "no answer that can be understood"},
		{"twice", `echo '{"delivery":{"channel":"email"}}{}'`, Delivery{}, "no answer that can be understood"},
		{"nothing done", `echo '{}'`, Delivery{}, "does not say what it has done"},
		{"another channel", `echo '{"delivery":{"channel":"fax"}}'`, Delivery{}, "does not say what it has done"},
		{"failed after all", `echo '{"delivery":{"channel":"email"}}'; exit 1`, Delivery{}, "failed after its answer (exit status 1)"},
		{"flood", `exec yes '{"error":"x"}'`, Delivery{}, "no answer that can be understood"},
		{"noise on stderr", `echo 471147 >&2; exit 1`, Delivery{}, "no answer that can be understood (exit status 1)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := command(t, test.script).Send(context.Background(), message)
			if got != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("found %+v, %v\nwant %+v, %s", got, err, test.want, test.err)
			}
			if err != nil && strings.Contains(err.Error(), message.Code) {
				t.Errorf("the error has the code: %v", err)
			}
		})
	}
}

// A command that hangs, with a child that holds its output, costs the caller's
// time and no more.
func TestProgramEndsWithContext(t *testing.T) {
	hangs, begins := testprogram.FIFO(t), testprogram.FIFO(t)
	p := command(t, "cat "+hangs.Name()+" & echo >"+begins.Name()+"; cat "+hangs.Name())
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = begins.Read(make([]byte, 1))
		cancel()
	}()
	if _, err := p.Send(ctx, message); err == nil || !strings.Contains(err.Error(), "did not end in time") {
		t.Errorf("%v", err)
	}
}

func TestProgramChecksCommand(t *testing.T) {
	p := command(t, `echo '{"delivery":{"channel":"email"}}'`)
	sent := func() error { _, err := p.Send(context.Background(), message); return err }
	if err := errors.Join(sent(), p.Check()); err != nil {
		t.Fatal(err)
	}
	dir, real := filepath.Dir(p.Path), p.Path
	for _, test := range []struct {
		want string
		make func()
	}{
		{"mode 0777, expected at most 0755", func() { os.Chmod(real, 0o777) }},
		{"expected a program, found mode 0644", func() { os.Chmod(real, 0o644) }},
		{"owned by uid 4711, expected root", func() { os.Chmod(real, 0o755); os.Chown(real, 4711, 0) }},
		{"lets others write in it", func() { os.Chown(real, 0, 0); os.Chmod(dir, 0o777) }},
		{"it is a symbolic link", func() { os.Chmod(dir, 0o755); p.Path = dir + "/link"; os.Symlink(real, p.Path) }},
		{"expected an absolute path", func() { p.Path = "otpgate-send" }},
		{"no such file", func() { p.Path = dir + "/absent" }},
	} {
		test.make()
		if err := sent(); err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "the command that sends codes") {
			t.Errorf("expected %q, found %v", test.want, err)
		}
		if err := p.Check(); err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "the command that sends codes") {
			t.Errorf("checked: expected %q, found %v", test.want, err)
		}
	}
}

func TestProgramIsFound(t *testing.T) {
	first, second := command(t, `echo '{"delivery":{"channel":"sms"}}'`), command(t, `echo '{"delivery":{"channel":"email"}}'`)
	before := SenderPaths
	t.Cleanup(func() { SenderPaths = before })
	for _, test := range []struct {
		places []string
		want   Channel
		err    string
	}{
		{[]string{first.Path, second.Path}, SMS, ""},
		{[]string{first.Path + "x", second.Path}, Email, ""},
		{[]string{"/nowhere/a", "/nowhere/b"}, "", "expected it at /nowhere/a or /nowhere/b; install it, or name it with paths.sender"},
	} {
		SenderPaths = test.places
		got, err := Program{}.Send(context.Background(), message)
		if got.Channel != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%v: found %+v, %v", test.places, got, err)
		}
	}
}
