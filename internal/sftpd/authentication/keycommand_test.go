package authentication

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/session"
	"github.com/otpgate/otpgate/internal/sftpd/sftpdtest"
	"github.com/otpgate/otpgate/internal/testprogram"
	"github.com/otpgate/otpgate/internal/testwait"
)

func TestCommandArguments(t *testing.T) {
	key := []byte("\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x01x")
	p := session.Person{UID: 1234, Home: "/home/ann"}
	for _, test := range []struct{ command, want []string }{
		{[]string{"/keys"}, []string{"/keys", "ann"}},
		{[]string{"/keys", "x"}, []string{"/keys", "x"}},
		{[]string{"/keys", "%u %U", "%h/%%u"}, []string{"/keys", "ann 1234", "/home/ann/%u"}},
		{[]string{"/keys", "%t", "%k", "%f"}, []string{"/keys", "ssh-ed25519", base64.StdEncoding.EncodeToString(key), fingerprint(key)}},
	} {
		if got := commandArguments(test.command, "ann", p, key); !slices.Equal(got, test.want) {
			t.Errorf("%q: expected %q, found %q", test.command, test.want, got)
		}
	}
}

// commandIn is a directory that everybody may search, and runs scripts in it as
// nobody until the context ends.
func commandIn(t *testing.T) (dir string, run func(ctx context.Context, script string) ([]byte, error)) {
	t.Helper()
	dir, err := os.MkdirTemp("", "otpgate-keys")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir, func(ctx context.Context, script string) ([]byte, error) {
		path := filepath.Join(dir, "command")
		if err := testprogram.Write(path, []byte("#!/bin/sh\n"+script+"\n")); err != nil {
			return nil, err
		}
		return runCommand(ctx, config.SFTP{KeysCommand: []string{path}, KeysCommandUser: "nobody"}, []string{path, "ann"})
	}
}

// What the command prints has bounds.
func TestCommandIsBounded(t *testing.T) {
	_, run := commandIn(t)
	for script, want := range map[string]string{
		"echo \"$1 $# $USER $(id -un)\"": "ann 1 nobody nobody\n",
		"seq 1000; echo '# x'; echo":     "",
		"cat":                            "", // nothing is there to read
	} {
		if got, err := run(t.Context(), script); err != nil || want != "" && string(got) != want {
			t.Errorf("%s: %q, %v", script, got, err)
		}
	}
	for script, want := range map[string]string{
		"seq 1001":                          "more than 1000 keys",
		"head -c 2000000 /dev/zero":         "more than 1048576 bytes",
		"echo no >&2; exit 4":               `exit status 4; it said: "no"`,
		"kill -9 $$":                        "signal: killed",
		"head -c 9999999 /dev/zero >&2; no": "exit status 127",
	} {
		if got, err := run(t.Context(), script); err == nil || got != nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 4000 {
			t.Errorf("%s: %d bytes, %.4000v", script, len(got), err)
		}
	}
}

// A command that does not end is killed, and what it has started with it: that
// has the output open.
func TestCommandThatHangs(t *testing.T) {
	dir, run := commandIn(t)
	pid := filepath.Join(dir, "pid")
	if err := errors.Join(os.WriteFile(pid, nil, 0o600), os.Chmod(pid, 0o666)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := run(ctx, "sleep 100000 & echo $! >"+pid+"; wait")
		ended <- err
	}()
	var child int
	testwait.Until(t, "the command has named its child", func() bool {
		text, _ := os.ReadFile(pid)
		child, _ = strconv.Atoi(strings.TrimSuffix(string(text), "\n"))
		return strings.HasSuffix(string(text), "\n")
	})
	cancel()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "did not end") {
		t.Errorf("hangs: %v", err)
	}
	testwait.Until(t, "the child has ended", func() bool {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(child) + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}

func authorizedLine(key []byte) string {
	return kindOf(key) + " " + base64.StdEncoding.EncodeToString(key)
}

// keysCommandOf is a configuration with a command that notes its arguments and
// prints a key.
func keysCommandOf(t *testing.T, key string) (policy string, asked func() string) {
	t.Helper()
	dir, _ := commandIn(t)
	path, noted := filepath.Join(dir, "command"), filepath.Join(dir, "asked")
	script := fmt.Sprintf("#!/bin/sh\necho \"$@\" >>%s\necho %s\n", noted, key)
	for name, text := range map[string]string{path: script, noted: ""} {
		if err := testprogram.Write(name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(noted, 0o666); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("[sftp]\nauthorized_keys = []\nkeys_command = [%q, \"%%u\", \"%%t\"]\nkeys_command_user = \"nobody\"\n", path), func() string {
		text, err := os.ReadFile(noted)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

// What a front that is taken over calls a key is no argument of the command.
func TestCommandIsNotAskedForWhatIsNoKey(t *testing.T) {
	policy, asked := keysCommandOf(t, "")
	l, front := testLogin(t, policy)
	var sent []*fields.Writer
	for _, kind := range []string{"--config=/tmp/x", "-x\n", "", "ssh-dss"} {
		sent = append(sent, fields.Message(messages.AskOffer).Text(sftpdtest.Anybody).Blob(sftpdtest.PublicKey(kind)))
	}
	serveScript(l, front, append(sent, fields.Message(messages.AskOffer).Text(sftpdtest.Anybody).Blob(sftpdtest.PublicKey(kindED25519)))...)
	if said := asked(); said != sftpdtest.Anybody+" ssh-ed25519\n" {
		t.Errorf("the command was asked %q", said)
	}
}
