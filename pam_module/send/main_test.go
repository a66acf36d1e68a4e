package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/deliver/twiliotest"
)

// build compiles the command.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "otpgate-send")
	if output, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return path
}

var message = deliver.Message{
	Channel: deliver.SMS, User: "alice", Service: "sshd", Host: "web1", Email: "alice@example.com", Phone: "+491511234567",
	Code: "471147", Expires: time.Now().Add(time.Minute),
}

// The command, run as a core runs it.
func TestProgramSends(t *testing.T) {
	gateway := twiliotest.New()
	server := httptest.NewServer(gateway)
	t.Cleanup(server.Close)
	dir := t.TempDir()
	config := filepath.Join(dir, "otpgate.toml")
	settings := "[sms]\npreset = 'twilio'\nurl = '" + server.URL + "/2010-04-01/Accounts/{otp_username}/Messages.json'\nusername = '" + twiliotest.SID +
		"'\npassword_file = '" + dir + "/token'\nfrom = '+15005550006'\n"
	for name, text := range map[string]string{config: settings, dir + "/token": twiliotest.Token} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program := deliver.Program{Path: build(t), Config: config}
	got, err := program.Send(context.Background(), message)
	if want := (deliver.Delivery{Channel: deliver.SMS, To: "+49…567"}); got != want || err != nil {
		t.Errorf("found %+v, %v", got, err)
	}
	if sent := gateway.Messages(); len(sent) != 1 || sent[0].Body != "Your code for web1: 471147" {
		t.Errorf("found %+v", sent)
	}
	gateway.Next(twiliotest.InvalidTo)
	_, err = program.Send(context.Background(), message)
	const want = "send a code by sms: the gateway did not say that it took the message: HTTP status 400, Twilio's error 21211: " +
		"The 'To' number +49…567 is not a valid phone number.; then by email: there is no [email] in the configuration"
	if err == nil || err.Error() != want {
		t.Errorf("found  %v\nwanted %s", err, want)
	}
	program.Config = dir + "/absent"
	if _, err = program.Send(context.Background(), message); err == nil || !strings.HasPrefix(err.Error(), "configuration: open "+program.Config) {
		t.Errorf("found %v", err)
	}
}

// Whoever runs it by hand is told what it is for, and nothing of what was typed.
func TestMisuse(t *testing.T) {
	path := build(t)
	for _, test := range []struct {
		input     string
		arguments []string
		status    int
		want      string
	}{
		{"", nil, 1, "expected a request in JSON"},
		{"471147", nil, 1, "expected a request in JSON"},
		{`{"code":"471147"}`, nil, 1, "expected a request in JSON"},
		{`{} {"471147":1}`, nil, 1, "expected one request"},
		{strings.Repeat(" ", deliver.MaxRequest) + "{}", nil, 1, "expected a request in JSON"},
		{"", []string{"471147"}, 2, "Usage: otpgate-send"},
	} {
		cmd := exec.Command(path, test.arguments...)
		cmd.Stdin = strings.NewReader(test.input)
		output, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != test.status || !bytes.Contains(output, []byte(test.want)) || bytes.Contains(output, []byte("471147")) {
			t.Errorf("%.30q %q: %v, %s", test.input, test.arguments, cmd.ProcessState, output)
		}
		var answer deliver.Answer
		if test.status == 1 && (json.Unmarshal(output, &answer) != nil || answer.Error == "") {
			t.Errorf("%.30q: found %s", test.input, output)
		}
	}
}
