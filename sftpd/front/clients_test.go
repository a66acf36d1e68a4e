package main

import (
	"strings"
	"testing"
)

func TestLinkFirst(t *testing.T) {
	for client, want := range map[string]bool{
		"SSH-2.0-AsyncSSH_2.10.1": true, "SSH-2.0-libssh_0.10.6": true, "SSH-2.0-WinSCP_release_6.3.5": true, "SSH-2.0-ssh2js1.15.0": true,
		"SSH-2.0-OpenSSH_9.2p1 Debian-2": false, "SSH-2.0-libssh2_1.10.0": false, "SSH-2.0-paramiko_2.12.0": false, "SSH-2.0-PuTTY_Release_0.78": false,
		"SSH-2.0-Go": false, "SSH-2.0-phpseclib_2.0": false, "": false,
	} {
		if linkFirst(client) != want {
			t.Errorf("%s: expected %v", client, want)
		}
	}
}

func TestAsking(t *testing.T) {
	long := strings.Repeat("x", maxInstruction+1)
	for _, test := range []struct {
		told                []string
		instruction, prompt string
	}{
		{nil, "", "Code: "},
		{[]string{"one", "two"}, "one\ntwo", "Code: "},
		{[]string{"one", "██▀▄"}, "", "one\n██▀▄\nCode: "},
		{[]string{"sent to a…e@example.com"}, "", "sent to a…e@example.com\nCode: "},
		{[]string{long}, "", long + "\nCode: "},
	} {
		if instruction, prompt := asking(test.told, "Code: "); instruction != test.instruction || prompt != test.prompt {
			t.Errorf("%q: got %q and %q", test.told, instruction, prompt)
		}
	}
}
