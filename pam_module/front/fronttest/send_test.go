package fronttest

import (
	"path/filepath"
	"testing"

	"github.com/otpgate/otpgate/internal/testprogram"
)

// A core's child runs the program that sends codes, in the hosts that make it
// hardest, and the program finds nothing of theirs: no environment, no blocked
// signal, no ids but root's; nor the socket over which the core gives verdicts.
func TestSend(t *testing.T) {
	t.Parallel()
	kit := buildCore(t, "sendcore")
	program := filepath.Join(kit.Dir, "send")
	// A shell adds variables of its own, so the block is read that it got.
	const script = `#!/bin/sh
facts="$(tr '\0' , </proc/$$/environ) sockets=$(ls -l /proc/$$/fd | grep -c socket:) uid=$(id -u) cwd=$(pwd)"
facts="$facts $(grep SigBlk /proc/$$/status | tr -d '\t') core=$(ulimit -c) got=$(cat | grep -c 471147)"
echo "{\"delivery\":{\"channel\":\"sms\",\"failed\":\"$facts\"}}"
`
	if err := testprogram.Write(program, []byte(script)); err != nil {
		t.Fatal(err)
	}
	const want = " sockets=0 uid=0 cwd=/ SigBlk:0000000000000000 core=0 got=1 err=<nil>"
	kit.Env = []string{"LD_LIBRARY_PATH=/tmp", "GODEBUG=x=1", "http_proxy=http://192.0.2.1/", "SSL_CERT_FILE=/tmp/x"}
	kit.Stack(t, "send", "config="+program)
	for name, options := range map[string][]string{
		"plain":   nil,
		"su":      {"--ruid", "1000"},
		"closed":  {"--close-stdio"},
		"reaping": {"--sigchld", "reap"},
		"blocked": {"--sigchld", "blocked"},
		"ignored": {"--sigchld", "ignore"},
		"limited": {"--limit-as", "200"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outcome := kit.Login(t, append([]string{"--service", "send"}, options...)...)
			if outcome.Result != "PAM_SUCCESS" || len(outcome.Prompts) != 1 || outcome.Prompts[0].Text != want {
				t.Errorf("%s, prompts %v\nwant %q", outcome.Result, outcome.Prompts, want)
			}
			unchanged(t, outcome)
		})
	}
}
