package main

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// draftClients begin their identification so. They send SYMLINK as the draft
// says, the link first, to each server that does not call itself OpenSSH.
var draftClients = []string{"SSH-2.0-AsyncSSH_", "SSH-2.0-libssh_", "SSH-2.0-libssh-", "SSH-2.0-WinSCP_", "SSH-2.0-ssh2js"}

// linkFirst says whether a client is one of those. All others do as OpenSSH's.
func linkFirst(client string) bool {
	return slices.ContainsFunc(draftClients, func(begin string) bool { return strings.HasPrefix(client, begin) })
}

// maxInstruction is what OpenSSH's client shows of an instruction, in bytes: it
// takes it for a message of its log.
const maxInstruction = 1000

// asking is the instruction and the prompt of a question. OpenSSH's client cuts
// long instructions and writes what is not ASCII in octal, so a QR code goes
// into the prompt, where sshd puts all that PAM tells.
func asking(told []string, prompt string) (instruction, asked string) {
	text := strings.Join(told, "\n")
	if len(text) <= maxInstruction && utf8.RuneCountInString(text) == len(text) {
		return text, prompt
	}
	return "", text + "\n" + prompt
}
